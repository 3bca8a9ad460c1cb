//! What the pool tells people: typed values that the shell writes as log lines.
//!
//! | name | level | keys |
//! |---|---|---|
//! | `worker.spawned` / `recorder.spawned` | info | worker generation feed |
//! | `worker.spawn_failed` / `recorder.spawn_failed` | error | worker generation error |
//! | `worker.ready` / `recorder.ready` | info | worker generation took_ms |
//! | `worker.died` / `recorder.died` | error | worker generation why matches [match] retry_ms |
//! | `worker.left` / `recorder.left` | info | worker generation why |
//! | `worker.parked` / `recorder.parked` | error | worker why for_ms |
//! | `worker.kill` / `recorder.kill` | warn | worker generation signal why |
//! | `worker.silent` | warn | worker silent_ms matches |
//! | `worker.back` | info | worker silent_ms |
//! | `worker.draining` | info | worker why |
//! | `worker.connection` | info | worker feed state detail |
//! | `worker.data` | info | worker generation |
//! | `recorder.trouble` | error | trouble |
//! | `match.assigned` | info | feed match worker epoch |
//! | `match.live` | info | feed match worker epoch took_ms |
//! | `match.moving` | info | feed match worker to epoch |
//! | `match.moved` | info | feed match worker epoch |
//! | `match.waiting` | warn | feed match why |
//! | `match.ended` | info | feed match why |
//! | `match.quarantined` | error | feed match worker |
//! | `match.released` | info | feed match |
//! | `list.followed` | info | feed worker |
//! | `list.loaded` | info | feed matches followed |
//! | `list.lost` | warn | feed worker |
//! | `list.suspect` | warn | feed gone of |
//! | `feed.up` | info | feed |
//! | `feed.degraded` | warn | feed why |
//! | `feed.down` | error | feed |
//! | `feed.cap_suspected` | warn | feed worker granted missing |
//! | `feed.cap_learned` | warn | feed cap configured why |
//! | `feed.cap_tried` | info | feed worker cap |
//! | `feed.cap_raised` | info | feed cap |
//! | `pool.ready` | info | took_ms matches workers |
//! | `pool.degraded` | error | why |
//! | `pool.recovered` | info | |
//! | `pool.late` | warn | late_ms |
//! | `pool.stopping` | info | how deadline_ms |
//! | `pool.stopped` | info | |
//! | `pool.summary` | info | matches live waiting workers diffs_per_s lag_p99_us gaps restarts |
//! | `epochs.refused` | error | error |

use super::action::Signal;
use super::input::{Child, Urgency};
use touchline_common::ipc::messages::worker::ConnectionState;
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Odd; nothing is lost yet.
    Warn,
    /// Something is lost or stands still.
    Error,
}

