//! Waiting with a deadline, never for a time.

use std::time::{Duration, Instant};

/// Asks `probe` until it answers, at most for `patience`.
///
/// # Panics
/// When the time is over, naming `what` was waited for.
#[allow(clippy::panic)]
pub fn until<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
