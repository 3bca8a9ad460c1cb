//! Processes of our own program, side by side, and what they print as it comes.
//!
//! What aborts in one harms no other; what it leaves becomes ours, for we are a subreaper, and is ended. A signal that asks us to leave
//! is read between two lines, and whoever drops this leaves no process behind.

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use touchline_harness::process;

/// How long the kernel may take to end what was killed.
const GONE: Duration = Duration::from_secs(3);

/// Which of them.
pub(crate) type Place = usize;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Received {
    /// Of one of them.
    Of(Place, What),
    /// We are to leave.
    Interrupted(Signal),
}

/// What one of them sends.
#[derive(Debug)]
pub(crate) enum What {
    /// A line of its standard output.
    Output(String),
    /// A line of its standard error.
    Errors(String),
    /// It has ended, and so has all that it left.
    Ended(ExitStatus),
}

enum Event {
    Received(Received),
    /// One of its two outputs is at its end.
    Closed(Place),
}

/// Those that run.
pub(crate) struct Apart {
    running: BTreeMap<Place, Running>,
    /// Kept, so that the line never ends.
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

struct Running {
    child: Child,
    outputs: usize,
}

impl Apart {
    /// None yet. Call it before any thread starts: the signals that ask us to leave are taken from the whole process.
    pub(crate) fn new() -> Apart {
        nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block().expect("blocking signals");
        let (sender, receiver) = channel();
        let signal_sender = sender.clone();
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if signal_sender.send(Event::Received(Received::Interrupted(signal))).is_err() {
                    return;
                }
            }
        });
        Apart { running: BTreeMap::new(), sender, receiver }
    }

    /// Starts `command` as the process of this place. It has our blocked signals, which [`be_apart`] gives back to it.
    pub(crate) fn start(&mut self, place: Place, mut command: Command) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting our own program");
        if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
            self.listen(place, output, What::Output);
            self.listen(place, errors, What::Errors);
        }
        self.running.insert(place, Running { child, outputs: 2 });
    }

    fn listen(&self, place: Place, output: impl Read + Send + 'static, what: fn(String) -> What) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            // What cannot be read any more is at its end.
            while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                let _ = sender.send(Event::Received(Received::Of(place, what(text))));
            }
            let _ = sender.send(Event::Closed(place));
        });
    }

    /// What comes next; `None` when none runs.
    pub(crate) fn next(&mut self) -> Option<Received> {
        while !self.running.is_empty() {
            match self.receiver.recv().ok()? {
                Event::Received(received) => return Some(received),
                Event::Closed(place) => {
                    let Some(running) = self.running.get_mut(&place) else { continue };
                    running.outputs -= 1;
                    if running.outputs == 0 {
                        return Some(self.finish(place));
                    }
                }
            }
        }
        None
    }

    fn finish(&mut self, place: Place) -> Received {
        let mut running = self.running.remove(&place).expect("it was there just now");
        let status = running.child.wait().expect("the end of a process of ours");
        self.end_orphans();
        Received::Of(place, What::Ended(status))
    }

    /// Ends our children that were not started here: they are what one of the ended left.
    fn end_orphans(&self) {
        let until = Instant::now() + GONE;
        let is_orphan = |pid: &u32| !self.running.values().any(|running| running.child.id() == *pid);
        loop {
            let orphans: Vec<u32> =
                process::children(std::process::id()).into_iter().filter(is_orphan).collect();
            if orphans.is_empty() || Instant::now() >= until {
                return;
            }
            for orphan in orphans {
                let pid = Pid::from_raw(orphan.cast_signed());
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for (_, mut running) in std::mem::take(&mut self.running) {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        self.end_orphans();
    }
}

/// The first step of a process that was started here: it gets signals again.
pub(crate) fn be_apart() {
    SigSet::empty().thread_set_mask().expect("unblocking signals");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// All that the tests of this program start they start here: the orphans of one test are the children of all.
    #[test]
    fn all_output_is_received_and_orphans_are_ended_while_the_others_run() {
        let mut apart = Apart::new();
        apart.start(0, shell("echo one; echo wrong >&2; sleep 100 >/dev/null 2>&1 & echo two; kill -9 $$"));
        apart.start(1, shell("exec sleep 100"));
        apart.start(2, shell("trap 'echo still here; exit 3' USR1; while :; do sleep 0.01; done"));
        let other = apart.running.get(&2).map(|running| running.child.id()).unwrap_or_default();
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut ends = BTreeMap::new();
        while ends.len() < 2 {
            match apart.next() {
                Some(Received::Of(place, What::Output(line))) => output.push((place, line)),
                Some(Received::Of(place, What::Errors(line))) => errors.push((place, line)),
                Some(Received::Of(place, What::Ended(status))) => {
                    if place == 0 {
                        let children = process::children(std::process::id());
                        assert!(children.len() <= 2, "the orphan is gone: {children:?}");
                        kill(Pid::from_raw(other.cast_signed()), Signal::SIGUSR1).unwrap();
                    }
                    ends.insert(place, status);
                }
                Some(Received::Interrupted(signal)) => panic!("{signal}"),
                None => panic!("one more runs"),
            }
        }
        output.sort();
        let output: Vec<(usize, &str)> = output.iter().map(|(place, line)| (*place, line.as_str())).collect();
        assert_eq!(output, [(0, "one"), (0, "two"), (2, "still here")]);
        assert_eq!(errors, [(0, "wrong".to_owned())]);
        use std::os::unix::process::ExitStatusExt;
        assert_eq!((ends[&0].signal(), ends[&2].code()), (Some(9), Some(3)));
        drop(apart);
        assert!(process::children(std::process::id()).is_empty());
    }
}
