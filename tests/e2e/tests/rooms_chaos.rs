//! A short run of `scripts/chaos --feed rooms`, the same each time. Alone in its process, all of whose children are the run's.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::time::Duration;
use touchline_chaos::{FeedChoice, Options, Which, run};

#[test]
fn a_dozen_faults_cost_no_line_of_rooms() {
    // The machine is busy with other tests: times are compared with the promises by the script.
    let options = Options {
        faults: 12,
        seed: 1,
        feed: FeedChoice::Rooms,
        rate: 400.0,
        matches: 24,
        cap: 10,
        which: Which::Quick,
        slack: Duration::from_secs(5),
        ..Options::default()
    };
    let outcome = run(&options, &mut |line| eprintln!("{line}"));
    assert!(outcome.is_good(), "{}\n{}", outcome.wrong.join("\n"), outcome.summary);
}
