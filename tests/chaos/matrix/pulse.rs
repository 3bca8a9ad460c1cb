//! Asks the coordinator all the time, and remembers the longest answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use touchline_common::control::Client;

/// What is promised of a control verb, whatever its neighbours do.
const QUICK: Duration = Duration::from_secs(1);

/// Answers that are worth a word.
const LEAST: u32 = 20;

/// An operator who never stops asking.
pub(super) struct Pulse {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<(u32, Duration)>,
}

impl Pulse {
    pub(super) fn start(socket: PathBuf) -> Pulse {
        let stop = Arc::new(AtomicBool::new(false));
        let stop_flag = Arc::clone(&stop);
        let asking = thread::spawn(move || {
            let (mut answers, mut worst) = (0, Duration::ZERO);
            while !stop_flag.load(Ordering::Relaxed) || answers < LEAST {
                let began = Instant::now();
                let asked = Client::connect(&socket).and_then(|mut client| {
                    client.request("status", serde_json::Map::new(), Duration::from_secs(10))
                });
                asked.expect("an answer of the coordinator");
                answers += 1;
                worst = worst.max(began.elapsed());
                thread::sleep(Duration::from_millis(20));
            }
            (answers, worst)
        });
        Pulse { stop, asking }
    }

    /// How long the slowest answer took, which must not be long.
    pub(super) fn stop(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let (answers, worst) = self.asking.join().expect("an operator who always got an answer");
        assert!(worst < QUICK, "{answers} answers, the slowest after {worst:?}");
        format!("slowest of {answers} answers {} ms", worst.as_millis())
    }
}
