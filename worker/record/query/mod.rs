//! Operators' questions about stored data, each on a thread of its own with a connection that only reads.
//!
//! The coordinator checks who asks and hands the client's socket over. One answer line as everywhere on the control
//! socket; `events` (of either stream) and `odds` with `follow` are answered `{"ok":true,"result":null}` and then one event object a line: to the newest committed one, or with
//! `follow` until the client leaves. A follower's answer is `{"seq":N}`, the newest committed one: who asked for nothing of the past goes on behind
//! it after a break, though no row has come yet. A client that does not read is closed. At most [`MAX_ASKING`] at a time get an answer that ends, and
//! [`MAX_FOLLOWING`] one that does not, each in places of their own: who follows keeps nobody from asking.

pub(in crate::record) mod rows;
pub mod stored;
#[cfg(test)]
mod tests;

use super::bulk;
use super::config::RecordConfig;
use super::documents::Documents;
use super::hours;
use super::hours::read::Reader;
use super::sqlite::{Filter, Rows, open_to_read};
use super::store;
use super::thread::Newest;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use rusqlite::Connection;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use touchline_common::control::{Answer, Code, EventLane, kinds_of};

pub const MAX_ASKING: usize = 16;
pub const MAX_FOLLOWING: usize = 16;
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

#[derive(Debug)]
pub struct Clients {
    config: Arc<RecordConfig>,
    shared: Arc<store::Shared>,
    bulk: Arc<bulk::Shared>,
    asking: Arc<AtomicUsize>,
    following: Arc<AtomicUsize>,
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
    /// Rows of the bulk stream, a line each
    Odds {
        filter: Filter,
        how: Lines,
    },
    /// or all in the answer.
    AllOdds {
        filter: Filter,
        limit: usize,
    },
    /// Rows of rooms, a line each.
    Chat {
        filter: Filter,
        how: Lines,
    },
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
enum Follow {
    No,
    Yes,
}

impl Clients {
    /// Whether no client is being answered.
    pub fn is_idle(&self) -> bool {
        [&self.asking, &self.following].iter().all(|open| open.load(Ordering::Acquire) == 0)
    }

    /// No connection yet.
    pub fn new(config: Arc<RecordConfig>, shared: Arc<store::Shared>, bulk: Arc<bulk::Shared>) -> Clients {
        Clients { config, shared, bulk, asking: Arc::default(), following: Arc::default() }
    }

