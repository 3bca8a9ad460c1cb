//! The example consumers of `scripts/examples/consumers` as children of a test, and the programs that a test finds installed or not.
//!
//! A child ends with what stands for it here. Where a program is not installed the test is skipped, with a line that says so, and fails
//! where `CI` is set.
#![allow(clippy::expect_used)]

use crate::wait;
use rusqlite::{Connection, OpenFlags, Statement};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a consumer may take to begin.
const READY: Duration = Duration::from_secs(30);

/// A child that is killed with this.
#[derive(Debug)]
pub struct Own(Child);

impl Own {
    /// Starts a command, with what it prints in a file.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Own {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let errors = log.try_clone().expect("a log");
        Own(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("starting a program"))
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|end| end.is_some())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
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
    ///
    /// # Panics
    /// When it does not begin in time.
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

    /// Whether it took the row of this key.
    pub fn has(&self, key: &str) -> bool {
        self.read("SELECT 1 FROM rows WHERE key = ?1", |rows| rows.exists([key]))
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
    installed(&python.to_string_lossy(), &["-c", "import confluent_kafka, pika, redis"]).then_some(python)
}

/// Whether a program runs and succeeds.
///
/// # Panics
/// Where it does not and `CI` is set.
pub fn installed(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let ran = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is = ran.is_ok_and(|status| status.success());
    if !is {
        skip(&format!("{program} {}", args.join(" ")));
    }
    is
}

/// Says that a test is skipped for want of this.
///
/// # Panics
/// Where `CI` is set.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} does not work here; scripts/test installs it");
    eprintln!("SKIPPED: {what} does not work here (scripts/test installs it)");
}
