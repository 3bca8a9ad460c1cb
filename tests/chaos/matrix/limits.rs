//! A system that refuses: no program to start, no descriptors, no processes, no reader, no room.

use super::ground::{Ground, Plan, is_alive, send};
use super::{Case, Verdict};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use touchline_harness::{process, wait};

const NOFILE: &str = "--nofile";
const COMES: Duration = Duration::from_secs(20);
/// A user that owns nothing.
const UNPRIVILEGED: u32 = 65_534;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("exec/not-executable", not_executable),
        Case::new("exec/removed", || {
            still_our_image(|path| std::fs::remove_file(path).expect("removing it"))
        }),
        Case::new("exec/replaced", || still_our_image(replace)),
        Case::new("nofile/coordinator/spawn", no_descriptors_to_spawn),
        Case::new("nofile/coordinator/accept", no_descriptors_to_accept),
        Case::new("nofile/worker/receive", || no_descriptors_to_receive("worker")),
        Case::new("nofile/recorder/receive", || no_descriptors_to_receive("recorder")),
        Case::new("nproc/coordinator/spawn", no_processes),
        Case::new("epipe/control-client", clients_that_leave),
        Case::new("full-pipe/stderr", log_without_a_reader),
        Case::new("full-disk/state", no_room_for_the_state),
    ]
}

/// The image may not be executed any more: starts fail, the coordinator is still the only one, and once it may again all is well.
fn not_executable() -> Verdict {
    let ground = Ground::live(Plan { copy: true, ..Plan::default() });
    let mode = |bits| {
        let set = std::fs::set_permissions(ground.file("touchline"), std::fs::Permissions::from_mode(bits));
        set.expect("the program's mode");
    };
    mode(0o644);
    send(ground.worker(), Signal::SIGKILL);
    ground.daemon.wait_for_log("worker.spawn_failed", COMES);
    assert_eq!(process::children(std::process::id()), [ground.daemon.pid()], "one coordinator");
    assert!(ground.live_matches() >= 6, "the others go on");
    mode(0o755);
    ground.conclude("logged, tried again")
}

/// What becomes of the file is nothing to a coordinator that runs: it starts its own image.
fn still_our_image(change: fn(&Path)) -> Verdict {
    let mut ground = Ground::live(Plan { copy: true, ..Plan::default() });
    change(&ground.file("touchline"));
    let victim = ground.worker();
    send(victim, Signal::SIGKILL);
    wait::until("its end", COMES, || (!is_alive(victim)).then_some(()));
    ground.settle();
    assert!(!ground.daemon.log().contains("spawn_failed"), "{}", ground.daemon.log());
    ground.conclude("started from the image that runs")
}

fn replace(path: &Path) {
    let other = path.with_extension("new");
    std::fs::write(&other, "#!/bin/sh\nexit 2\n").expect("another program");
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    std::fs::rename(&other, path).expect("replacing the program");
}

fn no_descriptors_to_spawn() -> Verdict {
    let ground = Ground::live(Plan::default());
    let coordinator = ground.daemon.pid();
    // What the dead worker leaves is fewer than a start needs.
    let victim = ground.workers().last().expect("a worker").1;
    let before = ground.limit(coordinator, NOFILE, "8");
    send(victim, Signal::SIGKILL);
    ground.daemon.wait_for_log("worker.spawn_failed", COMES);
    std::thread::sleep(Duration::from_secs(2));
    let tries = ground.daemon.log().matches("worker.spawn_failed").count();
    assert!(tries <= 4, "{tries} starts in 2 s: back-off");
    assert!(ground.daemon.log().contains("Too many open files"), "it says why");
    ground.limit(coordinator, NOFILE, &before);
    ground.conclude(format!("{tries} starts failed in 2 s"))
}

fn no_descriptors_to_accept() -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let (coordinator, before) = (ground.daemon.pid(), ground.workers());
    // What it has it keeps, but nothing is added, wherever a gap may be.
    let limit = ground.limit(coordinator, NOFILE, "3");
    let mut clients = Vec::new();
    wait::until("a client that is not let in", COMES, || {
        clients.push(UnixStream::connect(ground.socket()).expect("a place in the queue"));
        std::thread::sleep(Duration::from_millis(20));
        ground.daemon.log().contains("control.accept_failed").then_some(())
    });
    let ticks = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let number = |n: usize| fields.split_whitespace().nth(n).and_then(|text| text.parse::<u64>().ok());
        number(11).unwrap_or_default() + number(12).unwrap_or_default()
    };
    let spent = ticks(coordinator);
    std::thread::sleep(Duration::from_secs(2));
    let spent = ticks(coordinator) - spent;
    assert!(spent < 50, "it spins: {spent} ticks of processor time in 2 s");
    ground.limit(coordinator, NOFILE, &limit);
    drop(clients);
    wait::until("an answer", COMES, || ground.request("ping", json!({})).ok());
    ground.settle();
    assert_eq!(ground.workers(), before, "no worker was touched");
    ground.conclude(format!("{} ms of processor time in 2 s", spent * 10))
}

