//! Coordinator and scanning worker.

use super::{Hello, Message, Welcome};
use crate::model::{Epoch, FeedId, Generation, Listing, MatchId, SlotId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The answer to `Hello`.
    Welcome {
        welcome: Welcome,
        feed: FeedId,
        slot: SlotId,
        generation: Generation,
    },
    /// This frame carries the worker's end of its data channel to the recorder. Sent anew after each start of the recorder.
    Data,
    /// Follow the feed's match list. Counts one subscription.
    FollowList,
    /// Stop following the match list: another worker has it now.
    UnfollowList,
    /// Follow a match. Counts one subscription per topic.
    Assign {
        id: MatchId,
        epoch: Epoch,
        /// The topics to subscribe, first wins.
        topics: Vec<String>,
        listing: Listing,
    },
    Listed {
        id: MatchId,
        listing: Listing,
    },
    /// A match that this worker already follows goes on under a new epoch, without a new subscription (the recorder restarted).
    Renew {
        id: MatchId,
        epoch: Epoch,
    },
    /// Stop following a match, if it is still at this epoch.
    Release {
        id: MatchId,
        epoch: Epoch,
        /// Whether the match is over or followed elsewhere.
        why: ReleaseReason,
    },
    /// As `Audit`; a match of which nothing is held takes a fresh load.
    Resync {
        id: MatchId,
    },
    /// Subscribe a match's topics again and compare the fresh load with what is held, answered by [`FromWorker::Audited`].
    Audit {
        id: MatchId,
    },
    /// The permit for one new connection: the feed's budget has room for it.
    PermitConnect,
    /// This frame carries the channel of one more worker that this process is to run: it greets there as any other.
    AddWorker,
    /// This frame carries the page in which the worker notes, by its epoch, what match it is at: it is read when the worker is gone.
    CrashMarker,
    /// Answer with `Pong`.
    Ping,
    LogFilter {
        /// As `RUST_LOG` writes it.
        filter: String,
    },
    /// This frame carries the new log file; write there from now on.
    LogFile,
    /// Report the state of each match with [`FromWorker::Details`].
    Details,
    /// Read no more, render, hand over, and leave with code 0 within this time.
    Stop {
        /// Milliseconds.
        deadline_ms: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseReason {
    /// It is over: the worker sends the recorder an `End`.
    Ended,
    Moved,
}

impl Message for ToWorker {
    const KIND: u16 = 0x0101;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The first message.
    Hello(Hello),
    /// Configured; takes work from now on.
    Ready,
    /// The data channel is open: the recorder answered.
    DataOpened,
    /// Each second and on change.
    Load(LoadReport),
    Match(MatchReport),
    /// What changed in the match list since the last message of this kind, in order.
    List(Vec<ListChange>),
    /// The state of every match, in answer to `Details`; the last message of an answer has `more` false.
    Details {
        /// The request's id stands in the frame's header.
        matches: Vec<MatchDetail>,
        more: bool,
    },
    Connection {
        state: ConnectionState,
        detail: String,
        /// What was asked and answered on a connection that is lost now, if anything was asked.
        lost: Option<LostWith>,
    },
    /// A match's fresh load was compared with what was held of it: in answer to `Audit`, or because its deltas had become rare.
    Audited {
        id: MatchId,
        epoch: Epoch,
        finding: Finding,
    },
    /// A connection is due to be tried again: a permit is needed, so that all workers of a feed keep to one budget.
    RequestConnect,
    /// The answer to `Ping`.
    Pong,
    /// The last message of a worker whose process goes on with others.
    Left {
        code: u8,
    },
    /// Leaving on its own account (a signal, the end of its channel): not a crash.
    Leaving {
        why: String,
    },
}

impl Message for FromWorker {
    const KIND: u16 = 0x0102;
}

/// How far a connection had come when it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostWith {
    pub asked: u32,
    pub loaded: u32,
    /// How long ago something was last asked, milliseconds.
    pub quiet_ms: u32,
}

/// What an audit found: messages of a session come in the order in which they were queued, and a load is the whole state, so what
/// differs at a load was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Deltas never came.
    Missed {
        /// Nodes (of a branch: topics) that are other than those that came had left them.
        nodes: u32,
    },
    Whole {
        /// How many, since the load before. None: nothing happened that could have been missing.
        deltas: u32,
    },
    /// There was nothing to compare: no load had come on this connection before, or none came now.
    Void,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not connected; a further attempt is planned.
    #[default]
    Down,
    Connecting,
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchState {
    /// Asked for; its load has not come.
    Subscribing,
    Live,
    /// Live, but nothing received for `stale_after`.
    Stale,
    Removed,
    /// The server refuses it again and again: it is asked for again after a long time only.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchReport {
    pub id: MatchId,
    pub epoch: Epoch,
    pub state: MatchState,
    /// Milliseconds since it was asked for.
    pub took_ms: u32,
    /// Its name, once known.
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchDetail {
    pub id: MatchId,
    pub epoch: Epoch,
    pub state: MatchState,
    /// Milliseconds since its last message.
    pub age_ms: u64,
    /// Its name, empty if unknown.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListChange {
    /// A load begins: what follows up to `LoadEnd` is the whole list.
    LoadBegin,
    Present {
        id: MatchId,
        listing: Listing,
    },
    Gone {
        id: MatchId,
    },
    LoadEnd,
    /// The list is not followed at the moment; this ends no match.
    Lost,
}

/// What a worker carries, each second and on change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// How many of the coordinator's `Assign`, `Release`, `FollowList` and `UnfollowList` messages it has taken: what was sent later is still reserved.
    pub commands_seen: u64,
    pub matches: u32,
    pub live: u32,
    pub stale: u32,
    /// Subscriptions it wants to hold, the list's among them.
    pub subscriptions: u32,
    pub asked: u32,
    /// Subscriptions for which a first message or a status came.
    pub acknowledged: u32,
    pub loaded: u32,
    /// Subscriptions that were asked for more than once on this connection, and never answered.
    pub unanswered: u32,
    /// Whole seconds for which nothing came of what is followed on a connection that is up, pings and the clock aside; 0 as long as that
    /// is less than `stale_after`.
    pub quiet_s: u32,
    /// The part of the last second that it worked, 0 to 1.
    pub busy: f32,
    /// Turns of the loop since its start: rises while it lives.
    pub turns: u64,
    pub diffs: u64,
    /// Deltas per second, over the last second.
    pub diffs_per_s: f64,
    /// Bytes per second, over the last second.
    pub bytes_per_s: f64,
    /// Bytes waiting in the socket and in buffers.
    pub receive_queue: u64,
    /// The most that waited since the last report.
    pub receive_queue_peak: u64,
    pub server_queue: Option<u32>,
    /// Under strategy `dumps`: from one load of a match to its next, milliseconds.
    pub round_ms: Option<u32>,
    /// From the read that brought a diff to the write of its section, microseconds, over the last second.
    pub lag_p50_us: u32,
    /// The same, 99th percentile.
    pub lag_p99_us: u32,
    pub published: u64,
    /// Messages that were counted as errors and skipped, in all.
    pub errors: u64,
    /// Frames of the match stream and lines of chat that could not be held for the recorder, in all.
    pub dropped: u64,
    /// Changes of odds that were left out because the recorder lagged behind, in all; the newest values follow.
    pub odds_conflated: u64,
    /// Frames of both streams that the recorder has not acknowledged, bytes.
    pub unacknowledged: u64,
    /// Where there is no connection whose state would tell: how all that is asked for fares.
    pub sources: Option<SourcesReport>,
}

/// How what a worker polls fares: each topic of each source is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesReport {
    /// Answered.
    pub up: u32,
    /// Answered, or asked, for longer than its interval, the wait for a place in the window included.
    pub slow: u32,
    /// Its newest request failed.
    pub failing: u32,
    /// Of them, those for which no answer came for longer than `stale_after`.
    pub overdue: u32,
    /// The one that fails for the longest time.
    pub worst: Option<FailingSource>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingSource {
    /// Its name, and its match.
    pub name: String,
    pub why: String,
    pub failing_ms: u64,
    /// Until it is asked again.
    pub next_ms: u64,
}
