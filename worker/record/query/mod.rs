//! Operators' questions about stored data, each on a thread of its own with a connection that only reads.
//!
//! The coordinator checks who asks and hands the client's socket over. One answer line as everywhere on the control
//! socket; `events` is answered `{"ok":true,"result":null}` and then one event object a line: to the newest committed one, or with
//! `follow` until the client leaves. A client that does not read is closed; at most [`MAX_CLIENTS`] at a time.

mod rows;

use super::config::RecordConfig;
use super::documents_old::Documents;
use super::store::Shared;
use super::store::open::open_to_read;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use rows::Filter;
use rusqlite::Connection;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use touchline_common::control::{Answer, Code};

/// Clients at one time.
pub const MAX_CLIENTS: usize = 16;
/// How long one write to a client may take.
const WRITE: Duration = Duration::from_secs(5);
/// The least time between two looks of a follower.
const FOLLOW_PAUSE: Duration = Duration::from_millis(20);
/// How often a follower looks whether its client is still there.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(1);
/// Events that a question gets which says neither since when nor how many: the newest.
const NEWEST: usize = 100;
/// Rows of any other answer at most: it is one line.
const MOST: usize = 100_000;
/// Rows of one look at the events.
const LOOK_ROWS: usize = 1_000;

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    /// `match`, `events`, `odds`, `gaps`.
    pub verb: String,
    /// Its arguments, a JSON object.
    pub args: String,
}

/// Those who ask.
#[derive(Debug)]
pub struct Clients {
    config: Arc<RecordConfig>,
    shared: Arc<Shared>,
    open: Arc<AtomicUsize>,
}

/// Why a question has no answer: an exit code and words.
type Refusal = (Code, String);

/// What a thread is to do.
enum Task {
    /// The document as text, put together already.
    Document(String),
    /// A document that is only in the store.
    Stored {
        feed: Option<String>,
        id: String,
    },
    Events {
        filter: Filter,
        /// At most so many rows of the past.
        limit: usize,
        follow: Follow,
    },
    Odds {
        filter: Filter,
        market: Option<String>,
        limit: usize,
    },
    Gaps,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    No,
    Yes,
}

impl Clients {
    /// Nobody yet.
    pub fn new(config: Arc<RecordConfig>, shared: Arc<Shared>) -> Clients {
        Clients { config, shared, open: Arc::new(AtomicUsize::new(0)) }
    }

    /// Answers one question on `socket`, which is then closed. Never waits for the client.
    pub fn answer(&self, query: &Query, socket: OwnedFd, documents: &Documents) {
        let stream = UnixStream::from(socket);
        let task = task(query, documents);
        if self.open.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
            self.open.fetch_sub(1, Ordering::AcqRel);
            // The socket's buffer is empty: a short line fits without waiting.
            let _ = stream.set_nonblocking(true);
            let told = format!("{MAX_CLIENTS} clients are being answered: try again later");
            return drop((&stream).write_all(&Answer::refused(Code::Failed, told).to_line()));
        }
        let (path, shared, open) =
            (self.config.path.clone(), Arc::clone(&self.shared), Arc::clone(&self.open));
        let spawned = std::thread::Builder::new().name("query".into()).spawn(move || {
            let served = serve(&stream, task, &path, &shared);
            if let Err(error) = served {
                // One that left had the right to.
                let left = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                if left {
                    log::debug!(error:% = error; "query.client_lost");
                } else {
                    log::warn!(error:% = error; "query.client_lost");
                }
            }
            open.fetch_sub(1, Ordering::AcqRel);
        });
        if let Err(error) = spawned {
            self.open.fetch_sub(1, Ordering::AcqRel);
            log::error!(error:% = error; "query.no_thread");
        }
    }
}

