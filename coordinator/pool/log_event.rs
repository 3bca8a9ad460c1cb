//! What the pool reports in the log: one table of the events, by variant: its fields, its level, its name and what it means.
//!
//! A field's type says which keys it writes: a [`MatchKey`] writes `feed` and `match`, a [`Child`] writes `worker`, an absent value nothing.
//! A variant about a [`Child`] has a name for each kind, in the order of [`Field::kind`]. `docs/log-events.md` has a row for
//! each, made from this table (see `tests`).

#[cfg(test)]
mod tests;

use super::action::Signal;
use super::input::{Child, ServiceKind, Urgency};
use log::Level;
use touchline_common::ipc::messages::worker::ConnectionState;
use touchline_common::model::{Epoch, FeedId, Generation, MatchId, MatchKey, SlotId};

macro_rules! log_events {
    ($($level:ident $variant:ident $({ $($field:ident: $type:ty),* })? $($name:literal = $meaning:literal),+;)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum LogEvent {
            $($variant $({ $($field: $type),* })?,)*
        }

        impl LogEvent {
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        let kind = 0 $($(+ Field::kind($field))*)?;
                        [$($name),+].get(kind).copied().unwrap_or_default()
                    })*
                }
            }

            pub fn level(&self) -> Level {
                match self {
                    $(Self::$variant { .. } => Level::$level,)*
                }
            }

            /// Keys and values in the table's order. `feed_name` gives a feed's name.
            pub fn fields(&self, feed_name: &dyn Fn(FeedId) -> String) -> Vec<(&'static str, String)> {
                let mut to = Fields { out: Vec::new(), feed_name };
                match self {
                    $(Self::$variant $({ $($field),* })? => { $($($field.put(stringify!($field), &mut to);)*)? })*
                }
                to.out
            }

            #[cfg(test)]
            #[allow(unused_variables)] // `kind`, in a variant without fields.
            fn table() -> Vec<(&'static str, Level, Vec<&'static str>, &'static str)> {
                let mut rows = Vec::new();
                $(for (kind, (name, meaning)) in [$(($name, $meaning)),+].into_iter().enumerate() {
                    let keys: [Vec<&str>; _] = [$($(<$type as Field>::keys(stringify!($field), kind)),*)?];
                    rows.push((name, Level::$level, keys.concat(), meaning));
                })*
                rows
            }
        }
    };
}

