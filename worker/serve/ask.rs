//! Questions that would make the loop wait: of the store, read by connections that only read, and of the coordinator. Each kind has a thread and
//! a short queue; a question for which there is no room is refused.
//!
//! A third thread tails the committed events. All wake the loop when there is something for it.

use super::client::ClientId;
use super::http::{Answer, Status};
use crate::record::config::RecordConfig;
use crate::record::query::stored;
use crate::record::sink::Row;
use crate::record::sink::tail::Tail;
use crate::record::sqlite::Filter;
use mio::Waker;
use serde_json::Map;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};
use touchline_common::control::Client as Operator;
use touchline_common::ipc::messages::data::Stream;

/// Questions that may wait, of each kind.
const WAITING: usize = 64;
/// Looks of the tail that may wait for the loop.
const LOOKS: usize = 8;
/// Events of one look.
const ROWS: usize = 512;
/// Events of the past that the tail begins with.
pub(super) const PAST: i64 = 1_024;
/// How often the tail looks for what is new.
const LOOK: Duration = Duration::from_millis(20);
/// Looks in a row that fail before it is said.
const FAILURES: u32 = 5;
/// How long it waits where the store cannot be read.
const PATIENCE: Duration = Duration::from_millis(500);
const STORE_LOOK: Duration = Duration::from_secs(1);
/// How long the coordinator's answer counts as new.
const POOL_AGE: Duration = Duration::from_secs(1);
const POOL_ANSWER: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(super) enum Question {
    Events {
        filter: Filter,
        limit: usize,
    },
    Odds {
        filter: Filter,
        limit: usize,
    },
    Chat {
        filter: Filter,
        limit: usize,
    },
    /// A document that is not held any more.
    Document {
        feed: Option<String>,
        id: String,
    },
}

/// What the coordinator is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolQuestion {
    Pool,
    /// As numbers, for [`super::metrics`].
    Metrics,
}

/// What came for the loop.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(ClientId, Answer),
    /// The coordinator's state as JSON, `{"status":…,"workers":…}`, if it answered.
    Metrics(ClientId, Option<String>),
}

#[derive(Debug)]
pub(super) struct Threads {
    store: SyncSender<(ClientId, Question)>,
    pool: SyncSender<(ClientId, PoolQuestion)>,
    replies: Receiver<Reply>,
    events: Receiver<Vec<Row>>,
}

impl Threads {
    /// # Errors
    /// When a thread cannot be made.
    pub(super) fn start(config: RecordConfig, socket: PathBuf, waker: &Arc<Waker>) -> io::Result<Threads> {
        let (store, questions) = sync_channel(WAITING);
        let (pool, pool_questions) = sync_channel(WAITING);
        let (events, looks) = sync_channel(LOOKS);
        let (replies, came) = channel();
        let path = config.path.clone();
        let (wake, reply) = (Arc::clone(waker), replies.clone());
        spawn("store", move || answer_store(&path, &questions, &reply, &wake))?;
        let wake = Arc::clone(waker);
        spawn("pool", move || answer_pool(&socket, &pool_questions, &replies, &wake))?;
        let wake = Arc::clone(waker);
        spawn("events", move || tail(&config, &events, &wake))?;
        Ok(Threads { store, pool, replies: came, events: looks })
    }

    /// # Errors
    /// The answer where too many wait.
    pub(super) fn ask(&self, client: ClientId, question: Question) -> Result<(), Answer> {
        self.store.try_send((client, question)).map_err(|error| refused(&error))
    }

    /// # Errors
    /// As [`Threads::ask`].
    pub(super) fn ask_pool(&self, client: ClientId, question: PoolQuestion) -> Result<(), Answer> {
        self.pool.try_send((client, question)).map_err(|error| refused(&error))
    }

    pub(super) fn reply(&self) -> Option<Reply> {
        self.replies.try_recv().ok()
    }

    pub(super) fn events(&self) -> Option<Vec<Row>> {
        self.events.try_recv().ok()
    }
}

