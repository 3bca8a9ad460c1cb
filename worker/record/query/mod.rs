//! Operators' questions about stored data, each on a thread of its own with a connection that only reads.
//!
//! The coordinator checks who asks and hands the client's socket over. One answer line as everywhere on the control
//! socket; `events` (of either stream) and `odds` with `follow` are answered `{"ok":true,"result":null}` and then one event object a line: to the newest committed one, or with
//! `follow` until the client leaves. A client that does not read is closed; at most [`MAX_CLIENTS`] at a time.

mod rows;
#[cfg(test)]
mod tests;

use super::bulk;
use super::config::RecordConfig;
use super::documents::Documents;
use super::hours;
use super::hours::read::{OddsFilter, Reader};
use super::store::Shared;
use super::store::open::open_to_read;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use rows::Filter;
use rusqlite::Connection;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use touchline_common::control::{Answer, Code};

pub const MAX_CLIENTS: usize = 16;
const WRITE: Duration = Duration::from_secs(5);
/// The least time between two looks of a follower.
const FOLLOW_PAUSE: Duration = Duration::from_millis(20);
/// How often a follower looks whether its client is still there.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(1);
/// Events that a question gets which says neither since when nor how many: the newest.
const NEWEST: usize = 100;
/// Rows of any other answer at most: it is one line.
const MOST: usize = 100_000;
const LOOK_ROWS: usize = 1_000;

#[derive(Clone, Debug)]
pub struct Query {
    /// `match`, `events`, `odds`, `gaps`.
    pub verb: String,
    pub args: String,
}

#[derive(Debug)]
pub struct Clients {
    config: Arc<RecordConfig>,
    shared: Arc<Shared>,
    bulk: Arc<bulk::Shared>,
    open: Arc<AtomicUsize>,
}

/// Why a question has no answer: an exit code and words.
type Refusal = (Code, String);

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
        how: Lines,
    },
    /// Rows of the bulk stream, a line each or all in the answer.
    Odds {
        filter: OddsFilter,
        how: Lines,
        form: Form,
    },
    /// Rows of rooms: there are none yet.
    Chat(Follow),
    Gaps,
}

#[derive(Clone, Copy)]
struct Lines {
    /// Only those above this `seq`; without it the newest.
    since: Option<i64>,
    /// At most so many rows of the past.
    limit: usize,
    follow: Follow,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Array,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    No,
    Yes,
}

impl Clients {
    /// No connection yet.
    pub fn new(config: Arc<RecordConfig>, shared: Arc<Shared>, bulk: Arc<bulk::Shared>) -> Clients {
        Clients { config, shared, bulk, open: Arc::new(AtomicUsize::new(0)) }
    }

