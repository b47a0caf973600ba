//! Why a network cannot compute.

const WITHOUT: &str = " (this program was built without `--features cuda`)";

/// Why a network cannot compute.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The spec's layers do not fit each other.
    #[error(transparent)]
    Spec(#[from] consilium_study::SpecError),
    /// The spec's layers make no file.
    #[error("the model has no layout: {0}")]
    Layout(#[from] consilium_aggregation::LayoutError),
    /// What candle says.
    #[error("the tensor library refuses: {0}")]
    Tensor(#[from] candle_core::Error),
    /// No such GPU.
    #[error("GPU {number} cannot be used{}: {error}", if cfg!(feature = "cuda") { "" } else { WITHOUT })]
    Gpu {
        /// Its number.
        number: usize,
        /// What candle says.
        error: candle_core::Error,
    },
    /// A tensor that no gradient reaches.
    #[error(
        "no gradient reaches {0}: it cannot be trained. Its units are dead, as those of relu are whose sums are never above 0, \
         or what goes into it is always 0; agree on another seed, on scaled features, on more units, or on another activation"
    )]
    NoGradient(String),
    /// A tensor that the computation of gradients knows nothing of.
    #[error("the gradient of {0} is not computed")]
    Detached(String),
}