fn task(query: &Query, documents: &Documents) -> Result<Task, Refusal> {
    let args: Map<String, Value> = serde_json::from_str(&query.args)
        .map_err(|error| (Code::Usage, format!("the arguments are no JSON object: {error}")))?;
    let args = Args(args);
    let limit = args.number("limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    match query.verb.as_str() {
        "match" => document(args.text("match"), documents),
        "events" => {
            let follow = if args.is_set("follow") { Follow::Yes } else { Follow::No };
            let filter = args.filter(documents)?;
            // A follower begins with now, unless it asks for some of the past.
            let limit = match (limit, &filter.since, follow) {
                (Some(limit), _, _) => limit,
                (None, Some(_), _) => usize::MAX,
                (None, None, Follow::Yes) => 0,
                (None, None, Follow::No) => NEWEST,
            };
            Ok(Task::Events { filter, limit, follow })
        }
        "odds" => {
            let filter = args.filter(documents)?;
            if filter.id.is_none() {
                return Err((Code::Usage, "odds wants a match".into()));
            }
            let limit = limit.map_or(MOST, |limit| limit.min(MOST));
            Ok(Task::Odds { filter, market: args.text("market").map(str::to_owned), limit })
        }
        "gaps" => Ok(Task::Gaps),
        other => Err((Code::Usage, format!("the recorder knows no verb {other:?}"))),
    }
}

fn document(named: Option<&str>, documents: &Documents) -> Result<Task, Refusal> {
    let Some(named) = named else { return Err((Code::Usage, "match wants a match".into())) };
    let (feed, id) = split(named);
    let found = documents.find(feed, id);
    let texts: Vec<String> = found.iter().filter_map(|key| documents.text(key)).collect();
    match <[String; 1]>::try_from(texts) {
        Ok([text]) => Ok(Task::Document(text)),
        Err(texts) if texts.is_empty() => {
            Ok(Task::Stored { feed: feed.map(str::to_owned), id: id.to_owned() })
        }
        Err(_) => Err((Code::Failed, ambiguous(id, found.iter().map(|key| documents.feed(key))))),
    }
}

fn ambiguous<'a>(id: &str, feeds: impl Iterator<Item = &'a str>) -> String {
    let named: Vec<String> = feeds.map(|feed| format!("{feed}/{id}")).collect();
    format!("more than one feed has {id}: say {}", named.join(" or "))
}

/// `FEED/ID`, or `ID`.
fn split(named: &str) -> (Option<&str>, &str) {
    match named.split_once('/') {
        Some((feed, id)) => (Some(feed), id),
        None => (None, named),
    }
}

struct Args(Map<String, Value>);

impl Args {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                text.parse().map(Some).map_err(|_| (Code::Usage, format!("{name}: {text:?} is no number")))
            }
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err((Code::Usage, format!("{name}: {value} is no whole number"))),
            },
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn filter(&self, documents: &Documents) -> Result<Filter, Refusal> {
        let since = self.number("since")?.map(|since| i64::try_from(since).unwrap_or(i64::MAX));
        let lane = self.text("lane").map(str::to_owned);
        let mut filter = Filter { since, feed: None, id: None, lane };
        if let Some(named) = self.text("match") {
            let (feed, id) = split(named);
            let found = documents.find(feed, id);
            if found.len() > 1 {
                return Err((Code::Failed, ambiguous(id, found.iter().map(|key| documents.feed(key)))));
            }
            filter.feed = feed.map(str::to_owned).or(found.first().map(|key| documents.feed(key).to_owned()));
            filter.id = Some(id.to_owned());
        }
        Ok(filter)
    }
}

fn serve(
    mut stream: &UnixStream,
    task: Result<Task, Refusal>,
    path: &std::path::Path,
    shared: &Shared,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE))?;
    let line = match task {
        Err(refusal) => Err(refusal),
        Ok(Task::Document(text)) => Ok(text),
        Ok(task) => match open_to_read(path) {
            Ok(connection) => {
                if let Task::Events { filter, limit, follow } = task {
                    return events(stream, &connection, filter, limit, follow, shared);
                }
                stored(&connection, task)
            }
            Err(error) => Err((Code::Failed, format!("the store does not open: {error}"))),
        },
    };
    match line {
        Ok(result) => {
            stream.write_all(b"{\"ok\":true,\"result\":")?;
            stream.write_all(result.as_bytes())?;
            stream.write_all(b"}\n")
        }
        Err((code, error)) => stream.write_all(&Answer::refused(code, error).to_line()),
    }
}