/// A descriptor that was sent to a process without room for it is lost: the channel is at its end, and so is the process.
fn no_descriptors_to_receive(child: &str) -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let (victim, sender) = match child {
        // A new recorder means a new data channel for every worker.
        "worker" => (ground.worker(), ground.recorder()),
        _ => (ground.recorder(), ground.worker()),
    };
    // What it has it keeps, but nothing is added, wherever a gap may be.
    ground.limit(victim, NOFILE, "3");
    send(sender, Signal::SIGKILL);
    wait::until("the end of who could not receive", COMES, || (!is_alive(victim)).then_some(()));
    ground.settle();
    let log = ground.daemon.log();
    assert!(log.contains("descriptors were lost on a channel"), "it says why: {log}");
    ground.conclude("logged, started anew")
}

fn no_processes() -> Verdict {
    if !nix::unistd::geteuid().is_root() {
        return Verdict::Skipped("the limit needs a user of its own, and that needs root".to_owned());
    }
    let ground = Ground::live(Plan { uid: Some(UNPRIVILEGED), copy: true, ..Plan::default() });
    let coordinator = ground.daemon.pid();
    let before = ground.limit(coordinator, "--nproc", "1");
    let pulse = ground.pulse();
    send(ground.worker(), Signal::SIGKILL);
    ground.daemon.wait_for_log("worker.spawn_failed", COMES);
    assert!(ground.live_matches() >= 6, "the others go on");
    let slowest = pulse.stop();
    ground.limit(coordinator, "--nproc", &before);
    ground.conclude(format!("logged, tried again, {slowest}"))
}

/// Clients that ask much and leave before they are answered, or in the middle of a request.
fn clients_that_leave() -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let before = ground.workers();
    let pulse = ground.pulse();
    let verbs = ["matches", "status", "workers", "events", "gaps"];
    for (n, verb) in verbs.iter().cycle().enumerate().take(200) {
        let mut client = UnixStream::connect(ground.socket()).expect("the control socket");
        let lines = format!("{{\"verb\":\"{verb}\",\"args\":{{}}}}\n").repeat(8);
        let end = if n % 3 == 0 { lines.len() - 9 } else { lines.len() };
        // A client that was cut off is as good as one that leaves.
        let _ = client.write_all(lines.get(..end).unwrap_or_default().as_bytes());
        if n % 2 == 0 {
            let _ = client.read(&mut [0; 64]);
        }
    }
    let slowest = pulse.stop();
    ground.settle();
    assert_eq!(ground.workers(), before, "no child was touched");
    ground.conclude(slowest)
}

/// The log's reader stops: lines are dropped and counted, nothing else waits.
fn log_without_a_reader() -> Verdict {
    let mut ground = Ground::live(Plan::default());
    let path = ground.file("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let mut reader = std::fs::File::options().read(true).write(true).open(&path).expect("the pipe");
    let script = "exec 2>fifo; exec \"$0\" run --config touchline.toml";
    ground.daemon.signal(Signal::SIGTERM);
    ground.daemon.wait_for_end(Duration::from_secs(30));
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(process::faulty_program());
    ground.take_over(command);
    ground.settle();
    let before = ground.workers();
    let pulse = ground.pulse();
    // Each makes a line of 3 kB; the pipe takes 64 KiB and the queue before it 1 MiB.
    for _ in 0..1_000 {
        assert!(ground.request("resync", json!({ "match": "x".repeat(3_000) })).is_err());
    }
    let slowest = pulse.stop();
    assert_eq!(ground.workers(), before, "no worker was touched");
    // The reader comes back: the log counts what it missed.
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&seen);
    std::thread::spawn(move || {
        let (mut buffer, mut tail) = ([0; 65_536], String::new());
        while let Ok(count) = reader.read(&mut buffer) {
            tail.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()));
            if tail.contains("log.dropped") {
                flag.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            let keep = tail.len().saturating_sub(64);
            tail = tail.chars().skip(keep).collect();
        }
    });
    wait::until("how many lines were dropped", COMES, || {
        seen.load(std::sync::atomic::Ordering::Relaxed).then_some(())
    });
    ground.conclude(slowest)
}

/// The disk of the state is full: it is logged, the old state stays, everything else goes on.
fn no_room_for_the_state() -> Verdict {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    let Some(disk) = Disk::mount(&disk) else {
        return Verdict::Skipped("a small file system cannot be mounted here".to_owned());
    };
    let ground = Ground::live(Plan { state: Some(disk.0.clone()), ..Plan::default() });
    let ballast = disk.0.join("ballast");
    // To the last byte: the error is the aim.
    let _ = std::fs::write(&ballast, vec![0; 1 << 20]);
    let _ = std::fs::File::options().append(true).open(&ballast).and_then(|mut file| {
        while file.write(&[0; 512])? > 0 {}
        Ok(())
    });
    send(ground.worker(), Signal::SIGKILL);
    let trouble = ground.wait_for_text("/state_trouble", |text| !text.is_empty());
    assert!(trouble.contains("No space left"), "{trouble}");
    ground.assert_state_is_whole();
    std::fs::remove_file(&ballast).expect("the ballast");
    ground.wait_for_text("/state_trouble", str::is_empty);
    let verdict = ground.conclude("logged, saved once there was room");
    drop(disk);
    verdict
}

/// A file system of a few pages.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        std::fs::create_dir_all(at).expect("a folder");
        let call = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(at).output();
        call.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a case that went wrong the daemon may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
