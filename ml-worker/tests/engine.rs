//! The engine's program, which the scripts in `bench/` hold beside others: it answers a request of each kind that has numbers in it, however
//! the workspace was built.
#![allow(clippy::unwrap_used)]

use serde_json::{json, Value};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

struct Engine {
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Engine {
    /// Beside this test, where all targets are built.
    fn new() -> Self {
        let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/engine");
        let mut process = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (requests, replies) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, requests, replies }
    }

    /// The reply, and so many numbers behind it.
    fn ask(&mut self, request: Value, sent: &[f32], numbers: usize) -> (Value, Vec<f32>) {
        writeln!(self.requests, "{request}").unwrap();
        let raw: Vec<u8> = sent.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.requests.write_all(&raw).unwrap();
        self.requests.flush().unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(reply.get("error"), None, "{request}");
        let mut raw = vec![0; 4 * numbers];
        self.replies.read_exact(&mut raw).unwrap();
        let numbers = raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (reply, numbers.collect())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn clipped_sums_and_private_steps_are_answered() {
    let mut engine = Engine::new();
    let training = json!({ "optimizer": { "sgd": { "learning_rate": 0.5 } }, "batch_size": 2, "epochs": 1 });
    let new = json!({ "op": "new", "model": { "logistic": {} }, "training": training, "input": [2], "outputs": 1, "dtype": "f32", "threads": 1 });
    assert_eq!(engine.ask(new, &[], 0).0["parameters"], 3);
    engine.ask(json!({ "op": "set", "what": "parameters" }), &[0.0; 3], 0);
    // two rows, and then what each of them is
    let data = json!({ "op": "data", "rows": 2 });
    engine.ask(data, &[3.0, 4.0, 0.0, 0.0, 1.0, 0.0], 0);
    // a model that knows nothing is wrong by a half: gradients of -(1, 3, 4)/2, the bias first, shortened to .25, and (1, 0, 0)/2,
    // likewise
    let (_, sum) = engine.ask(json!({ "op": "clipped", "rows": [0, 1], "clip": 0.25 }), &[], 3);
    let length = 26f32.sqrt();
    for (found, right) in sum.iter().zip([0.25 - 0.25 / length, -0.75 / length, -1.0 / length]) {
        assert!((found - right).abs() < 1e-5, "{sum:?}");
    }
    let time = json!({ "op": "time", "batch": 2, "steps": 3, "private": { "clip": 0.25, "sigma": 1.5 } });
    assert_eq!(engine.ask(time, &[], 0).0["seconds"].as_array().unwrap().len(), 3);
}
