//! `touchline run`: the daemon from its configuration to its exit code.
//!
//! The locks of both folders are taken before anything else is done in them: a socket has one daemon, and so has a state. Signals are
//! blocked before any thread starts, so that only the loop sees them. Exit codes are the contract's: 0 after a requested stop, 1 failed,
//! 2 bad configuration, 3 another instance.

use super::daemon::{self, Daemon, Setup};
use super::matches_file::MatchesFile;
use super::processes::Sharing;
use super::spawn::Output;
use super::state_file;
use crate::control::{Clients, Permissions};
use crate::pool::{
    ConnectionLimits, FeedPlan, Linger, MatchSource, Pool, QuotaPlan, SavedStateV3, Selection, Settings,
    Timing,
};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use touchline_common::config::{self, Config};
use touchline_common::control::Code;
use touchline_common::logging::{self, Target, Who};
use touchline_common::model::{FeedId, MatchId};
use touchline_common::sys::lock::{FileLock, LockError};
use touchline_common::sys::signals::Signals;
use touchline_common::sys::{descriptors, folders};

/// How long the last log lines may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(1);
const INSECURE: &str = "`insecure` is set: any certificate is taken, so anybody in between can read and change what comes; \
                        name the authority in `ca_file` instead";

/// Why the daemon did not run, or ended unasked.
#[derive(Debug)]
pub struct RunError {
    pub code: Code,
    pub why: String,
}

fn failed(what: impl fmt::Display, error: impl fmt::Display) -> RunError {
    RunError { code: Code::Failed, why: format!("{what}: {error}") }
}

/// As [`failed`], for what the configuration asks and cannot be had.
fn unusable(what: impl fmt::Display, error: impl fmt::Display) -> RunError {
    RunError { code: Code::Usage, ..failed(what, error) }
}

/// Runs the daemon until it is asked to stop; operators find it at `socket`.
pub fn run(config: &Config, socket: &Path) -> Result<(), RunError> {
    descriptors::mark_close_on_exec().map_err(|e| failed("marking descriptors", e))?;
    let _locks = take_folders(&config.daemon.run_dir, &config.daemon.state_dir)?;
    let signals = Signals::open_all().map_err(|e| failed("blocking signals", e))?;
    let log_file = config.log.file();
    let target = match &log_file {
        None => Target::Stderr,
        Some(path) => Target::File(
            logging::open_file(path)
                .map_err(|e| unusable(format!("log.target: opening {}", path.display()), e))?,
        ),
    };
    let log = logging::init(Who::Coordinator, &config.log.level, config.log.format, target)
        .map_err(|e| failed("beginning to log", e))?;
    let ran = daemon(config, socket, signals, log.clone(), log_file);
    if let Err(error) = &ran {
        log::error!(error = error.why.as_str(); "coord.failed");
    }
    log.flush(LOG_FLUSH);
    ran
}

fn daemon(
    config: &Config,
    socket: &Path,
    signals: Signals,
    log: logging::LogHandle,
    log_file: Option<std::path::PathBuf>,
) -> Result<(), RunError> {
    let state_path = config.daemon.state_dir.join("state.json");
    let saved = saved_state(&state_path);
    let mut pool_config = settings(config);
    let feed_names: Vec<String> = config.feed.iter().map(|feed| feed.name.clone()).collect();
    let matches_files = matches_files(config, &mut pool_config);
    let tick = pool_config.timing.tick;
    let permissions =
        Permissions { read: config.control.read_uids.clone(), operate: config.control.operate_uids.clone() }
            .with_ourselves();
    let clients = Clients::listen(socket, permissions)
        .map_err(|e| RunError { code: Code::Failed, why: e.to_string() })?;
    let child_config =
        config.to_child_json().map_err(|e| failed("writing the children's configuration", e))?;
    log::info!(
        version = env!("CARGO_PKG_VERSION"), build = crate::BUILD, pid = std::process::id(),
        feeds = config.feed.len(), socket:% = socket.display(), state:% = config.daemon.state_dir.display();
        "coord.started"
    );
    for feed in config.feed.iter().filter(|feed| feed.insecure) {
        log::warn!(feed = feed.name.as_str(), why = INSECURE; "feed.insecure");
    }
    let recorder_output = if config.streams.ndjson == "-" { Output::Ours } else { Output::Nowhere };
    let setup = Setup {
        log_file,
        feed_names,
        sharings: sharings(config),
        child_config,
        control_socket: socket.to_owned(),
        recorder_output,
        tick,
    };
    Daemon::new(setup, Pool::new(pool_config, saved.as_ref()), clients, signals, log, state_path)
        .and_then(|daemon| daemon.run(matches_files))
        .map_err(|e| failed("the loop", e))
}

/// Makes both folders and locks them. The state's is first: of two daemons with one state the second leaves no trace.
fn take_folders(run_dir: &Path, state_dir: &Path) -> Result<Vec<FileLock>, RunError> {
    make_folder(state_dir)?;
    let mut locks = vec![lock(state_dir)?];
    make_folder(run_dir)?;
    if !is_same(run_dir, state_dir) {
        locks.push(lock(run_dir)?);
    }
    Ok(locks)
}

fn make_folder(path: &Path) -> Result<(), RunError> {
    folders::make(path).map_err(|e| unusable(format!("making the folder {}", path.display()), e))
}

/// Whether both are one folder: a lock is not had twice, not even by one process.
fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((found(one), found(other)), (Ok(one), Ok(other)) if one == other)
}

