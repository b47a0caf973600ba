//! Two rules that are in this bench only.

/// Bulyan (El Mhamdi et al., "The Hidden Vulnerability of Distributed Learning in Byzantium", ICML 2018): Krum picks one of
/// those that are left until there are n − 2f; then, of each coordinate, the mean of the n − 4f values nearest to the median
/// of the chosen. Where fewer than f + 3 are left, Krum looks at one neighbour.
///
/// There must be at least 4f + 3 points.
pub fn bulyan(points: &[Vec<f64>], liars: usize) -> Vec<f64> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    let take = points.len().saturating_sub(2 * liars);
    let mut chosen = Vec::new();
    while chosen.len() < take && !left.is_empty() {
        let near = left.len().saturating_sub(liars + 2).max(1);
        let score = |i: usize| {
            let mut others: Vec<f64> =
                left.iter().filter(|j| **j != i).map(|j| squared(&points[i], &points[*j])).collect();
            others.sort_by(f64::total_cmp);
            others.iter().take(near).sum::<f64>()
        };
        let scores: Vec<f64> = left.iter().map(|i| score(*i)).collect();
        let best = (0..left.len()).min_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0);
        chosen.push(left.remove(best));
    }
    let keep = take.saturating_sub(2 * liars).max(1);
    let width = points.first().map_or(0, Vec::len);
    (0..width)
        .map(|k| {
            let mut values: Vec<f64> = chosen.iter().map(|i| points[*i][k]).collect();
            let middle = median(&mut values);
            values.sort_by(|a, b| (a - middle).abs().total_cmp(&(b - middle).abs()));
            values.iter().take(keep).sum::<f64>() / keep as f64
        })
        .collect()
}

/// Centred clipping (Karimireddy, He and Jaggi, "Learning from History for Byzantine Robust Optimization", ICML 2021):
/// `v ← v + Σ (x[i] − v)·min(1, τ ÷ ‖x[i] − v‖) ÷ n`, so many times. τ is the median of the distances, each time anew.
pub fn centred_clipping(points: &[Vec<f64>], mut v: Vec<f64>, times: usize) -> Vec<f64> {
    for _ in 0..times {
        let distances: Vec<f64> = points.iter().map(|x| squared(x, &v).sqrt()).collect();
        let limit = median(&mut distances.clone());
        let mut sum = vec![0.0; v.len()];
        for (x, distance) in points.iter().zip(&distances) {
            let factor = if *distance > limit { limit / distance } else { 1.0 };
            for ((sum, x), v) in sum.iter_mut().zip(x).zip(&v) {
                *sum += factor * (x - v);
            }
        }
        for (v, sum) in v.iter_mut().zip(sum) {
            *v += sum / points.len() as f64;
        }
    }
    v
}

/// Sorts; the middle value, or the mean of the two middle ones.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    (values[(n - 1) / 2] + values[n / 2]) * 0.5
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
