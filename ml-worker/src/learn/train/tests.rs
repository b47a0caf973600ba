#![allow(clippy::unwrap_used)]
use super::{session::mean_loss, *};
use candle_core::Device;
use consilium_study::{Activation, Architecture, Loss, Model, Penalty};

fn net(activation: Activation) -> Net {
    let model = Model::Dense { hidden: vec![3], activation, dropout: 0.0 };
    Net::new(Architecture::new(&model, &[2], 1, Penalty::default()).unwrap()).unwrap()
}

/// The two networks have the same tensors and say other things: which of them was asked shows in the loss.
#[test]
fn with_a_device_validation_rows_are_looked_at_there() {
    let (here, there) = (net(Activation::Relu), net(Activation::Tanh));
    let parameters: Vec<f32> = (0..here.parameters()).map(|n| n as f32 * 0.3 - 1.5).collect();
    let rows = Rows::kept(2, 1, vec![0.5, -2.0, 3.0, 1.0, -1.0, 0.25], vec![1, 0, 1]);
    let objective = Objective::new(Task::Binary, Loss::CrossEntropy, Vec::new());
    let candle = CandleNet::new(&there, Device::Cpu);
    let loss = |engine| mean_loss(engine, &objective, &parameters, &rows).unwrap().unwrap();
    let (kernels, device) = (loss((&here, None)), loss((&here, Some(&candle))));
    let same = loss((&there, None));
    assert!((device - same).abs() < 1e-6, "{device} {same}");
    assert!((device - kernels).abs() > 0.01, "{device} {kernels}");
    assert_eq!(mean_loss((&here, Some(&candle)), &objective, &parameters, &Rows::new(2, 1)).unwrap(), None);
}
