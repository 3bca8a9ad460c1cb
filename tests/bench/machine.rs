//! What the figures were measured on.

use serde_json::{Value, json};
use std::fs;

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: usize,
    model: String,
    kernel: String,
    /// Processes that wanted to run, on average over the last minute, when the benchmark began.
    load: f64,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg").split(' ').next().and_then(|word| word.parse().ok());
        Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.unwrap_or_default(),
        }
    }

    /// One line.
    pub fn text(&self) -> String {
        let Machine { cores, model, kernel, load } = self;
        format!("machine: {cores} cores, {model}, Linux {kernel}; load when it began {load:.1}")
    }

    /// As an object.
    pub fn json(&self) -> Value {
        json!({ "cores": self.cores, "model": self.model, "kernel": self.kernel, "load": self.load })
    }
}
