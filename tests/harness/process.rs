//! The real program in a folder of its own, and the certainty that nothing of it is left.

use super::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

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

/// Makes orphans our children, and fails the test if one is left at its end.
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
        Reaper(())
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for pid in children(std::process::id()) {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            }
            return;
        }
        wait::until("the end of every process that the test started", Duration::from_secs(5), || {
            while nix::sys::wait::waitpid(Pid::from_raw(-1), Some(nix::sys::wait::WaitPidFlag::WNOHANG))
                .is_ok_and(|status| status.pid().is_some())
            {}
            children(std::process::id()).is_empty().then_some(())
        });
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

/// The program, running, with its log in a file.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts the program with `args` in `folder`; standard error goes to `folder/log`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(folder: &Path, args: &[&str]) -> Running {
        let mut command = Command::new(program());
        command.args(args);
        Running::command(folder, command)
    }

    /// As [`Running::start`], by a command that ends up as the program.
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
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            show_log(&self.log);
        }
    }
}

#[allow(clippy::print_stderr)]
fn show_log(path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(200);
    eprintln!(
        "---- the last lines of {}\n{}",
        path.display(),
        lines.get(from..).unwrap_or_default().join("\n")
    );
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
