//! A run at several sites, as people start it: what it prints, and that nothing is left, however it ends.
#![allow(clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use touchline_harness::process::{self, Reaper, Running};
use touchline_harness::wait;

/// How long a run of a few faults may take, on a busy machine.
const RUN: Duration = Duration::from_secs(100);

/// A run, with all that it prints in a file.
struct Run {
    program: Running,
    folder: TempDir,
    _reaper: Reaper,
}

impl Run {
    /// Two sites, workers killed.
    fn start(faults: &str) -> Run {
        let reaper = Reaper::new();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >out 2>&1"]).arg(env!("CARGO_BIN_EXE_touchline-chaos"));
        command.args(["--faults", faults, "--seed", "3", "--sites", "2", "--only", "worker kill -9"]);
        // The machine is busy with other tests: times are compared with the promises by the script.
        command.args(["--slack", "5000"]).env("TMPDIR", folder.path());
        let program = Running::command(folder.path(), command);
        Run { program, folder, _reaper: reaper }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    fn wait_for_faults_at_both(&self) {
        wait::until("a fault at each site", RUN, || {
            let output = self.output();
            ["site 0:    1  worker kill", "site 1:    1  worker kill"]
                .iter()
                .all(|line| output.contains(line))
                .then_some(())
        });
    }

    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.display().to_string().contains("touchline-chaos-")).collect()
    }
}

#[test]
fn sites_end_in_one_table_and_one_line() {
    let mut run = Run::start("7");
    let end = run.program.wait_for_end(RUN);
    let output = run.output();
    assert_eq!(end.code(), Some(0), "{output}");
    let of =
        |site: &str| output.lines().filter(|line| line.contains(site) && line.contains("live again")).count();
    assert_eq!((of("site 0: "), of("site 1: ")), (4, 3), "{output}");
    let begins = |text: &str| output.lines().filter(|line| line.starts_with(text)).count();
    assert_eq!(
        (begins("fault "), begins("worker kill -9 "), begins("seed=3 sites=2 ")),
        (1, 1, 1),
        "{output}"
    );
    let last = output.lines().last().unwrap();
    let good = "faults=7 lost=0 doubled=0 leftovers=0 leaked_fds=0 longest_unfollowed_ms=";
    assert!(last.starts_with(good), "{output}");
    assert!(run.folders().is_empty(), "what is good is not kept");
}

#[test]
fn a_site_without_an_outcome_is_reported_and_the_others_go_on() {
    let mut run = Run::start("8");
    run.wait_for_faults_at_both();
    let is_second = |pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("--site\x001\0")
    };
    let second = process::children(run.program.pid()).into_iter().find(is_second).unwrap();
    kill(Pid::from_raw(second.cast_signed()), Signal::SIGKILL).unwrap();
    let end = run.program.wait_for_end(RUN);
    let output = run.output();
    assert_eq!(end.code(), Some(1), "{output}");
    let wrong = output.lines().find(|line| line.starts_with("site 1: it ended without its outcome")).unwrap();
    let kept = wrong.rsplit_once("log and store are kept in ").unwrap().1;
    assert_eq!(run.folders(), [PathBuf::from(kept)], "{output}");
    assert!(PathBuf::from(kept).join("log").exists());
    assert!(output.contains("site 0:    4  worker kill"), "{output}");
    assert!(output.lines().last().unwrap().starts_with("faults=4 "), "{output}");
}

#[test]
fn an_interrupted_run_leaves_no_process() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut run = Run::start("60");
        run.wait_for_faults_at_both();
        run.program.signal(signal);
        let end = run.program.wait_for_end(Duration::from_secs(10));
        assert_eq!(end.code(), Some(128 + signal as i32), "{}", run.output());
        assert_eq!(process::children(std::process::id()), [0; 0], "all are gone when it is");
        assert_eq!(run.folders().len(), 2);
    }
}