    /// Answers one question, of verb and arguments, on `socket`, which is then closed. Never waits for the client.
    pub fn answer(&self, verb: &str, args: &str, socket: OwnedFd, documents: &Documents) {
        let stream = UnixStream::from(socket);
        let task = task(verb, args, documents);
        let (open, most, full) = match follow(&task) {
            Follow::No => (&self.asking, MAX_ASKING, "are being answered: try again later"),
            Follow::Yes => (&self.following, MAX_FOLLOWING, "follow already: end one of them first"),
        };
        if open.fetch_add(1, Ordering::AcqRel) >= most {
            open.fetch_sub(1, Ordering::AcqRel);
            // The socket's buffer is empty: a short line fits without waiting.
            let _ = stream.set_nonblocking(true);
            let text = format!("{most} clients {full}");
            return drop((&stream).write_all(&Answer::refused(Code::Failed, text).to_line()));
        }
        let open = Arc::clone(open);
        let ended = Arc::clone(&open);
        let config = Arc::clone(&self.config);
        let (shared, bulk) = (Arc::clone(&self.shared), Arc::clone(&self.bulk));
        let spawned = std::thread::Builder::new().name("query".into()).spawn(move || {
            let served = serve(&stream, task, &config.path, &shared.newest, &bulk.newest);
            if let Err(error) = served {
                // One that left had the right to.
                let left = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                if left {
                    log::debug!(error:% = error; "query.client_lost");
                } else {
                    log::warn!(error:% = error; "query.client_lost");
                }
            }
            ended.fetch_sub(1, Ordering::AcqRel);
        });
        if let Err(error) = spawned {
            open.fetch_sub(1, Ordering::AcqRel);
            log::error!(error:% = error; "query.no_thread");
        }
    }
}

/// Whether the answer goes on until the client leaves.
fn follow(task: &Result<Task, Refusal>) -> Follow {
    match task {
        Ok(Task::Events { how, .. } | Task::Odds { how, .. } | Task::Chat { how, .. }) => how.follow,
        Ok(Task::Document(_) | Task::Stored { .. } | Task::AllOdds { .. } | Task::Gaps) | Err(_) => {
            Follow::No
        }
    }
}

fn task(verb: &str, args: &str, documents: &Documents) -> Result<Task, Refusal> {
    let args: Map<String, Value> = serde_json::from_str(args)
        .map_err(|error| (Code::Usage, format!("the arguments are not a JSON object: {error}")))?;
    let args = Args(args);
    let limit = args.number("limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    match verb {
        "match" => document(args.text("match"), documents),
        "events" => {
            let how = args.lines(limit)?;
            let filter = args.filter(documents)?;
            let kinds = kinds_of(args.lane()?, &filter.types).map_err(|error| (Code::Usage, error))?;
            let lane = kinds.decided(documents.followed(filter.feed.as_deref()));
            if args.text("market").is_some() && lane != Some(EventLane::Odds) {
                return Err((Code::Usage, "market: only the lane odds has markets".into()));
            }
            match lane {
                Some(EventLane::Odds) => Ok(Task::Odds { filter: args.odds(documents)?, how }),
                // No file of the bulk stream has the lane in a column.
                Some(EventLane::Chat) => Ok(Task::Chat { filter: Filter { lane: None, ..filter }, how }),
                Some(EventLane::Priority | EventLane::Normal) | None => Ok(Task::Events { filter, how }),
            }
        }
        "odds" => {
            let filter = args.odds(documents)?;
            if filter.id.is_none() {
                return Err((Code::Usage, "odds needs a match".into()));
            }
            let how = args.lines(limit)?;
            if how.follow == Follow::Yes {
                return Ok(Task::Odds { filter, how });
            }
            let filter = Filter { since: how.since, ..filter };
            Ok(Task::AllOdds { filter, limit: limit.map_or(MOST, |limit| limit.min(MOST)) })
        }
        "gaps" => Ok(Task::Gaps),
        other => Err((Code::Usage, format!("the recorder has no verb {other:?}"))),
    }
}

fn document(named: Option<&str>, documents: &Documents) -> Result<Task, Refusal> {
    let Some(named) = named else { return Err((Code::Usage, "match needs the id of a match".into())) };
    let (feed, id) = split(named, documents);
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

/// `FEED/ID`, or `ID`, which may have a slash itself.
fn split<'n>(named: &'n str, documents: &Documents) -> (Option<&'n str>, &'n str) {
    match named.split_once('/') {
        Some((feed, id)) if documents.has_feed(feed) => (Some(feed), id),
        Some(_) | None => (None, named),
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
                text.parse().map(Some).map_err(|_| (Code::Usage, format!("{name}: {text:?} is not a number")))
            }
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err((Code::Usage, format!("{name}: {value} is not a whole number"))),
            },
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn lane(&self) -> Result<Option<EventLane>, Refusal> {
        let Some(name) = self.text("lane") else { return Ok(None) };
        let expected =
            || format!("there is no lane {name:?}; expected one of {}", EventLane::NAMES.join(", "));
        EventLane::by_name(name).map(Some).ok_or_else(|| (Code::Usage, expected()))
    }