/// The result of a question that is answered in one line.
fn stored(connection: &Connection, task: Task) -> Result<String, Refusal> {
    let failed = |error: rusqlite::Error| (Code::Failed, format!("reading the store: {error}"));
    let answer = match task {
        Task::Document(text) => return Ok(text),
        Task::Stored { feed, id } => {
            let mut found = rows::documents(connection, feed.as_deref(), &id).map_err(failed)?;
            return match (found.pop(), found.is_empty()) {
                (Some((_, text)), true) => Ok(text),
                (None, _) => Err((Code::Failed, format!("no match {id} is known"))),
                (Some(last), false) => {
                    found.push(last);
                    Err((Code::Failed, ambiguous(&id, found.iter().map(|(feed, _)| feed.as_str()))))
                }
            };
        }
        // Answered line by line, see `events`.
        Task::Events { .. } => return Ok("null".to_owned()),
        Task::Odds { filter, market, limit } => rows::odds(connection, &filter, market.as_deref(), limit),
        Task::Gaps => rows::gaps(connection, MOST),
    };
    let lines = answer.map_err(failed)?;
    Ok(format!("[{}]", lines.join(",")))
}

/// First what is asked for of the past, then, to a follower, each event as it is committed.
fn events(
    mut stream: &UnixStream,
    connection: &Connection,
    filter: Filter,
    limit: usize,
    follow: Follow,
    shared: &Shared,
) -> io::Result<()> {
    stream.write_all(b"{\"ok\":true,\"result\":null}\n")?;
    let committed = shared.wait_beyond(-1, Duration::ZERO);
    let seen = past(stream, connection, filter.clone(), limit, committed)?;
    match follow {
        Follow::No => Ok(()),
        Follow::Yes => follow_from(stream, connection, filter, seen, shared),
    }
}

/// The newest `limit` events, or those after `since`, oldest first; the highest `seq` that was looked at.
fn past(
    stream: &UnixStream,
    connection: &Connection,
    mut filter: Filter,
    limit: usize,
    committed: i64,
) -> io::Result<i64> {
    let Some(mut seen) = filter.since else {
        let (lines, newest) = rows::events(connection, &filter, limit.min(MOST)).map_err(io::Error::other)?;
        send(stream, &lines)?;
        return Ok(newest.unwrap_or(0).max(committed));
    };
    let mut left = limit;
    while left > 0 {
        filter.since = Some(seen);
        let look = left.min(LOOK_ROWS);
        let (lines, last) = rows::events(connection, &filter, look).map_err(io::Error::other)?;
        send(stream, &lines)?;
        left -= lines.len().min(left);
        seen = last.unwrap_or(seen).max(seen);
        if lines.len() < look {
            break;
        }
    }
    Ok(seen)
}

fn follow_from(
    stream: &UnixStream,
    connection: &Connection,
    mut filter: Filter,
    mut seen: i64,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let newest = shared.wait_beyond(seen, FOLLOW_PATIENCE);
        if shared.closing.load(Ordering::Acquire) || has_left(stream) {
            return Ok(());
        }
        if newest <= seen {
            continue;
        }
        filter.since = Some(seen);
        let (lines, last) = rows::events(connection, &filter, LOOK_ROWS).map_err(io::Error::other)?;
        send(stream, &lines)?;
        match last {
            // There may be more than one look gives.
            Some(last) if lines.len() >= LOOK_ROWS => seen = last,
            Some(last) => seen = newest.max(last),
            None => seen = newest,
        }
        if lines.len() < LOOK_ROWS {
            std::thread::sleep(FOLLOW_PAUSE);
        }
    }
}

fn send(mut stream: &UnixStream, lines: &[String]) -> io::Result<()> {
    let mut out = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        out.push_str(line);
        out.push('\n');
    }
    stream.write_all(out.as_bytes())
}

/// Whether the client closed its socket; one that only ended its own writing still reads.
fn has_left(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    nix::poll::poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