fn lock(folder: &Path) -> Result<FileLock, RunError> {
    let path = folder.join("lock");
    FileLock::take(&path, Duration::ZERO).map_err(|error| match error {
        LockError::Held { pid } => {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let folder = folder.display();
            let why = format!(
                "{holder} already runs touchline in {folder}: stop it first, or give this one a run_dir and a state_dir of its own"
            );
            RunError { code: Code::NotRunning, why }
        }
        LockError::File { source } => failed(format!("locking {}", path.display()), source),
    })
}

/// What an earlier run left. A state that cannot be read is no reason not to run: the store knows the epochs, too.
fn saved_state(path: &Path) -> Option<SavedStateV3> {
    let read = state_file::read(path).map_err(|error| error.to_string());
    let state = read.and_then(|bytes| {
        let state = bytes.map(|bytes| SavedStateV3::from_json(&String::from_utf8_lossy(&bytes)));
        state.transpose().map_err(|error| error.to_string())
    });
    state.unwrap_or_else(|error| {
        log::error!(file:% = path.display(), error = error.as_str(); "state.unreadable");
        None
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        pool: config.pool.clone(),
        feeds: config.feed.iter().map(feed_plan).collect(),
        seed: u64::from(std::process::id()),
        started_at: jiff::Timestamp::now().as_second(),
        timing: Timing::default(),
        has_gateway: !config.gateway.listen.is_empty(),
    }
}

fn feed_plan(feed: &config::FeedConfig) -> FeedPlan {
    let follows = feed.follows();
    let source = if follows.list_topic.is_empty() {
        let named = feed.named_matches().ids.iter();
        MatchSource::Fixed(named.map(|id| MatchId::from(id.as_str())).collect())
    } else {
        MatchSource::List
    };
    FeedPlan {
        name: feed.name.clone(),
        kind: feed.kind.name().to_owned(),
        cap: feed.worker_capacity(),
        own_subscriptions: u32::from(!follows.time_topic.is_empty()),
        connections: ConnectionLimits {
            most: u16::try_from(feed.max_connections).unwrap_or(u16::MAX),
            per_s: feed.connects_per_s,
        },
        quota: quota(feed),
        match_topics: follows.match_topics,
        source,
        waiting_order: feed.waiting_order.clone(),
        selection: Selection { only: feed.only.clone(), skip: feed.skip.clone() },
        end_linger: feed.end_linger.0,
        linger: linger(feed.kind),
        break_before_make: feed.break_before_make,
        learns_cap: learns_cap(feed),
    }
}

fn quota(feed: &config::FeedConfig) -> Option<QuotaPlan> {
    let per_day = feed.poll.quota_per_day;
    (per_day > 0).then(|| QuotaPlan { per_day, batch: feed.poll.batch() })
}

fn linger(kind: config::FeedKind) -> Linger {
    match kind {
        // A room goes on talking, and an API goes on answering.
        config::FeedKind::Rooms | config::FeedKind::Poll => Linger::Time,
        config::FeedKind::Diffusion | config::FeedKind::Push => Linger::Silence,
    }
}

/// Who takes one load after the other has no subscriptions that could be missing, and a room is a connection of its own.
fn learns_cap(feed: &config::FeedConfig) -> bool {
    let holds = match feed.strategy {
        config::Strategy::Dumps => false,
        config::Strategy::Balanced | config::Strategy::Multiplex => true,
    };
    holds && feed.kind != config::FeedKind::Rooms && feed.over_cap == config::OverCap::Auto
}

fn sharings(config: &Config) -> Vec<Sharing> {
    let feeds = config.feed.iter().enumerate();
    feeds
        .map(|(place, feed)| match feed.strategy {
            config::Strategy::Balanced | config::Strategy::Dumps => Sharing::Alone,
            config::Strategy::Multiplex => Sharing::Shared {
                feed: FeedId(u16::try_from(place).unwrap_or(u16::MAX)),
                most: feed.connections_per_process as usize,
            },
        })
        .collect()
}

/// The files that name matches; what they say now is part of the plan.
fn matches_files(config: &Config, plan: &mut Settings) -> Vec<MatchesFile> {
    let mut files = Vec::new();
    for ((place, feed), plan) in config.feed.iter().enumerate().zip(&mut plan.feeds) {
        let named = feed.named_matches();
        if named.file.is_empty() {
            continue;
        }
        let fixed = named.ids.iter().map(|id| MatchId::from(id.as_str())).collect();
        let id = FeedId(u16::try_from(place).unwrap_or(u16::MAX));
        let mut file = MatchesFile::new(id, &feed.name, Path::new(named.file), fixed);
        let found = file.first();
        if let Some(ids) = daemon::log_found(&file, found) {
            plan.source = MatchSource::Fixed(ids);
        }
        files.push(file);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polled_match_that_left_the_list_ends_though_its_address_answers() {
        assert_eq!(linger(config::FeedKind::Poll), Linger::Time);
    }

    #[test]
    fn a_state_has_one_daemon_and_a_second_one_leaves_no_trace() {
        let site = tempfile::tempdir().unwrap();
        let folder = |name: &str| site.path().join(name);
        let first = take_folders(&folder("run"), &folder("state")).unwrap();
        assert_eq!(first.len(), 2);
        let refused = take_folders(&folder("other"), &folder("state")).unwrap_err();
        assert_eq!(refused.code, Code::NotRunning);
        assert!(refused.why.contains(&format!("process {} ", std::process::id())), "{}", refused.why);
        assert!(!folder("other").exists());
        let refused = take_folders(&folder("run"), &folder("else")).unwrap_err();
        assert_eq!(refused.code, Code::NotRunning);
        drop(first);
        assert_eq!(take_folders(&folder("state"), &folder("state")).unwrap().len(), 1);
    }
}
