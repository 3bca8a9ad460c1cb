//! Named places where a test can break a process: kill it, stop it, let it fail.
//!
//! Only a build with the feature `failpoints` has them; in any other, [`hit`] and [`fails`] are nothing, and the names are not in
//! the program (a test looks). What is done there comes from the environment, which children inherit:
//! `TOUCHLINE_FAILPOINTS="NAME=ACTION[,match=ID][,when=FILE][,after=N][,once=FILE][;…]"`, with the actions `kill9`, `stop`, `exit=N`, `error`,
//! `delay=MS`, `panic` and `spin`. `match=ID` acts only for that match, at a place that is about one; `when=FILE` sleeps until that file is
//! there; `after=N` lets N passes go by; `once=FILE` acts only for the one process that makes that file, so that a successor gets past the
//! place. `docs/testing.md` has the table; callers: each step of the daemon that a crash may cut in two.

#[cfg(any(test, feature = "failpoints"))]
#[cfg_attr(not(feature = "failpoints"), allow(dead_code))]
mod armed;

#[cfg(feature = "failpoints")]
use armed::act;
use std::io;

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place, in the order in which a daemon comes by.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(any(test, feature = "failpoints"), derive(Debug))]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        #[cfg(any(test, feature = "failpoints"))]
        impl Point {
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name,)*
                }
            }

            /// Whether [`hit_for`] is what passes it.
            pub fn is_about_a_match(self) -> bool {
                matches!(self, Point::AssignReceived | Point::MovePrepared | Point::ReleaseAcked)
            }
        }
    };
}

points! {
    /// Coordinator: a pair of sockets is about to be made, a child's or a data channel. `error`: there is none.
    ChannelPair = "channel.pair",
    /// Coordinator: a child is about to be started. `error`: it is not.
    SpawnBefore = "spawn.before",
    /// Coordinator: a child's process is there, not watched yet. `error`: it cannot be watched.
    SpawnAfterExec = "spawn.after_exec",
    /// Coordinator: a child has its welcome in its queue.
    WelcomeSent = "welcome.sent",
    /// Coordinator: an assignment is in a worker's queue.
    AssignSent = "assign.sent",
    /// Coordinator: both ends of a data channel are in their queues.
    AttachSent = "attach.sent",
    /// Coordinator: the recorder reported a switch that is not acted on yet.
    MoveSwitched = "move.switched",
    /// Coordinator: a child was reaped, and its matches are still its own.
    ChildReaped = "child.reaped",
    /// Coordinator: the new state is written beside the old one. `error`: it could not be written.
    SaveTmpWritten = "save.tmp_written",
    /// Coordinator: the new state has the old one's name. `error`: the folder could not be synced.
    SaveRenamed = "save.renamed",
    /// Coordinator: an operator's answer is in its queue.
    ReplyQueued = "reply.queued",
    /// Worker: the hello is sent.
    HelloSent = "hello.sent",
    /// Worker: READY is in its queue.
    ReadySent = "ready.sent",
    /// Worker: the end of a data channel came.
    DataReceived = "data.received",
    /// Worker: the list is to be followed.
    ListReceived = "list.received",
    /// Worker: an assignment came.
    AssignReceived = "assign.received",
    /// Worker: the first load of a match is held; on a move, the candidate's.
    MovePrepared = "move.prepared",
    /// Worker: a match was let go, and the recorder has not read that.
    ReleaseAcked = "release.acked",
    /// Worker: a turn of its loop begins.
    WorkerTurn = "worker.turn",
    /// Recorder: the hello is in its queue.
    RecordHello = "record.hello",
    /// Recorder: READY is in its queue.
    RecordReady = "record.ready_sent",
    /// Recorder: a worker's channel came.
    RecordAttach = "record.attach",
    /// Recorder: a turn of its loop begins.
    RecordTurn = "record.turn",
    /// Recorder, the store's thread: a transaction is about to be committed.
    RecordBeforeCommit = "record.before_commit",
    /// Recorder, the store's thread: it is committed, and not reported yet.
    RecordAfterCommit = "record.after_commit",
    /// Recorder: a candidate is adopted and committed, not reported to the coordinator yet.
    RecordSwitched = "record.switched",
}

/// Does here what the environment asks for. `error` has no meaning at a place that cannot fail.
#[inline(always)]
pub fn hit(point: Point) {
    let _ = act(point, None);
}

/// As [`hit`], where the step is about the match `id`: what is asked for may be of one match only.
#[inline(always)]
pub fn hit_for(point: Point, id: &str) {
    let _ = act(point, Some(id));
}

/// Does here what the environment asks for.
///
/// # Errors
/// When it asks for an error.
#[inline(always)]
pub fn fails(point: Point) -> io::Result<()> {
    act(point, None)
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
fn act(_: Point, _: Option<&str>) -> io::Result<()> {
    Ok(())
}
