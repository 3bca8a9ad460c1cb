//! Under a real supervisord, with the configuration that is shipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use touchline_common::control::Client;
use touchline_harness::process::{self, Reaper};
use touchline_harness::wait;
use touchline_simulator::{Options, Simulator};

const SHIPPED: &str = include_str!("../../../scripts/supervisord/touchline.conf");

struct Supervisord(Child);

impl Drop for Supervisord {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.0.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        );
        wait::until("the end of supervisord", Duration::from_secs(30), || self.0.try_wait().ok().flatten());
    }
}

fn supervisorctl(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("supervisorctl")
        .args(["-c", "supervisord.conf"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pid(folder: &Path) -> Option<u32> {
    let status = Client::connect(&folder.join("control.sock")).ok()?;
    let mut client = status;
    let answer = client.request("status", serde_json::Map::new(), Duration::from_secs(2)).ok()?;
    (answer["state"] == json!("ready")).then(|| answer["pid"].as_u64().unwrap() as u32)
}

#[test]
fn it_runs_restarts_and_stops_and_leaves_nothing() {
    let here = Command::new("supervisord").arg("--version").stdout(Stdio::null()).status();
    if here.is_err() {
        assert!(std::env::var_os("CI").is_none(), "supervisord is absent; scripts/test installs it");
        eprintln!("SKIPPED: supervisord is absent (Debian package supervisor)");
        return;
    }
    let _reaper = Reaper::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let simulator =
        Simulator::start(&Options { matches: 8, rate: 100.0, cap: Some(5), ..Options::default() }).unwrap();
    touchline_e2e::write_config(path, simulator.address(), "max_subscriptions = 5");
    // Only where things are is changed; what matters (groups, signals, times) is as shipped.
    let program = SHIPPED
        .replace(
            "/usr/bin/touchline run --config /etc/touchline/touchline.toml",
            &format!("{} run --config {}/touchline.toml", process::program().display(), path.display()),
        )
        .replace("/var/log/touchline.log", &format!("{}/out.log", path.display()))
        .replace("startsecs=5", "startsecs=1");
    assert!(program.contains("killasgroup=true") && program.contains("stopasgroup=false"));
    let head = format!(
        "[supervisord]\nlogfile={0}/supervisord.log\npidfile={0}/supervisord.pid\nnodaemon=true\nuser=root\n[unix_http_server]\nfile={0}/ctl.sock\n\
         [supervisorctl]\nserverurl=unix://{0}/ctl.sock\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
        path.display()
    );
    let head = if nix::unistd::geteuid().is_root() { head } else { head.replace("user=root\n", "") };
    fs::write(path.join("supervisord.conf"), format!("{head}\n{program}")).unwrap();
    let child = Command::new("supervisord")
        .args(["-c", "supervisord.conf"])
        .current_dir(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _supervisord = Supervisord(child);

    let first = wait::until("touchline ready under supervisord", Duration::from_secs(30), || pid(path));
    let workers = process::children(first);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let second =
        wait::until("touchline restarted", Duration::from_secs(30), || pid(path).filter(|pid| *pid != first));
    for worker in workers {
        assert!(
            process::status_field(worker, "PPid:").is_none_or(|parent| parent != "1"),
            "worker {worker} is an orphan"
        );
    }
    wait::until("RUNNING", Duration::from_secs(10), || {
        supervisorctl(path, &["status"]).contains("RUNNING").then_some(())
    });
    let output = supervisorctl(path, &["stop", "touchline"]);
    assert!(output.contains("stopped"), "{output}");
    wait::until("the end of it all", Duration::from_secs(5), || {
        process::children(second).is_empty().then_some(())
    });
    let log = fs::read_to_string(path.join("out.log")).unwrap();
    assert!(log.contains("pool.stopped"), "it drained: {log}");
}