/// One line of the log; the table above names the keys.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are the table's keys.
pub enum Notice {
    /// A child's process exists.
    Spawned { child: Child, generation: Generation, feed: Option<FeedId> },
    /// There is no process.
    SpawnFailed { child: Child, generation: Generation, error: String },
    /// A child works.
    Ready { child: Child, generation: Generation, took_ms: u64 },
    /// A child died unasked; `retry_ms` is absent when it stays away.
    Died {
        child: Child,
        generation: Generation,
        why: String,
        matches: usize,
        /// The one that it was at.
        at: Option<MatchKey>,
        retry_ms: Option<u64>,
    },
    /// A child left as asked, or said that it would.
    Left { child: Child, generation: Generation, why: String },
    /// A slot is not started any more; `for_ms` is absent when only an operator ends that.
    Parked { child: Child, why: String, for_ms: Option<u64> },
    /// A child is sent a signal.
    Kill { child: Child, generation: Generation, signal: Signal, why: String },
    /// No load report.
    Silent { worker: SlotId, silent_ms: u64, matches: usize },
    /// Load reports come again.
    Back { worker: SlotId, silent_ms: u64 },
    /// A worker gives its matches away.
    Draining { worker: SlotId, why: &'static str },
    /// A worker's connection changed.
    Connection { worker: SlotId, feed: FeedId, state: ConnectionState, detail: String },
    /// A worker's data channel is open.
    Data { worker: SlotId, generation: Generation },
    /// The recorder has trouble with its store; empty: no more.
    Trouble { trouble: String },
    /// A match has a place.
    Assigned { key: MatchKey, worker: SlotId, epoch: Epoch },
    /// A match's load is held.
    Live { key: MatchKey, worker: SlotId, epoch: Epoch, took_ms: u32 },
    /// A match gets a second place, to be taken over from its owner.
    Moving { key: MatchKey, worker: SlotId, to: SlotId, epoch: Epoch },
    /// The second place owns it.
    Moved { key: MatchKey, worker: SlotId, epoch: Epoch },
    /// A match has no place.
    Waiting { key: MatchKey, why: String },
    /// A match is over.
    Ended { key: MatchKey, why: &'static str },
    /// A match was there in two crashes.
    Quarantined { key: MatchKey, worker: SlotId },
    /// An operator let it out.
    Released { key: MatchKey },
    /// A worker follows the list from now on.
    ListFollowed { feed: FeedId, worker: SlotId },
    /// The list is complete.
    ListLoaded { feed: FeedId, matches: usize, followed: usize },
    /// The list is not followed at the moment.
    ListLost { feed: FeedId, worker: SlotId },
    /// So many matches vanished that a second load must confirm it.
    ListSuspect { feed: FeedId, gone: usize, of: usize },
    /// All is well with the feed.
    FeedUp { feed: FeedId },
    /// The feed is followed in part.
    FeedDegraded { feed: FeedId, why: String },
    /// No connection of the feed is up.
    FeedDown { feed: FeedId },
    /// What one connection of the feed may hold.
    Cap { feed: FeedId, news: CapNews },
    /// The first lists are placed.
    PoolReady { took_ms: u64, matches: usize, workers: usize },
    /// The pool as a whole has trouble.
    PoolDegraded { why: String },
    /// It has no more.
    PoolRecovered,
    /// The coordinator itself was late; nobody is judged by that time.
    Late { late_ms: u64 },
    /// The end begins.
    Stopping { how: Urgency, deadline_ms: u64 },
    /// All children are gone.
    Stopped,
    /// How things stand, each minute and on any change of the workers.
    Summary(Summary),
    /// Epochs could not be reserved.
    EpochsRefused { error: String },
}

/// What was found out about a feed's cap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are the table's keys.
pub enum CapNews {
    /// Some matches of a connection get no load, or not all deltas; they are tried elsewhere.
    Suspected { worker: SlotId, granted: u32, missing: usize, why: &'static str },
    /// Matches of a connection were audited.
    Audited { worker: SlotId, held: u32, audited: usize, missed: usize },
    /// The server grants less than is configured.
    Learned { cap: u32, configured: u32, why: &'static str },
    /// One connection takes more, to see whether it is granted by now.
    Tried { worker: SlotId, cap: u32 },
    /// It is.
    Raised { cap: u32 },
}

impl CapNews {
    fn name(&self) -> &'static str {
        match self {
            CapNews::Suspected { .. } => "feed.cap_suspected",
            CapNews::Audited { .. } => "feed.cap_audited",
            CapNews::Learned { .. } => "feed.cap_learned",
            CapNews::Tried { .. } => "feed.cap_tried",
            CapNews::Raised { .. } => "feed.cap_raised",
        }
    }

    fn level(&self) -> Level {
        match self {
            CapNews::Suspected { .. } | CapNews::Learned { .. } => Level::Warn,
            CapNews::Audited { .. } | CapNews::Tried { .. } | CapNews::Raised { .. } => Level::Info,
        }
    }

    fn write(&self, to: &mut Fields<'_>) {
        match self {
            CapNews::Suspected { worker, granted, missing, why } => {
                to.put("worker", worker).put("granted", granted).put("missing", missing).put("why", why);
            }
            CapNews::Audited { worker, held, audited, missed } => {
                to.put("worker", worker).put("held", held).put("audited", audited).put("missed", missed);
            }
            CapNews::Learned { cap, configured, why } => {
                to.put("cap", cap).put("configured", configured).put("why", why);
            }
            CapNews::Tried { worker, cap } => {
                to.put("worker", worker).put("cap", cap);
            }
            CapNews::Raised { cap } => {
                to.put("cap", cap);
            }
        }
    }
}

/// The numbers of `pool.summary`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Matches that are listed.
    pub matches: usize,
    /// Of them live (or stale).
    pub live: usize,
    /// Of them without a place.
    pub waiting: usize,
    /// Workers that are ready.
    pub workers: usize,
    /// Deltas per second, all workers.
    pub diffs_per_s: f64,
    /// The worst worker's 99th percentile from read to section, microseconds.
    pub lag_p99_us: u32,
    /// Gaps that are open.
    pub gaps: u64,
    /// Starts after a death, since the coordinator's start.
    pub restarts: u64,
}

fn of_child(child: Child, worker: &'static str, recorder: &'static str) -> &'static str {
    match child {
        Child::Worker(_) => worker,
        Child::RECORDER => recorder,
    }
}

impl Notice {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::Spawned { child, .. } => of_child(*child, "worker.spawned", "recorder.spawned"),
            Notice::SpawnFailed { child, .. } => {
                of_child(*child, "worker.spawn_failed", "recorder.spawn_failed")
            }
            Notice::Ready { child, .. } => of_child(*child, "worker.ready", "recorder.ready"),
            Notice::Died { child, .. } => of_child(*child, "worker.died", "recorder.died"),
            Notice::Left { child, .. } => of_child(*child, "worker.left", "recorder.left"),
            Notice::Parked { child, .. } => of_child(*child, "worker.parked", "recorder.parked"),
            Notice::Kill { child, .. } => of_child(*child, "worker.kill", "recorder.kill"),
            Notice::Silent { .. } => "worker.silent",
            Notice::Back { .. } => "worker.back",
            Notice::Draining { .. } => "worker.draining",
            Notice::Connection { .. } => "worker.connection",
            Notice::Data { .. } => "worker.data",
            Notice::Trouble { .. } => "recorder.trouble",
            Notice::Assigned { .. } => "match.assigned",
            Notice::Live { .. } => "match.live",
            Notice::Moving { .. } => "match.moving",
            Notice::Moved { .. } => "match.moved",
            Notice::Waiting { .. } => "match.waiting",
            Notice::Ended { .. } => "match.ended",
            Notice::Quarantined { .. } => "match.quarantined",
            Notice::Released { .. } => "match.released",
            Notice::ListFollowed { .. } => "list.followed",
            Notice::ListLoaded { .. } => "list.loaded",
            Notice::ListLost { .. } => "list.lost",
            Notice::ListSuspect { .. } => "list.suspect",
            Notice::FeedUp { .. } => "feed.up",
            Notice::FeedDegraded { .. } => "feed.degraded",
            Notice::FeedDown { .. } => "feed.down",
            Notice::Cap { news, .. } => news.name(),
            Notice::PoolReady { .. } => "pool.ready",
            Notice::PoolDegraded { .. } => "pool.degraded",
            Notice::PoolRecovered => "pool.recovered",
            Notice::Late { .. } => "pool.late",
            Notice::Stopping { .. } => "pool.stopping",
            Notice::Stopped => "pool.stopped",
            Notice::Summary(_) => "pool.summary",
            Notice::EpochsRefused { .. } => "epochs.refused",
        }
    }

    /// How loud it is.
    pub fn level(&self) -> Level {
        match self {
            Notice::SpawnFailed { .. }
            | Notice::Died { .. }
            | Notice::Parked { .. }
            | Notice::Quarantined { .. }
            | Notice::FeedDown { .. }
            | Notice::PoolDegraded { .. }
            | Notice::EpochsRefused { .. } => Level::Error,
            Notice::Trouble { trouble } if !trouble.is_empty() => Level::Error,
            Notice::Cap { news, .. } => news.level(),
            Notice::Kill { .. }
            | Notice::Silent { .. }
            | Notice::Waiting { .. }
            | Notice::ListLost { .. }
            | Notice::ListSuspect { .. }
            | Notice::FeedDegraded { .. }
            | Notice::Late { .. } => Level::Warn,
            Notice::Spawned { .. }
            | Notice::Ready { .. }
            | Notice::Left { .. }
            | Notice::Back { .. }
            | Notice::Draining { .. }
            | Notice::Connection { .. }
            | Notice::Data { .. }
            | Notice::Trouble { .. }
            | Notice::Assigned { .. }
            | Notice::Live { .. }
            | Notice::Moving { .. }
            | Notice::Moved { .. }
            | Notice::Ended { .. }
            | Notice::Released { .. }
            | Notice::ListFollowed { .. }
            | Notice::ListLoaded { .. }
            | Notice::FeedUp { .. }
            | Notice::PoolReady { .. }
            | Notice::PoolRecovered
            | Notice::Stopping { .. }
            | Notice::Stopped
            | Notice::Summary(_) => Level::Info,
        }
    }

    /// Keys and values in the table's order. `feed_name` gives a feed's name.
    pub fn fields(&self, feed_name: &dyn Fn(FeedId) -> String) -> Vec<(&'static str, String)> {
        let mut to = Fields { out: Vec::new(), feed_name };
        self.write(&mut to);
        to.out
    }

    fn write(&self, to: &mut Fields<'_>) {
        match self {
            Notice::Spawned { child, generation, feed } => {
                to.child(*child).put("generation", generation);
                if let Some(feed) = feed {
                    to.feed(*feed);
                }
            }
            Notice::SpawnFailed { child, generation, error } => {
                to.child(*child).put("generation", generation).put("error", error);
            }
            Notice::Ready { child, generation, took_ms } => {
                to.child(*child).put("generation", generation).put("took_ms", took_ms);
            }
            Notice::Died { child, generation, why, matches, at, retry_ms } => {
                to.child(*child).put("generation", generation).put("why", why).put("matches", matches);
                if let Some(at) = at {
                    to.put("match", &at.id);
                }
                if let Some(retry) = retry_ms {
                    to.put("retry_ms", retry);
                }
            }
            Notice::Left { child, generation, why } => {
                to.child(*child).put("generation", generation).put("why", why);
            }
            Notice::Parked { child, why, for_ms } => {
                to.child(*child).put("why", why);
                if let Some(time) = for_ms {
                    to.put("for_ms", time);
                }
            }
            Notice::Kill { child, generation, signal, why } => {
                to.child(*child)
                    .put("generation", generation)
                    .put("signal", &signal.as_str())
                    .put("why", why);
            }
            Notice::Silent { worker, silent_ms, matches } => {
                to.put("worker", worker).put("silent_ms", silent_ms).put("matches", matches);
            }
            Notice::Back { worker, silent_ms } => {
                to.put("worker", worker).put("silent_ms", silent_ms);
            }
            Notice::Draining { worker, why } => {
                to.put("worker", worker).put("why", why);
            }
            Notice::Connection { worker, feed, state, detail } => {
                let state = match state {
                    ConnectionState::Down => "down",
                    ConnectionState::Connecting => "connecting",
                    ConnectionState::Up => "up",
                };
                to.put("worker", worker).feed(*feed).put("state", &state).put("detail", detail);
            }
            Notice::Data { worker, generation } => {
                to.put("worker", worker).put("generation", generation);
            }
            Notice::Trouble { trouble } => {
                to.put("trouble", trouble);
            }
            Notice::Assigned { key, worker, epoch } | Notice::Moved { key, worker, epoch } => {
                to.key(key).put("worker", worker).put("epoch", epoch);
            }
            Notice::Live { key, worker, epoch, took_ms } => {
                to.key(key).put("worker", worker).put("epoch", epoch).put("took_ms", took_ms);
            }
            Notice::Moving { key, worker, to: target, epoch } => {
                to.key(key).put("worker", worker).put("to", target).put("epoch", epoch);
            }
            Notice::Waiting { key, why } => {
                to.key(key).put("why", why);
            }
            Notice::Ended { key, why } => {
                to.key(key).put("why", why);
            }
            Notice::Quarantined { key, worker } => {
                to.key(key).put("worker", worker);
            }
            Notice::Released { key } => {
                to.key(key);
            }
            Notice::ListFollowed { feed, worker } | Notice::ListLost { feed, worker } => {
                to.feed(*feed).put("worker", worker);
            }
            Notice::ListLoaded { feed, matches, followed } => {
                to.feed(*feed).put("matches", matches).put("followed", followed);
            }
            Notice::ListSuspect { feed, gone, of } => {
                to.feed(*feed).put("gone", gone).put("of", of);
            }
            Notice::FeedUp { feed } | Notice::FeedDown { feed } => {
                to.feed(*feed);
            }
            Notice::FeedDegraded { feed, why } => {
                to.feed(*feed).put("why", why);
            }
            Notice::Cap { feed, news } => {
                to.feed(*feed);
                news.write(to);
            }
            Notice::PoolReady { took_ms, matches, workers } => {
                to.put("took_ms", took_ms).put("matches", matches).put("workers", workers);
            }
            Notice::PoolDegraded { why } => {
                to.put("why", why);
            }
            Notice::PoolRecovered | Notice::Stopped => {}
            Notice::Late { late_ms } => {
                to.put("late_ms", late_ms);
            }
            Notice::Stopping { how, deadline_ms } => {
                let how = match how {
                    Urgency::Drain => "drain",
                    Urgency::Now => "now",
                };
                to.put("how", &how).put("deadline_ms", deadline_ms);
            }
            Notice::Summary(summary) => summary.write(to),
            Notice::EpochsRefused { error } => {
                to.put("error", error);
            }
        }
    }
}

impl Summary {
    fn write(&self, to: &mut Fields<'_>) {
        to.put("matches", &self.matches)
            .put("live", &self.live)
            .put("waiting", &self.waiting)
            .put("workers", &self.workers)
            .put("diffs_per_s", &format_args!("{:.0}", self.diffs_per_s))
            .put("lag_p99_us", &self.lag_p99_us)
            .put("gaps", &self.gaps)
            .put("restarts", &self.restarts);
    }
}

struct Fields<'a> {
    out: Vec<(&'static str, String)>,
    feed_name: &'a dyn Fn(FeedId) -> String,
}

impl Fields<'_> {
    fn put(&mut self, key: &'static str, value: &dyn std::fmt::Display) -> &mut Self {
        self.out.push((key, value.to_string()));
        self
    }

    fn feed(&mut self, feed: FeedId) -> &mut Self {
        self.out.push(("feed", (self.feed_name)(feed)));
        self
    }

    fn key(&mut self, key: &MatchKey) -> &mut Self {
        self.feed(key.feed).put("match", &key.id)
    }

    fn child(&mut self, child: Child) -> &mut Self {
        match child {
            Child::Worker(slot) => self.put("worker", &slot),
            Child::RECORDER => self,
        }
    }
}
