//! The truth as others may ask for it: shared with the server's thread.

use super::ledger::{Ledger, Left, Micros, Room, Span};
use super::locked;
use super::options::RoomOptions;
use super::script::{Happening, Kind, Line};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// What a client closed may have been sent this long before we saw it, in vain.
const UNSEEN: Micros = 100_000;

/// What is true of every room.
#[derive(Clone)]
pub struct RoomsTruth(Arc<Mutex<Ledger>>);

/// A line that was sent, and how surely it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLine {
    /// Its place in the room.
    pub place: u64,
    /// When it was sent first, microseconds since 1970.
    pub at: Micros,
    pub due: Due,
    pub line: Line,
}

/// Whether a line must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Outside gaps it must.
    Yes,
    /// It was only written to connections that their clients had closed by then, or may have.
    Unsure,
}

/// What who is in a room now was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub id: u64,
    /// Its title now; the ranking says it, too.
    pub title: String,
    /// Whether it is live, if that was said.
    pub live: Option<bool>,
    pub viewers: Option<u64>,
    pub likes: Option<u64>,
    /// Comments, gifts and paid comments, of a room that was joined once.
    pub counts: Option<[u64; 3]>,
}

impl Heard {
    fn take(&mut self, happening: &Happening) {
        match happening {
            Happening::Watched(viewers) => self.viewers = Some(*viewers),
            Happening::Likes(likes) => self.likes = Some(*likes),
            Happening::Live => self.live = Some(true),
            Happening::Preparing => self.live = Some(false),
            Happening::Comment { .. }
            | Happening::Gift(..)
            | Happening::SuperChat(_)
            | Happening::Guard(_)
            | Happening::Recall(_)
            | Happening::Delete(_)
            | Happening::Title(_)
            | Happening::Other(_) => {}
        }
        let [comments, gifts, super_chats] = self.counts.get_or_insert_default();
        match happening.line().map(|line| line.kind) {
            Some(Kind::Comment) => *comments += 1,
            Some(Kind::Gift) => *gifts += 1,
            Some(Kind::SuperChat) => *super_chats += 1,
            Some(Kind::Retract) | None => {}
        }
    }
}

impl RoomsTruth {
    pub(super) fn new(options: &RoomOptions) -> RoomsTruth {
        RoomsTruth(Arc::new(Mutex::new(Ledger::new(options.seed, options.rooms, options.spread))))
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(&Ledger) -> T) -> T {
        ask(&locked(&self.0))
    }

    pub(super) fn with_mut<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut locked(&self.0))
    }

    /// Ids of the open rooms, the most popular first.
    pub fn rooms(&self) -> Vec<u64> {
        self.with(|ledger| ledger.open().to_vec())
    }

    /// Ids of the rooms that somebody was ever in.
    pub fn visited(&self) -> Vec<u64> {
        let mut rooms: Vec<u64> = self.with(|ledger| ledger.visited().map(|room| room.id).collect());
        rooms.sort_unstable();
        rooms
    }

    /// A room as it is now.
    pub fn room(&self, id: u64) -> Option<Room> {
        self.with(|ledger| ledger.room(id).cloned())
    }

    /// What a room's document must say.
    pub fn document(&self, id: u64) -> Option<Value> {
        let room = self.room(id)?;
        Some(json!({
            "id": room.id.to_string(), "title": room.title, "status": if room.live { "live" } else { "preparing" },
            "viewers": room.viewers, "likes": room.likes, "comments": room.comments, "gifts": room.gifts,
            "super_chats": room.super_chats,
        }))
    }

    /// What who is in a room now was told of it; none if nobody is. Of several the one that came last.
    pub fn heard(&self, id: u64) -> Option<Heard> {
        let room = self.room(id)?;
        let script = self.with(|ledger| ledger.script);
        let inside = room.spans.iter().filter(|span| span.left.is_none());
        let from = inside.map(|span| span.from).max()?;
        let mut heard =
            Heard { id, title: room.title, live: None, viewers: None, likes: None, counts: Some([0; 3]) };
        (from..room.next).for_each(|place| heard.take(&script.happening(id, place)));
        heard.counts = heard.counts.filter(|_| room.spans.len() == 1);
        Some(heard)
    }

    /// Every line that was sent in a room, once each, in order.
    pub fn lines(&self, id: u64) -> Vec<SentLine> {
        let Some(room) = self.room(id) else { return Vec::new() };
        let script = self.with(|ledger| ledger.script);
        let mut spans: Vec<&Span> = room.spans.iter().collect();
        spans.sort_by_key(|span| span.from);
        let (mut lines, mut next, mut open) = (Vec::new(), 0, Vec::<&Span>::new());
        for place in 0..room.next {
            open.extend(spans.iter().skip(next).take_while(|span| span.from <= place).copied());
            next += spans.iter().skip(next).take_while(|span| span.from <= place).count();
            open.retain(|span| span.to > place);
            if open.is_empty() {
                continue;
            }
            if let Some(line) = script.happening(id, place).line() {
                let at = room.sent_at(place);
                let due = if open.iter().any(|span| surely(span, at)) { Due::Yes } else { Due::Unsure };
                lines.push(SentLine { place, at, due, line: line.clone() });
            }
        }
        lines
    }

    /// Who was in a room, and for which of its messages.
    pub fn spans(&self, id: u64) -> Vec<Span> {
        self.room(id).map(|room| room.spans).unwrap_or_default()
    }

    /// Lines that were sent, over all rooms.
    pub fn sent(&self) -> u64 {
        self.visited().into_iter().map(|room| self.lines(room).len() as u64).sum()
    }

    /// Every line that was sent, as JSON.
    pub(super) fn lines_json(&self) -> Value {
        let of_room = |id: u64| {
            let lines: Vec<Value> = self.lines(id).iter().map(line_json).collect();
            let spans: Vec<Value> = self.spans(id).iter().map(span_json).collect();
            json!({"room": id, "spans": spans, "lines": lines})
        };
        Value::Array(self.visited().into_iter().map(of_room).collect())
    }

    /// Names of users whose lines were sent in a room.
    pub fn names(&self, id: u64) -> HashSet<String> {
        self.lines(id).into_iter().map(|sent| sent.line.user).filter(|user| !user.is_empty()).collect()
    }
}

/// Whether what was sent at `at` reached the client, unless the connection was lost.
fn surely(span: &Span, at: Micros) -> bool {
    match span.left {
        Some((left, Left::Client)) => at.max(span.joined_at) < left - UNSEEN,
        Some((_, Left::Server)) | None => true,
    }
}

fn line_json(sent: &SentLine) -> Value {
    let Line { kind, id, uid, user, text, amount } = &sent.line;
    json!({"place": sent.place, "at": sent.at, "kind": kind.name(), "id": id_text(*id), "uid": uid, "user": user,
        "text": text, "amount": amount, "due": sent.due == Due::Yes})
}

fn id_text(id: u64) -> Option<String> {
    (id != 0).then(|| id.to_string())
}

fn span_json(span: &Span) -> Value {
    json!({"connection": span.connection, "from": span.from, "to": span.to, "joined_at": span.joined_at,
        "left_at": span.left.map(|(at, _)| at),
        "left_by": span.left.map(|(_, left)| match left { Left::Client => "client", Left::Server => "server" })})
}
