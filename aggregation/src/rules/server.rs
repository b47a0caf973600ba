//! What the merged step is put through before it becomes the next model.

use consilium_primitives::rules::{Adaptive, ServerOptimizer, PPM};

/// A server-side optimiser with its numbers in `f64` (S. Reddi et al., "Adaptive Federated Optimization", ICLR 2021,
/// algorithm 2; momentum as in T.-M. H. Hsu et al., 2019).
///
/// Where others differ: both moments start at 0 (the paper starts the second at τ² or more), and there is no correction for
/// that (Flower corrects its Adam, and only that). There is no Nesterov look-ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    kind: Kind,
    rate: f64,
    beta1: f64,
    beta2: f64,
    tau: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Momentum,
    Adam,
    Yogi,
    Adagrad,
}

impl Server {
    /// With the numbers agreed on.
    pub fn new(agreed: &ServerOptimizer) -> Self {
        let share = |ppm: u32| f64::from(ppm) / f64::from(PPM);
        let adaptive = |kind, a: &Adaptive| Self {
            kind,
            rate: share(a.rate),
            beta1: share(a.beta1),
            beta2: share(a.beta2),
            tau: share(a.tau),
        };
        match agreed {
            ServerOptimizer::Momentum { rate, beta } => {
                Self { kind: Kind::Momentum, rate: share(*rate), beta1: share(*beta), beta2: 0.0, tau: 0.0 }
            }
            ServerOptimizer::Adam(a) => adaptive(Kind::Adam, a),
            ServerOptimizer::Yogi(a) => adaptive(Kind::Yogi, a),
            ServerOptimizer::Adagrad(a) => adaptive(Kind::Adagrad, a),
        }
    }

    /// One coordinate: the model's number `w`, the step `d` of the merge, both moments. Gives the next `w`.
    #[inline]
    pub fn step(&self, w: f64, d: f64, m: &mut f64, v: &mut f64) -> f64 {
        if self.kind == Kind::Momentum {
            *m = self.beta1 * *m + d;
            return w + self.rate * *m;
        }
        *m = self.beta1 * *m + (1.0 - self.beta1) * d;
        let square = d * d;
        *v = match self.kind {
            Kind::Adam | Kind::Momentum => self.beta2 * *v + (1.0 - self.beta2) * square,
            Kind::Yogi => {
                let towards = (1.0 - self.beta2) * square;
                if *v > square {
                    *v - towards
                } else if *v < square {
                    *v + towards
                } else {
                    *v
                }
            }
            Kind::Adagrad => *v + square,
        };
        w + self.rate * *m / (v.sqrt() + self.tau)
    }
}