fn refused<T>(error: &TrySendError<T>) -> Answer {
    let why = match error {
        TrySendError::Full(_) => "too many questions wait: ask again later",
        TrySendError::Disconnected(_) => "the gateway is leaving",
    };
    Answer::refused(Status::Unavailable, why)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Until the loop is gone.
fn answer_store(
    store: &Path,
    questions: &Receiver<(ClientId, Question)>,
    replies: &Sender<Reply>,
    waker: &Waker,
) {
    while let Ok((client, question)) = questions.recv() {
        let answer = answer(store, question);
        if replies.send(Reply::Answer(client, answer)).is_err() || waker.wake().is_err() {
            return;
        }
    }
}

fn answer(store: &Path, question: Question) -> Answer {
    let rows = match question {
        Question::Events { filter, limit } => stored::events(store, &filter, limit),
        Question::Odds { filter, limit } => stored::odds(store, &filter, limit),
        Question::Chat { filter, limit } => stored::chat(store, &filter, limit),
        Question::Document { feed, id } => {
            return match stored::documents(store, feed.as_deref(), &id) {
                Ok(mut found) => match (found.pop(), found.len()) {
                    (Some(text), 0) => Answer::json(text),
                    (Some(_), _) => {
                        Answer::refused(Status::NotFound, "several feeds have it: ask for FEED/ID")
                    }
                    (None, _) => Answer::refused(Status::NotFound, "no such match is known"),
                },
                Err(error) => Answer::refused(Status::Unavailable, error),
            };
        }
    };
    match rows {
        Ok(rows) => Answer::json(format!("[{}]", rows.join(","))),
        Err(error) => Answer::refused(Status::Unavailable, error),
    }
}

fn answer_pool(
    socket: &Path,
    questions: &Receiver<(ClientId, PoolQuestion)>,
    replies: &Sender<Reply>,
    waker: &Waker,
) {
    let mut known: Option<(Instant, String)> = None;
    while let Ok((client, question)) = questions.recv() {
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() >= POOL_AGE) {
            known = ask_coordinator(socket).map(|text| (Instant::now(), text));
        }
        let text = known.as_ref().map(|(_, text)| text.clone());
        let reply = match question {
            PoolQuestion::Metrics => Reply::Metrics(client, text),
            PoolQuestion::Pool => Reply::Answer(
                client,
                match text {
                    Some(text) => Answer::json(text),
                    None => Answer::refused(Status::Unavailable, "the coordinator does not answer"),
                },
            ),
        };
        if replies.send(reply).is_err() || waker.wake().is_err() {
            return;
        }
    }
}

/// What `status` and `workers` say.
fn ask_coordinator(socket: &Path) -> Option<String> {
    let mut operator = Operator::connect(socket).ok()?;
    let mut ask = |verb| operator.request_raw(verb, Map::new(), POOL_ANSWER).ok();
    let (status, workers) = (ask("status")?, ask("workers")?);
    Some(format!(r#"{{"status":{},"workers":{}}}"#, status.get(), workers.get()))
}

/// The store's file as it was last looked at.
#[derive(Debug, Default)]
struct StoreFile {
    looked_at: Option<Instant>,
    inode: Option<u64>,
}

impl StoreFile {
    /// Whether another file is at its place than at the last look; looked at each second.
    fn is_replaced(&mut self, path: &Path) -> bool {
        if self.looked_at.is_some_and(|at| at.elapsed() < STORE_LOOK) {
            return false;
        }
        self.looked_at = Some(Instant::now());
        let Ok(found) = std::fs::metadata(path) else { return false };
        self.inode.replace(found.ino()).is_some_and(|before| before != found.ino())
    }
}

/// Sends each committed event, from some of the past on. The loop that does not take them is waited for.
fn tail(config: &RecordConfig, events: &SyncSender<Vec<Row>>, waker: &Waker) {
    let mut tail = Tail::new(config);
    let mut since: Option<i64> = None;
    let mut failures = 0;
    let mut store = StoreFile::default();
    loop {
        let looked = match since {
            Some(since) => tail.read(Stream::Match, since, ROWS),
            // No row yet: where to begin is to be known.
            None => tail.newest().map(|newest| {
                since = Some((newest - PAST).max(0));
                Vec::new()
            }),
        };
        match looked {
            Ok(rows) => {
                failures = 0;
                let Some(last) = rows.last().map(|row| row.seq) else {
                    if since.is_some() && store.is_replaced(&config.path) {
                        // Its numbers begin anew.
                        (tail, since) = (Tail::new(config), None);
                    }
                    std::thread::sleep(LOOK);
                    continue;
                };
                since = Some(last);
                if events.send(rows).is_err() || waker.wake().is_err() {
                    return;
                }
            }
            Err(error) => {
                // The recorder makes the store; until it has, there is none, or one without tables.
                failures += 1;
                if config.path.exists() && failures == FAILURES {
                    log::warn!(error = error.as_str(); "gateway.store_unread");
                }
                std::thread::sleep(PATIENCE);
            }
        }
    }
}
