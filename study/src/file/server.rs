//! A server-side optimiser, as a study file has it.

use super::{millionths, FileError};
use consilium_primitives::rules::{Adaptive, ServerOptimizer, PPM};
use serde::Deserialize;

/// A server-side optimiser, as written.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFile {
    /// Which.
    pub optimizer: ServerName,
    /// η; 1 for momentum, .01 for the others if left out.
    #[serde(default)]
    pub rate: Option<f64>,
    /// β or β₁.
    #[serde(default = "nine_tenths")]
    pub beta1: f64,
    /// β₂.
    #[serde(default = "ninety_nine")]
    pub beta2: f64,
    /// τ.
    #[serde(default = "thousandth")]
    pub tau: f64,
}

/// Server-side optimisers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerName {
    /// [`ServerOptimizer::Momentum`].
    Momentum,
    /// [`ServerOptimizer::Adam`].
    Adam,
    /// [`ServerOptimizer::Yogi`].
    Yogi,
    /// [`ServerOptimizer::Adagrad`].
    Adagrad,
}

fn nine_tenths() -> f64 {
    0.9
}
fn ninety_nine() -> f64 {
    0.99
}
fn thousandth() -> f64 {
    1e-3
}

impl ServerFile {
    /// As the chain keeps it.
    ///
    /// # Errors
    /// A number that makes no sense, by name.
    pub(super) fn optimizer(&self) -> Result<ServerOptimizer, FileError> {
        let usual = if self.optimizer == ServerName::Momentum { 1.0 } else { 0.01 };
        let rate = millionths("server.rate", self.rate.unwrap_or(usual), 1000.0)? as u32;
        let share = |field, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(((value * f64::from(PPM)).round() as u32).min(PPM - 1))
            } else {
                Err(FileError::Rules { field, problem: "must be 0 or more, and below 1".to_owned() })
            }
        };
        let (beta1, beta2) = (share("server.beta1", self.beta1)?, share("server.beta2", self.beta2)?);
        let adaptive = Adaptive { rate, beta1, beta2, tau: millionths("server.tau", self.tau, 1000.0)? as u32 };
        Ok(match self.optimizer {
            ServerName::Momentum => ServerOptimizer::Momentum { rate, beta: beta1 },
            ServerName::Adam => ServerOptimizer::Adam(adaptive),
            ServerName::Yogi => ServerOptimizer::Yogi(adaptive),
            ServerName::Adagrad => ServerOptimizer::Adagrad(adaptive),
        })
    }
}