    /// Answers one question on `socket`, which is then closed. Never waits for the client.
    pub fn answer(&self, query: &Query, socket: OwnedFd, documents: &Documents) {
        let stream = UnixStream::from(socket);
        let task = task(query, documents);
        if self.open.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
            self.open.fetch_sub(1, Ordering::AcqRel);
            // The socket's buffer is empty: a short line fits without waiting.
            let _ = stream.set_nonblocking(true);
            let text = format!("{MAX_CLIENTS} clients are being answered: try again later");
            return drop((&stream).write_all(&Answer::refused(Code::Failed, text).to_line()));
        }
        let (config, open) = (Arc::clone(&self.config), Arc::clone(&self.open));
        let (shared, bulk) = (Arc::clone(&self.shared), Arc::clone(&self.bulk));
        let spawned = std::thread::Builder::new().name("query".into()).spawn(move || {
            let served = serve(&stream, task, &config.path, &shared, &bulk);
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
            let how = args.lines(limit)?;
            match args.text("lane") {
                Some("odds") => Ok(Task::Odds { filter: args.odds(documents)?, how, form: Form::Lines }),
                Some("chat") => Ok(Task::Chat(how.follow)),
                Some(_) | None => Ok(Task::Events { filter: args.filter(documents)?, how }),
            }
        }
        "odds" => {
            let filter = args.odds(documents)?;
            if filter.id.is_none() {
                return Err((Code::Usage, "odds wants a match".into()));
            }
            let how = args.lines(limit)?;
            if how.follow == Follow::Yes {
                return Ok(Task::Odds { filter, how, form: Form::Lines });
            }
            let how = Lines { limit: limit.map_or(MOST, |limit| limit.min(MOST)), ..how };
            Ok(Task::Odds { filter, how, form: Form::Array })
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

    fn lines(&self, limit: Option<usize>) -> Result<Lines, Refusal> {
        let since = self.number("since")?.map(|since| i64::try_from(since).unwrap_or(i64::MAX));
        let follow = if self.is_set("follow") { Follow::Yes } else { Follow::No };
        // A follower begins with now, unless it asks for some of the past.
        let limit = match (limit, since, follow) {
            (Some(limit), _, _) => limit,
            (None, Some(_), _) => usize::MAX,
            (None, None, Follow::Yes) => 0,
            (None, None, Follow::No) => NEWEST,
        };
        Ok(Lines { since, limit, follow })
    }

    fn odds(&self, documents: &Documents) -> Result<OddsFilter, Refusal> {
        let Filter { since, feed, id, .. } = self.filter(documents)?;
        Ok(OddsFilter { since, feed, id, market: self.text("market").map(str::to_owned) })
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
    path: &Path,
    shared: &Shared,
    bulk: &bulk::Shared,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE))?;
    let failed = |error: &dyn std::fmt::Display| (Code::Failed, format!("reading the store: {error}"));
    let line = match task {
        Err(refusal) => Err(refusal),
        Ok(Task::Document(text)) => Ok(text),
        Ok(Task::Chat(follow)) => {
            return lines(stream, &no_rows(bulk), Lines { since: None, limit: 0, follow });
        }
        Ok(Task::Odds { filter, how, form: Form::Lines }) => {
            return lines(stream, &odds_rows(&Reader::new(hours::folder(path)), &filter, bulk), how);
        }
        Ok(Task::Odds { filter, how, form: Form::Array }) => Reader::new(hours::folder(path))
            .odds(&filter, how.limit)
            .map(|(lines, _)| format!("[{}]", lines.join(",")))
            .map_err(|error| failed(&error)),
        Ok(task @ (Task::Stored { .. } | Task::Events { .. } | Task::Gaps)) => match open_to_read(path) {
            Ok(connection) => {
                if let Task::Events { filter, how } = task {
                    return lines(stream, &event_rows(&connection, &filter, shared), how);
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
        // Answered elsewhere.
        Task::Events { .. } | Task::Odds { .. } | Task::Chat(_) => return Ok("null".to_owned()),
        Task::Gaps => rows::gaps(connection, MOST),
    };
    let lines = answer.map_err(failed)?;
    Ok(format!("[{}]", lines.join(",")))
}

/// What one look gives: lines, ascending, and the `seq` of the last.
type Look = io::Result<(Vec<String>, Option<i64>)>;

struct Rows<'a> {
    /// At most so many: those above a `seq` from the oldest on, or the newest.
    look: Box<dyn Fn(Option<i64>, usize) -> Look + 'a>,
    /// The newest committed `seq`, once it is above that one or this time is over.
    wait: Box<dyn Fn(i64, Duration) -> i64 + 'a>,
    is_closing: Box<dyn Fn() -> bool + 'a>,
}

fn event_rows<'a>(connection: &'a Connection, filter: &'a Filter, shared: &'a Shared) -> Rows<'a> {
    Rows {
        look: Box::new(|since, limit| {
            rows::events(connection, &Filter { since, ..filter.clone() }, limit).map_err(io::Error::other)
        }),
        wait: Box::new(|after, patience| shared.wait_beyond(after, patience)),
        is_closing: Box::new(|| shared.closing.load(Ordering::Acquire)),
    }
}

fn odds_rows<'a>(reader: &'a Reader, filter: &'a OddsFilter, bulk: &'a bulk::Shared) -> Rows<'a> {
    let look = |since, limit| reader.odds(&OddsFilter { since, ..filter.clone() }, limit);
    Rows { look: Box::new(look), ..no_rows(bulk) }
}

fn no_rows(bulk: &bulk::Shared) -> Rows<'_> {
    Rows {
        look: Box::new(|_, _| Ok((Vec::new(), None))),
        wait: Box::new(|after, patience| bulk.wait_beyond(after, patience)),
        is_closing: Box::new(|| bulk.is_closing()),
    }
}

/// First what is asked for of the past, then, to a follower, each row as it is committed.
fn lines(mut stream: &UnixStream, rows: &Rows<'_>, how: Lines) -> io::Result<()> {
    stream.write_all(b"{\"ok\":true,\"result\":null}\n")?;
    let committed = (rows.wait)(-1, Duration::ZERO);
    let seen = past(stream, rows, how, committed)?;
    match how.follow {
        Follow::No => Ok(()),
        Follow::Yes => follow_from(stream, rows, seen),
    }
}

/// The newest `limit` rows, or those after `since`, oldest first; the highest `seq` that was looked at.
fn past(stream: &UnixStream, rows: &Rows<'_>, how: Lines, committed: i64) -> io::Result<i64> {
    let Some(mut seen) = how.since else {
        if how.limit == 0 {
            return Ok(committed);
        }
        let (lines, newest) = (rows.look)(None, how.limit.min(MOST))?;
        send(stream, &lines)?;
        return Ok(newest.unwrap_or(0).max(committed));
    };
    let mut left = how.limit;
    while left > 0 {
        let look = left.min(LOOK_ROWS);
        let (lines, last) = (rows.look)(Some(seen), look)?;
        send(stream, &lines)?;
        left -= lines.len().min(left);
        seen = last.unwrap_or(seen).max(seen);
        if lines.len() < look {
            break;
        }
    }
    Ok(seen)
}

fn follow_from(stream: &UnixStream, rows: &Rows<'_>, mut seen: i64) -> io::Result<()> {
    loop {
        let newest = (rows.wait)(seen, FOLLOW_PATIENCE);
        if (rows.is_closing)() || has_left(stream) {
            return Ok(());
        }
        if newest <= seen {
            continue;
        }
        let (lines, last) = (rows.look)(Some(seen), LOOK_ROWS)?;
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
