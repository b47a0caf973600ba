//! Single figures, as Prometheus takes them.

use substrate_prometheus_endpoint::{exponential_buckets, register, HistogramOpts, PrometheusError, Registry};

/// A figure that is told where there is somebody to tell.
///
/// # Errors
/// One of its name exists already.
pub fn told<T: Clone + substrate_prometheus_endpoint::prometheus::core::Collector + 'static>(
    figure: T,
    registry: Option<&Registry>,
) -> Result<T, PrometheusError> {
    match registry {
        Some(registry) => register(figure, registry),
        None => Ok(figure),
    }
}

/// Seconds, from hundredths of one to hours.
///
/// # Errors
/// The buckets make no sense.
pub fn seconds(name: &str, help: &str) -> Result<HistogramOpts, PrometheusError> {
    let buckets = exponential_buckets(0.05, 2.0, 18)?;
    Ok(HistogramOpts::new(name, help).buckets(buckets))
}
