//! Real brokers and the example consumers, as children of a test, in folders and on ports of their own.
//!
//! Each ends with what stands for it here; drop them before the site, whose last look is for processes that were left. Where a program is
//! not installed the test is skipped, with a line that says so, and fails where `CI` is set.

mod redis;

pub use self::redis::Redis;

use rusqlite::{Connection, OpenFlags, Statement};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use touchline_harness::wait;

/// How long a broker may take to start; RabbitMQ takes some ten seconds on an idle machine.
const START: Duration = Duration::from_secs(90);
/// How long a consumer may take to begin.
const READY: Duration = Duration::from_secs(30);

/// A child that is killed with this.
#[derive(Debug)]
struct Own(Child);

impl Own {
    /// Starts a command, with what it prints in a file.
    fn start(command: &mut Command, log: &Path) -> Own {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let errors = log.try_clone().expect("a log");
        Own(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("starting a program"))
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|end| end.is_some())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

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

/// An example consumer, which writes what it takes into a table.
#[derive(Debug)]
pub struct Consumer {
    program: Own,
    table: PathBuf,
}

impl Consumer {
    /// Starts `scripts/examples/consumers/{script}` with these arguments; its table and log are `folder/{name}` with endings.
    /// `None`: Python is not there with what it needs.
    pub fn start(folder: &Path, name: &str, script: &str, args: &[&str]) -> Option<Consumer> {
        let python = python()?;
        let script = examples().join(script);
        let (table, log) = (folder.join("table.sqlite"), folder.join(format!("{name}.log")));
        let mut command = Command::new(python);
        // It would write beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("-u").arg(script).args(args).arg("--table").arg(&table);
        let program = Own::start(&mut command, &log);
        wait::until(&format!("{name} to be ready"), READY, || {
            fs::read_to_string(&log).ok().filter(|log| log.contains("ready"))
        });
        Some(Consumer { program, table })
    }

    /// The keys of what it took of the match stream.
    pub fn events(&self) -> BTreeSet<String> {
        self.keys("SELECT key FROM rows WHERE lane IN ('priority', 'normal')")
    }

    /// The keys of what it took of the odds.
    pub fn odds(&self) -> BTreeSet<String> {
        self.keys("SELECT key FROM rows WHERE lane = 'odds'")
    }

    /// How many rows it took.
    pub fn count(&self) -> u64 {
        let count = |rows: &mut Statement<'_>| rows.query_row([], |row| row.get::<_, i64>(0));
        self.read("SELECT count(*) FROM rows", count).unsigned_abs()
    }

    pub fn kill(&mut self) {
        self.program.kill();
    }

    fn keys(&self, sql: &str) -> BTreeSet<String> {
        self.read(sql, |rows| rows.query_map([], |row| row.get(0))?.collect())
    }

    /// Nothing as long as there is no table.
    fn read<T: Default>(&self, sql: &str, take: impl Fn(&mut Statement<'_>) -> rusqlite::Result<T>) -> T {
        let read = || {
            let table = Connection::open_with_flags(&self.table, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            table.busy_timeout(Duration::from_secs(5))?;
            take(&mut table.prepare(sql)?)
        };
        read().unwrap_or_default()
    }
}

/// The folder of the example programs.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/examples/consumers")
}

/// The Python that has what the examples import: `TOUCHLINE_PYTHON`, else the one in the path.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TOUCHLINE_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    installed(&python.to_string_lossy(), &["-c", "import pika, redis"]).then_some(python)
}

fn installed(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let ran = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is = ran.is_ok_and(|status| status.success());
    if !is {
        skip(&format!("{program} {}", args.join(" ")));
    }
    is
}

#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} does not work here; scripts/test installs it");
    eprintln!("SKIPPED: {what} does not work here (scripts/test installs it)");
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