    /// Types between commas.
    fn types(&self) -> Vec<String> {
        let named = self.text("type").unwrap_or_default().split(',').map(str::trim);
        named.filter(|name| !name.is_empty()).map(str::to_owned).collect()
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

    fn odds(&self, documents: &Documents) -> Result<Filter, Refusal> {
        let market = self.text("market").map(str::to_owned);
        Ok(Filter { lane: None, market, ..self.filter(documents)? })
    }

    fn filter(&self, documents: &Documents) -> Result<Filter, Refusal> {
        let lane = self.text("lane").map(str::to_owned);
        let mut filter = Filter { lane, types: self.types(), ..Filter::default() };
        if let Some(named) = self.text("match") {
            let (feed, id) = split(named, documents);
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
    matches: &Newest,
    bulk: &Newest,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE))?;
    let line = match task {
        Err(refusal) => Err(refusal),
        Ok(Task::Document(text)) => Ok(text),
        Ok(Task::Stored { feed, id }) => open(path).and_then(|store| stored(&store, feed.as_deref(), &id)),
        Ok(Task::Gaps) => {
            open(path).and_then(|store| rows::gaps(&store, MOST).map_err(unread)).map(|rows| array(&rows))
        }
        Ok(Task::Events { filter, how }) => match open(path) {
            Ok(store) => {
                let look = |since, limit| {
                    let filter = Filter { since, ..filter.clone() };
                    rows::events(&store, &filter, limit).map_err(io::Error::other)
                };
                return lines(stream, &look, matches, how, |_| 0);
            }
            Err(refusal) => Err(refusal),
        },
        Ok(Task::Odds { filter, how }) => {
            let reader = Reader::new(hours::folder(path));
            let look = |since, limit| reader.odds(&Filter { since, ..filter.clone() }, limit);
            return lines(stream, &look, bulk, how, hours::first_seq_beside);
        }
        Ok(Task::AllOdds { filter, limit }) => {
            let odds = Reader::new(hours::folder(path)).odds(&filter, limit);
            odds.map(|(rows, _)| array(&rows)).map_err(unread)
        }
        Ok(Task::Chat { filter, how }) => {
            let reader = Reader::new(hours::folder(path));
            let look = |since, limit| reader.chat(&Filter { since, ..filter.clone() }, limit);
            return lines(stream, &look, bulk, how, hours::first_seq_beside);
        }
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

fn open(path: &Path) -> Result<Connection, Refusal> {
    open_to_read(path).map_err(|error| (Code::Failed, format!("the store does not open: {error}")))
}

fn unread(error: impl std::fmt::Display) -> Refusal {
    (Code::Failed, format!("reading the store: {error}"))
}

fn array(rows: &[String]) -> String {
    format!("[{}]", rows.join(","))
}

fn stored(store: &Connection, feed: Option<&str>, id: &str) -> Result<String, Refusal> {
    let mut found = rows::documents(store, feed, id).map_err(unread)?;
    // The store remembers feeds that left the configuration.
    if let (true, None, Some((feed, id))) = (found.is_empty(), feed, id.split_once('/')) {
        found = rows::documents(store, Some(feed), id).map_err(unread)?;
    }
    match <[_; 1]>::try_from(found) {
        Ok([(_, text)]) => Ok(text),
        Err(none) if none.is_empty() => Err((Code::Failed, format!("no match {id} is known"))),
        Err(found) => Err((Code::Failed, ambiguous(id, found.iter().map(|(feed, _)| feed.as_str())))),
    }
}

/// At most so many rows, ascending: those above a `seq` from the oldest on, or the newest.
type Look<'a> = &'a dyn Fn(Option<i64>, usize) -> io::Result<Rows>;

/// First what is asked for of the past, then, to a follower, each row as it is committed.
/// `first`: where numbers begin that lead to this one.
fn lines(
    mut stream: &UnixStream,
    look: Look<'_>,
    newest: &Newest,
    how: Lines,
    first: fn(i64) -> i64,
) -> io::Result<()> {
    let committed = newest.wait_beyond(-1, Duration::ZERO);
    let answer = match how.follow {
        Follow::No => "{\"ok\":true,\"result\":null}\n".to_owned(),
        Follow::Yes => format!("{{\"ok\":true,\"result\":{{\"seq\":{committed}}}}}\n"),
    };
    stream.write_all(answer.as_bytes())?;
    // Whoever goes on from rows of a file that was replaced: the numbers began anew.
    let is_of_another = how.follow == Follow::Yes && how.since > Some(committed);
    let how = if is_of_another { Lines { since: Some(first(committed)), ..how } } else { how };
    let seen = past(stream, look, how, committed)?;
    match how.follow {
        Follow::No => Ok(()),
        Follow::Yes => follow_from(stream, look, newest, seen),
    }
}

/// The newest `limit` rows, or those after `since`, oldest first; the highest `seq` that was looked at.
fn past(stream: &UnixStream, look: Look<'_>, how: Lines, committed: i64) -> io::Result<i64> {
    let Some(mut seen) = how.since else {
        if how.limit == 0 {
            return Ok(committed);
        }
        let (lines, newest) = look(None, how.limit.min(MOST))?;
        send(stream, &lines)?;
        return Ok(newest.unwrap_or(0).max(committed));
    };
    let mut left = how.limit;
    while left > 0 {
        let most = left.min(LOOK_ROWS);
        let (lines, last) = look(Some(seen), most)?;
        send(stream, &lines)?;
        left -= lines.len().min(left);
        seen = last.unwrap_or(seen).max(seen);
        if lines.len() < most {
            break;
        }
    }
    Ok(seen)
}

fn follow_from(stream: &UnixStream, look: Look<'_>, newest: &Newest, mut seen: i64) -> io::Result<()> {
    loop {
        let committed = newest.wait_beyond(seen, FOLLOW_PATIENCE);
        if newest.is_closing() || has_left(stream) {
            return Ok(());
        }
        if committed <= seen {
            continue;
        }
        let (lines, last) = look(Some(seen), LOOK_ROWS)?;
        send(stream, &lines)?;
        match last {
            // There may be more than one look gives.
            Some(last) if lines.len() >= LOOK_ROWS => seen = last,
            Some(last) => seen = committed.max(last),
            None => seen = committed,
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
