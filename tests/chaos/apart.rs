//! Processes of our own program, side by side, and what they say as it comes.
//!
//! What aborts in one harms no other; what it leaves becomes ours, for we are a subreaper, and is ended. A signal that asks us to leave
//! is heard between two lines, and whoever drops this leaves no process behind.

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

/// What is heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Of one of them.
    Of(Place, What),
    /// We are to leave.
    Interrupted(Signal),
}

/// What is heard of one.
#[derive(Debug)]
pub(crate) enum What {
    /// A line of its standard output.
    Said(String),
    /// A line of its standard error.
    Complained(String),
    /// It has ended, and so has all that it left.
    Ended(ExitStatus),
}

enum Event {
    Heard(Heard),
    /// One of its two outputs is at its end.
    Closed(Place),
}

/// Those that run.
pub(crate) struct Apart {
    running: BTreeMap<Place, Running>,
    /// Kept, so that the line never ends.
    mouth: Sender<Event>,
    ear: Receiver<Event>,
}

struct Running {
    child: Child,
    outputs: usize,
}

impl Apart {
    /// Nobody yet. Call it before any thread starts: the signals that ask us to leave are taken from the whole process.
    pub(crate) fn new() -> Apart {
        nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block().expect("blocking signals");
        let (mouth, ear) = channel();
        let told = mouth.clone();
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if told.send(Event::Heard(Heard::Interrupted(signal))).is_err() {
                    return;
                }
            }
        });
        Apart { running: BTreeMap::new(), mouth, ear }
    }

    /// Starts `command` as the process of this place. It has our blocked signals, which [`be_apart`] gives back to it.
    pub(crate) fn start(&mut self, place: Place, mut command: Command) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting our own program");
        if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
            self.listen(place, output, What::Said);
            self.listen(place, errors, What::Complained);
        }
        self.running.insert(place, Running { child, outputs: 2 });
    }

    fn listen(&self, place: Place, output: impl Read + Send + 'static, what: fn(String) -> What) {
        let mouth = self.mouth.clone();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            // What cannot be read any more is at its end.
            while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                let _ = mouth.send(Event::Heard(Heard::Of(place, what(text))));
            }
            let _ = mouth.send(Event::Closed(place));
        });
    }

    /// What is heard next; `None` when nobody runs.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        while !self.running.is_empty() {
            match self.ear.recv().ok()? {
                Event::Heard(heard) => return Some(heard),
                Event::Closed(place) => {
                    let Some(running) = self.running.get_mut(&place) else { continue };
                    running.outputs -= 1;
                    if running.outputs == 0 {
                        return Some(self.bury(place));
                    }
                }
            }
        }
        None
    }

    fn bury(&mut self, place: Place) -> Heard {
        let mut running = self.running.remove(&place).expect("it was there just now");
        let status = running.child.wait().expect("the end of a process of ours");
        self.end_orphans();
        Heard::Of(place, What::Ended(status))
    }

    /// Ends our children that nobody started here: they are what one of the ended left.
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

/// The first step of a process that was started here: it hears signals again.
pub(crate) fn be_apart() {
    SigSet::empty().thread_set_mask().expect("hearing signals");
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
    fn all_is_heard_and_what_one_leaves_is_ended_while_the_others_run() {
        let mut apart = Apart::new();
        apart.start(0, shell("echo one; echo wrong >&2; sleep 100 >/dev/null 2>&1 & echo two; kill -9 $$"));
        apart.start(1, shell("exec sleep 100"));
        apart.start(2, shell("trap 'echo still here; exit 3' USR1; while :; do sleep 0.01; done"));
        let other = apart.running.get(&2).map(|running| running.child.id()).unwrap_or_default();
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let mut ends = BTreeMap::new();
        while ends.len() < 2 {
            match apart.next() {
                Some(Heard::Of(place, What::Said(line))) => said.push((place, line)),
                Some(Heard::Of(place, What::Complained(line))) => complained.push((place, line)),
                Some(Heard::Of(place, What::Ended(status))) => {
                    if place == 0 {
                        let children = process::children(std::process::id());
                        assert!(children.len() <= 2, "the orphan is gone: {children:?}");
                        kill(Pid::from_raw(other.cast_signed()), Signal::SIGUSR1).unwrap();
                    }
                    ends.insert(place, status);
                }
                Some(Heard::Interrupted(signal)) => panic!("{signal}"),
                None => panic!("one more runs"),
            }
        }
        said.sort();
        let said: Vec<(usize, &str)> = said.iter().map(|(place, line)| (*place, line.as_str())).collect();
        assert_eq!(said, [(0, "one"), (0, "two"), (2, "still here")]);
        assert_eq!(complained, [(0, "wrong".to_owned())]);
        use std::os::unix::process::ExitStatusExt;
        assert_eq!((ends[&0].signal(), ends[&2].code()), (Some(9), Some(3)));
        drop(apart);
        assert!(process::children(std::process::id()).is_empty());
    }
}
