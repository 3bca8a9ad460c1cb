//! What a worker recorded of its connections: what servers sent, in DPT form whatever carried it, and notes between.
//!
//! As in a capture, a connection that began in an earlier file is read from where a message begins. Memory is bounded: a worker has
//! one connection at a time, so there is one conversation. Caller: the verb `dissect`.

use super::Summary;
use super::bodies::Bodies;
use super::conversation::{Conversation, Entries, Place};
use super::entry::{ConnectionId, Ending, Entry, Sender, What};

/// What each connection begins with.
const GREETING: u8 = b'#';
const CUT: &str = r#"{"what":"cut"}"#;

/// Records of one file, in their order. Times are microseconds since 1970 UTC; connections have the numbers of the recording.
#[derive(Default)]
pub struct Recorded {
    open: Option<(u64, Conversation)>,
    bodies: Bodies,
    summary: Summary,
}

impl Recorded {
    /// What was read at once.
    pub fn bytes(&mut self, at: i64, connection: u64, bytes: &[u8], out: &mut dyn Entries) {
        self.summary.records += 1;
        if self.open.as_ref().is_none_or(|(open, _)| *open != connection) {
            self.over(out);
            self.begin(at, connection, bytes.first() == Some(&GREETING), out);
        }
        self.within(at, connection, out, |conversation, place| conversation.bytes(bytes, place));
    }

    /// What the recording says beside bytes, as JSON.
    pub fn note(&mut self, at: i64, connection: u64, note: &str, out: &mut dyn Entries) {
        self.summary.records += 1;
        let at = Some(nanoseconds(at));
        out.entry(&Entry { connection: ConnectionId(connection), at, sender: None, what: What::Noted(note) });
    }

    /// So many bytes of it are missing here.
    pub fn lost(&mut self, at: i64, connection: u64, count: u64, out: &mut dyn Entries) {
        self.within(at, connection, out, |conversation, place| conversation.lost(count, place));
    }

    /// The connection is over.
    pub fn ended(&mut self, at: i64, connection: u64, out: &mut dyn Entries) {
        self.within(at, connection, out, |conversation, place| conversation.ended(Ending::Closed, place));
        self.open.take_if(|(open, _)| *open == connection);
    }

    /// The file ends in the midst of a record, as the newest one does while its worker writes.
    pub fn cut(&mut self, out: &mut dyn Entries) {
        out.entry(&Entry { connection: ConnectionId(0), at: None, sender: None, what: What::Noted(CUT) });
    }

    /// The file ends: reports what is left.
    pub fn finish(mut self, out: &mut dyn Entries) -> Summary {
        self.over(out);
        self.summary
    }

    fn begin(&mut self, at: i64, connection: u64, from_start: bool, out: &mut dyn Entries) {
        self.open = Some((connection, Conversation::recorded(from_start)));
        self.summary.connections += 1;
        let (connection, at) = (ConnectionId(connection), Some(nanoseconds(at)));
        out.entry(&Entry { connection, at, sender: None, what: What::Recorded { from_start } });
    }

    fn within(
        &mut self,
        at: i64,
        connection: u64,
        out: &mut dyn Entries,
        act: impl FnOnce(&mut Conversation, &mut Place<'_>),
    ) {
        let Recorded { open, bodies, summary } = self;
        let Some((_, conversation)) = open.as_mut().filter(|(open, _)| *open == connection) else { return };
        let mut place = Place::new(Some(nanoseconds(at)), bodies, summary, out);
        (place.connection, place.sender) = (ConnectionId(connection), Sender::Server);
        act(conversation, &mut place);
    }

    fn over(&mut self, out: &mut dyn Entries) {
        let Some((connection, mut conversation)) = self.open.take() else { return };
        let mut place = Place::new(None, &mut self.bodies, &mut self.summary, out);
        place.connection = ConnectionId(connection);
        conversation.over(&mut place);
    }
}

fn nanoseconds(microseconds: i64) -> i64 {
    microseconds.saturating_mul(1_000)
}
