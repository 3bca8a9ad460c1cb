//! A short run of `scripts/chaos`, the same each time.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::time::Duration;
use touchline_chaos::{Options, Which, run};

#[test]
fn a_dozen_faults_cost_neither_truth_nor_processes() {
    // The machine is busy with other tests: times are compared with the promises by the script.
    let options = Options {
        faults: 12,
        seed: 1,
        which: Which::Quick,
        slack: Duration::from_secs(3),
        ..Options::default()
    };
    let outcome = run(&options, &mut |line| eprintln!("{line}"));
    assert!(outcome.is_good(), "{}\n{}", outcome.wrong.join("\n"), outcome.summary);
}
