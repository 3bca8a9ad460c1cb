//! The real program in a folder of its own, and the certainty that nothing of it is left.

use super::wait;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The program under test: `TOUCHLINE_BIN`, else built now.
///
/// # Panics
/// When it cannot be built.
#[allow(clippy::panic, clippy::expect_used)]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("TOUCHLINE_BIN") {
            return path.into();
        }
        build(&["-p", "touchline"]).join("release/touchline")
    })
}

/// The program with failpoints and bad children: `TOUCHLINE_FAULTY_BIN`, else built now.
///
/// # Panics
/// When it cannot be built.
#[allow(clippy::panic, clippy::expect_used)]
pub fn faulty_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("TOUCHLINE_FAULTY_BIN") {
            return path.into();
        }
        let words = ["-p", "touchline-chaos", "--features", "failpoints", "--bin", "touchline-faulty"];
        build(&words).join("release/touchline-faulty")
    })
}

/// Builds a package of the project, and gives the folder of what is built.
#[allow(clippy::panic, clippy::expect_used)]
fn build(words: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release"])
        .args(words)
        .current_dir(&root)
        .status()
        .expect("running cargo");
    assert!(built.success(), "building {words:?} failed");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Reapers that there are.
static REAPERS: AtomicUsize = AtomicUsize::new(0);

/// Makes orphans our children, and fails the test if one is left at its end. Of several the last one looks.
#[derive(Debug)]
pub struct Reaper(());

impl Reaper {
    /// From now on.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[allow(clippy::new_without_default, clippy::expect_used)]
    pub fn new() -> Reaper {
        nix::sys::prctl::set_child_subreaper(true).expect("becoming a subreaper");
        REAPERS.fetch_add(1, Ordering::AcqRel);
        Reaper(())
    }
}

impl Drop for Reaper {
    #[allow(clippy::panic)]
    fn drop(&mut self) {
        if REAPERS.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let until = Instant::now() + Duration::from_secs(5);
        while !std::thread::panicking() && Instant::now() < until {
            reap_children();
            if children(std::process::id()).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = children(std::process::id());
        end_children();
        assert!(std::thread::panicking(), "processes outlive the test by 5 s: {left:?}");
    }
}

/// Takes the ends of those who are our children by now.
pub fn reap_children() {
    while waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)).is_ok_and(|ended| ended.pid().is_some()) {}
}

/// Ends every child of this process, also those that become so, as far as the kernel does it within 3 s.
pub fn end_children() {
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until && !children(std::process::id()).is_empty() {
        for pid in children(std::process::id()) {
            send(pid, Signal::SIGKILL);
        }
        reap_children();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The pids of a process's children, now.
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| status_field(*pid, "PPid:").is_some_and(|value| value == parent.to_string()))
        .collect()
}

/// Whether a process is a recorder.
pub fn is_recorder(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "tl-recorder\n")
}

/// Whether a process is a gateway.
pub fn is_gateway(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "tl-gateway\n")
}

/// Whether a process is there and not only waits to be reaped.
pub fn is_alive(pid: u32) -> bool {
    status_field(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

/// Sends a signal; to a process that is gone already nothing is sent.
pub fn send(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// What a process holds open, by number.
pub fn descriptors(pid: u32) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A line of `/proc/PID/status` by its name with the colon.
pub fn status_field(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// Logs of the programs that run.
static LOGS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The last `lines` of the log of each program that this process runs, to explain why something never came; empty without any.
pub fn last_words(lines: usize) -> String {
    let logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let distinct: BTreeSet<PathBuf> = logs.into_iter().collect();
    distinct.iter().map(|log| end_of_log(log, lines)).collect()
}

/// The program, running, with its log in a file.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts the program in `folder` by a command that ends up as it; standard error goes to `folder/log`.
    ///
    /// # Panics
    /// When it does not start.
    #[allow(clippy::expect_used)]
    pub fn command(folder: &Path, mut command: Command) -> Running {
        let log = folder.join("log");
        let file = File::options().create(true).append(true).open(&log).expect("opening the log");
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("starting touchline");
        LOGS.lock().unwrap_or_else(PoisonError::into_inner).push(log.clone());
        Running { child, log }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log has `text`.
    ///
    /// # Panics
    /// At the deadline.
    pub fn wait_for_log(&self, text: &str, patience: Duration) {
        wait::until(&format!("{text:?} in the log"), patience, || self.log().contains(text).then_some(()));
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone already.
    #[allow(clippy::expect_used)]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("signalling touchline");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// At the deadline.
    #[allow(clippy::expect_used)]
    pub fn wait_for_end(&mut self, patience: Duration) -> ExitStatus {
        wait::until("the end of touchline", patience, || self.child.try_wait().expect("waiting"))
    }
}

impl Drop for Running {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprint!("{}", end_of_log(&self.log, 200));
        }
        let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = logs.iter().position(|log| *log == self.log) {
            logs.swap_remove(at);
        }
    }
}

fn end_of_log(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    let end = all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n");
    format!("---- the last lines of {}\n{end}\n", path.display())
}

/// Runs the program to its end and gives what it printed.
///
/// # Panics
/// When it does not start.
#[allow(clippy::expect_used)]
pub fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(program())
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("running touchline")
}
