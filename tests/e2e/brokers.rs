//! Real brokers, as children of a test, in folders and on ports of their own; the example consumers are the harness's.
//!
//! Each ends with what stands for it here; drop them before the site, whose last look is for processes that were left. Where a program is
//! not installed the test is skipped, with a line that says so, and fails where `CI` is set.

mod redis;

pub use self::redis::Redis;
pub use touchline_harness::consumer::{Consumer, examples};

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use touchline_harness::consumer::{Own, skip};
use touchline_harness::wait;

/// How long a broker may take to start; RabbitMQ takes some ten seconds on an idle machine, and longer over many messages after a kill.
const START: Duration = Duration::from_secs(180);

#[derive(Debug)]
pub struct RabbitMq {
    server: Option<Own>,
    /// The names of Erlang's nodes: started by us, so that no broker leaves one behind.
    _names: Own,
    folder: TempDir,
    /// The folder of its programs.
    scripts: PathBuf,
    port: u16,
    names_port: u16,
    nodes_port: u16,
}

impl RabbitMq {
    /// A broker with the user `guest`; `None`: it is not installed.
    pub fn start() -> Option<RabbitMq> {
        let scripts = rabbitmq_scripts()?;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("rabbitmq.conf"), "disk_free_limit.absolute = 50MB\n").expect("writing");
        fs::write(folder.path().join("plugins"), "[].\n").expect("writing");
        let (port, names_port, nodes_port) = (free_port(), free_port(), free_port());
        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1", "-port", &names_port.to_string()]);
        let names = Own::start(&mut names, &folder.path().join("epmd.log"));
        wait_for_port("epmd", names_port);
        let mut broker =
            RabbitMq { server: None, _names: names, folder, scripts, port, names_port, nodes_port };
        broker.start_again();
        Some(broker)
    }

    /// Starts it with what it had written.
    pub fn start_again(&mut self) {
        let mut command = self.command("rabbitmq-server");
        self.server = Some(Own::start(&mut command, &self.folder.path().join("output")));
        wait_for_port("rabbitmq-server", self.port);
    }

    /// Changes a running one, as an operator does.
    ///
    /// # Panics
    /// When it refuses.
    pub fn control(&self, words: &[&str]) {
        let ran = self.command("rabbitmqctl").args(words).stdin(Stdio::null()).output().expect("rabbitmqctl");
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }

    /// A program of the broker, for this one.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(self.scripts.join(program));
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("touchline{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.nodes_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("logs"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false")
            // So the shell becomes the broker, and our child is the one to kill.
            .env("RUNNING_UNDER_SYSTEMD", "1");
        command
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// As a consumer writes it, with the password.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2F", self.port)
    }

    /// As the daemon's configuration writes it.
    pub fn address(&self) -> String {
        format!("amqp://guest@127.0.0.1:{}", self.port)
    }
}

/// The folder of the scripts that run the broker as whoever we are; those in the path become another user.
fn rabbitmq_scripts() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let mut folders = versions.map(|version| version.path().join("sbin"));
    let found = folders.find(|folder| folder.join("rabbitmq-server").exists());
    if found.is_none() {
        skip("rabbitmq-server");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|port| port.local_addr())
        .expect("a free port")
        .port()
}

fn wait_for_port(what: &str, port: u16) {
    wait::until(what, START, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
}