// What a level means: an error is for somebody to act on; a warning is worse than it should be, and heals or is bounded; info is a change of
// the pool that an operator wants to read; debug is detail per match or frame, and what another line tells already.
log_events! {
    Info Spawned { child: Child, generation: Generation, feed: Option<FeedId> }
        "worker.spawned" = "a worker's process exists",
        "recorder.spawned" = "the recorder's process exists",
        "gateway.spawned" = "the gateway's process exists";
    Warn SpawnFailed { child: Child, generation: Generation, error: String }
        "worker.spawn_failed" = "the process could not be started; another attempt follows",
        "recorder.spawn_failed" = "the process could not be started; another attempt follows",
        "gateway.spawn_failed" = "the process could not be started; another attempt follows";
    Debug Ready { child: Child, generation: Generation, took_ms: u64 }
        "worker.ready" = "it takes work",
        "recorder.ready" = "it takes channels",
        "gateway.ready" = "it listens";
    Warn Died { child: Child, generation: Generation, why: String, matches: usize, at: Option<MatchId>, retry_ms: Option<u64>, recovered_ms: Option<u64> }
        "worker.died" = "unexpected death; what was followed of its `matches` is followed again `recovered_ms` later; at once and without `recovered_ms` where nothing was followed; `match` is the match that it was working on, if any; without `retry_ms` it is not restarted",
        "recorder.died" = "unexpected death; another was ready `recovered_ms` later, workers kept their observations; at once and without `recovered_ms` where the one before it was not replaced yet",
        "gateway.died" = "unexpected death; another was ready `recovered_ms` later, and clients can connect again; at once and without `recovered_ms` where the one before it was not replaced yet";
    Error DiedForGood { child: Child, generation: Generation, why: String, matches: usize, at: Option<MatchId>, retry_ms: Option<u64>, missing: usize }
        "worker.died" = "unexpected death; `missing` of the matches that it followed were not followed again half a minute later",
        "recorder.died" = "unexpected death; none was ready half a minute later: nothing is recorded",
        "gateway.died" = "unexpected death; none was ready half a minute later: no client is served";
    Info Left { child: Child, generation: Generation, why: String }
        "worker.left" = "it exited as requested, or had announced its exit",
        "recorder.left" = "it exited as requested",
        "gateway.left" = "it exited as requested, or had announced its exit";
    Error Parked { child: Child, why: String, for_ms: Option<u64> }
        "worker.parked" = "it died too often; without `for_ms` only an operator ends that",
        "recorder.parked" = "it died too often",
        "gateway.parked" = "it died too often";
    Warn Kill { child: Child, generation: Generation, signal: Signal, why: String }
        "worker.kill" = "it did not leave as asked and is sent a signal",
        "recorder.kill" = "it did not leave as asked and is sent a signal",
        "gateway.kill" = "it did not leave as asked and is sent a signal";
    Debug Condemned { child: Child, generation: Generation, signal: Signal, why: String }
        "worker.kill" = "it is given up on and sent a signal; the line of its death says why",
        "recorder.kill" = "it is given up on and sent a signal; the line of its death says why",
        "gateway.kill" = "it is given up on and sent a signal; the line of its death says why";
    Warn Silent { worker: SlotId, silent_ms: u64, matches: usize }
        "worker.silent" = "no report; its matches are followed elsewhere as well";
    Info Back { worker: SlotId, silent_ms: u64 }
        "worker.back" = "it reports again";
    Info Draining { worker: SlotId, why: &'static str, matches: usize }
        "worker.draining" = "its matches are moved to other workers, then it exits";
    Debug Connection { worker: SlotId, feed: FeedId, state: ConnectionState, detail: String }
        "worker.connection" = "its connection is `down`, `connecting` or `up`";
    Info ConnectionBack { worker: SlotId, feed: FeedId, matches: usize, gap_ms: u64 }
        "worker.connection_back" = "its connection is up again and what was followed on it is followed again, `gap_ms` after the loss";
    Warn ConnectionBackInPart { worker: SlotId, feed: FeedId, matches: usize, missing: usize }
        "worker.connection_back" = "its connection is up again, but `missing` of what was followed on it had no load half a minute later";
    Debug Data { worker: SlotId, generation: Generation }
        "worker.data" = "its channel to the recorder is open";
    Debug Trouble { trouble: String }
        "recorder.trouble" = "what the recorder reports of its store, empty when all is well; `store` and `hour` events tell it";
    Debug Assigned { key: MatchKey, worker: SlotId, epoch: Epoch }
        "match.assigned" = "it has a worker";
    Info Live { key: MatchKey, worker: SlotId, epoch: Epoch, took_ms: u32 }
        "match.live" = "a match appears: its first load in this run is held, `took_ms` after it was asked for";
    Debug LiveAgain { key: MatchKey, worker: SlotId, epoch: Epoch, took_ms: u32 }
        "match.live" = "a load is held again, after a death, a lost connection or a move";
    Debug Moving { key: MatchKey, worker: SlotId, to: SlotId, epoch: Epoch }
        "match.moving" = "a second worker follows it, which will take over";
    Info Moved { key: MatchKey, worker: SlotId, epoch: Epoch, from: SlotId }
        "match.moved" = "a planned move, asked for or of a rebalance: this worker owns it now";
    Debug MovedAlong { key: MatchKey, worker: SlotId, epoch: Epoch, from: SlotId }
        "match.moved" = "this worker owns it now, since the other is drained, silent or above its cap";
    Debug Waiting { key: MatchKey, why: &'static str }
        "match.waiting" = "no worker has capacity for it; `feed.degraded` says how many wait";
    Info Ended { key: MatchKey, why: &'static str }
        "match.ended" = "it is over";
    Error Quarantined { key: MatchKey, worker: SlotId }
        "match.quarantined" = "two workers crashed while working on it, or while they had it and worked on none; it is no longer followed";
    Info Released { key: MatchKey }
        "match.released" = "an operator released it from quarantine";
    Debug ListFollowed { feed: FeedId, worker: SlotId }
        "list.followed" = "this worker follows the match list";
    Info ListLoaded { feed: FeedId, matches: usize, followed: usize }
        "list.loaded" = "the list is complete; of loads with the same numbers one a minute is logged";
    Debug ListLost { feed: FeedId, worker: SlotId }
        "list.lost" = "it is not followed at the moment; that ends no match";
    Warn ListOverLimit { feed: FeedId, left_out: usize, limit: usize }
        "list.over_limit" = "the list has more matches than are followed of one: so many are left out; said once until none is";
    Warn ListSuspect { feed: FeedId, gone: usize, of: usize }
        "list.suspect" = "so many matches vanished that a second load must confirm it";
    Info FeedUp { feed: FeedId }
        "feed.up" = "the feed is followed completely";
    Warn FeedDegraded { feed: FeedId, why: String }
        "feed.degraded" = "it is followed in part, for 5 s by now";
    Error FeedDown { feed: FeedId, why: String }
        "feed.down" = "none of its connections is up, for 5 s by now";
    Warn CapSuspected { feed: FeedId, worker: SlotId, granted: u32, missing: usize }
        "feed.cap_suspected" = "some matches of a connection get no load while others get theirs; they are tried elsewhere";
    Info CapAudited { feed: FeedId, worker: SlotId, held: u32, audited: usize, missed: usize }
        "feed.cap_audited" = "of the `held` subscriptions of a connection so many matches were loaded again, and `missed` of them lacked deltas";
    Warn CapLearned { feed: FeedId, cap: u32, configured: u32, why: &'static str }
        "feed.cap_learned" = "the server grants one connection less than is configured, and the surplus is placed elsewhere; or what was learned so is taken back, see `why`";
    Info CapTried { feed: FeedId, worker: SlotId, cap: u32 }
        "feed.cap_tried" = "one connection takes one match more, to see whether it is granted by now";
    Info CapRaised { feed: FeedId, cap: u32 }
        "feed.cap_raised" = "it is";
    Info PoolReady { took_ms: u64, matches: usize, workers: usize }
        "pool.ready" = "the recorder is ready and each feed's first list is placed";
    Error PoolDegraded { why: String }
        "pool.degraded" = "the pool as a whole has trouble";
    Info PoolRecovered
        "pool.recovered" = "it has no more";
    Warn Late { late_ms: u64 }
        "pool.late" = "the coordinator itself stood still; no child is judged by that time";
    Info Stopping { how: Urgency, deadline_ms: u64 }
        "pool.stopping" = "the end begins, `how` is `drain` or `now`";
    Info Stopped
        "pool.stopped" = "every child has exited";
    Info Summary { matches: usize, live: usize, waiting: usize, workers: usize, diffs_per_s: f64, lag_p99_us: u32, gaps: u64, restarts: u64 }
        "pool.summary" = "status of the pool, each minute and on any change of the workers; `live` counts stale matches too, `lag_p99_us` is the worst worker's, from read to section";
    Error EpochsRefused { error: String }
        "epochs.refused" = "epochs could not be reserved on disk; nothing new is followed until they can; said once until then";
}

struct Fields<'a> {
    out: Vec<(&'static str, String)>,
    feed_name: &'a dyn Fn(FeedId) -> String,
}

trait Field {
    /// The keys that a field called `name` writes, in an event about a child of this `kind`.
    #[cfg(test)]
    fn keys(name: &'static str, _kind: usize) -> Vec<&'static str> {
        vec![name]
    }

    fn kind(&self) -> usize {
        0
    }

    fn put(&self, name: &'static str, to: &mut Fields<'_>);
}

macro_rules! displayed {
    ($($type:ty => $text:expr;)*) => {
        $(impl Field for $type {
            fn put(&self, name: &'static str, to: &mut Fields<'_>) {
                let text: fn(&$type) -> String = $text;
                to.out.push((name, text(self)));
            }
        })*
    };
}

displayed! {
    SlotId => ToString::to_string;
    Generation => ToString::to_string;
    Epoch => ToString::to_string;
    usize => ToString::to_string;
    u32 => ToString::to_string;
    u64 => ToString::to_string;
    f64 => |number| format!("{number:.0}");
    String => Clone::clone;
    &'static str => |text| (*text).to_owned();
    Signal => |signal| signal.as_str().to_owned();
    Urgency => |how| match how {
        Urgency::Drain => "drain".to_owned(),
        Urgency::Now => "now".to_owned(),
    };
    ConnectionState => |state| connection_name(*state).to_owned();
}

pub(super) fn connection_name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Down => "down",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Up => "up",
    }
}

impl Field for FeedId {
    fn put(&self, name: &'static str, to: &mut Fields<'_>) {
        to.out.push((name, (to.feed_name)(*self)));
    }
}

impl Field for MatchId {
    #[cfg(test)]
    fn keys(_name: &'static str, _kind: usize) -> Vec<&'static str> {
        vec!["match"]
    }

    fn put(&self, _name: &'static str, to: &mut Fields<'_>) {
        to.out.push(("match", self.to_string()));
    }
}

impl Field for MatchKey {
    #[cfg(test)]
    fn keys(_name: &'static str, _kind: usize) -> Vec<&'static str> {
        vec!["feed", "match"]
    }

    fn put(&self, _name: &'static str, to: &mut Fields<'_>) {
        self.feed.put("feed", to);
        self.id.put("match", to);
    }
}

impl Field for Child {
    #[cfg(test)]
    fn keys(_name: &'static str, kind: usize) -> Vec<&'static str> {
        if kind == 0 { vec!["worker"] } else { Vec::new() }
    }

    fn kind(&self) -> usize {
        match self {
            Child::Worker(_) => 0,
            Child::Service(ServiceKind::Recorder) => 1,
            Child::Service(ServiceKind::Gateway) => 2,
        }
    }

    fn put(&self, _name: &'static str, to: &mut Fields<'_>) {
        match self {
            Child::Worker(slot) => slot.put("worker", to),
            Child::Service(_) => {}
        }
    }
}

impl<T: Field> Field for Option<T> {
    #[cfg(test)]
    fn keys(name: &'static str, kind: usize) -> Vec<&'static str> {
        T::keys(name, kind)
    }

    fn put(&self, name: &'static str, to: &mut Fields<'_>) {
        if let Some(value) = self {
            value.put(name, to);
        }
    }
}
