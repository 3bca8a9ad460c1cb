//! What was sent, room by room: the truth behind what must be stored.
//!
//! A room's messages are counted from 0 and said again by the script; here stands which of them went to whom and when. A span is one
//! connection's stay in a room: everything from its first message to its last was written to it, in order. Nothing is said in a room
//! that nobody is in.

use super::script::{Happening, Script, room_id};
use std::collections::{HashMap, VecDeque};

/// Microseconds since 1970.
pub(super) type Micros = i64;

/// Ids of rooms that closed are known this long: so many of them.
const CLOSED: usize = 10_000;

/// Why a connection left a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The client's end of it: it closed, or it died.
    Client,
    /// Ours.
    Server,
}

/// A connection's stay in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub connection: u64,
    /// The first message that was sent to it,
    pub from: u64,
    /// and the one after the last.
    pub to: u64,
    pub joined_at: Micros,
    pub left: Option<(Micros, Left)>,
}

/// A room: what its document must say, and what was sent.
#[derive(Clone, Debug)]
pub struct Room {
    pub id: u64,
    pub title: String,
    pub live: bool,
    pub viewers: u64,
    pub likes: u64,
    pub comments: u64,
    pub gifts: u64,
    pub super_chats: u64,
    /// Its share of all messages, and its place in the ranking.
    pub popularity: u64,
    /// Messages so far.
    pub next: u64,
    pub spans: Vec<Span>,
    /// The first message of each tick, and when that was.
    ticks: Vec<(u64, Micros)>,
}

impl Room {
    /// When a message was sent first.
    pub fn sent_at(&self, place: u64) -> Micros {
        let after = self.ticks.partition_point(|(first, _)| *first <= place);
        after.checked_sub(1).and_then(|at| self.ticks.get(at)).map_or(0, |(_, at)| *at)
    }

    fn apply(&mut self, happening: &Happening) {
        match happening {
            Happening::Comment { .. } => self.comments += 1,
            Happening::Gift(..) | Happening::Guard(_) => self.gifts += 1,
            Happening::SuperChat(_) => self.super_chats += 1,
            Happening::Watched(viewers) => self.viewers = *viewers,
            Happening::Likes(likes) => self.likes = *likes,
            Happening::Live => self.live = true,
            Happening::Preparing => self.live = false,
            Happening::Title(title) => self.title.clone_from(title),
            Happening::Recall(_) | Happening::Delete(_) | Happening::Other(_) => {}
        }
    }
}

/// Every room there is or was.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) script: Script,
    rooms: HashMap<u64, Room>,
    /// The open ones, the most popular first.
    open: Vec<u64>,
    closed: VecDeque<u64>,
    opened: u64,
    spread: f64,
}

impl Ledger {
    pub(super) fn new(seed: u64, rooms: usize, spread: f64) -> Ledger {
        let mut ledger = Ledger {
            script: Script::new(seed),
            rooms: HashMap::new(),
            open: Vec::new(),
            closed: VecDeque::new(),
            opened: 0,
            spread: spread.max(1.0),
        };
        for place in 0..rooms {
            let id = ledger.open_room(popularity(ledger.spread, place, rooms));
            ledger.open.push(id);
        }
        ledger
    }

    fn open_room(&mut self, popularity: u64) -> u64 {
        let id = room_id(self.opened);
        self.opened += 1;
        let room = Room {
            id,
            title: self.script.title(id, 0),
            live: true,
            viewers: 0,
            likes: 0,
            comments: 0,
            gifts: 0,
            super_chats: 0,
            popularity,
            next: 0,
            spans: Vec::new(),
            ticks: Vec::new(),
        };
        self.rooms.insert(id, room);
        id
    }

    /// The open rooms, the most popular first.
    pub(super) fn open(&self) -> &[u64] {
        &self.open
    }

    pub(super) fn is_open(&self, room: u64) -> bool {
        self.open.contains(&room)
    }

    pub(super) fn room(&self, id: u64) -> Option<&Room> {
        self.rooms.get(&id)
    }

    /// Every room that somebody ever was in.
    pub(super) fn visited(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values().filter(|room| !room.spans.is_empty())
    }

    /// Closes the open room at `place`, and opens another one there; the one that closed.
    pub(super) fn replace(&mut self, place: usize) -> Option<u64> {
        let old = *self.open.get(place)?;
        let popularity = self.rooms.get(&old).map_or(1, |room| room.popularity);
        let new = self.open_room(popularity);
        *self.open.get_mut(place)? = new;
        self.closed.push_back(old);
        // What nobody was in needs no memory.
        if self.closed.len() > CLOSED
            && let Some(oldest) = self.closed.pop_front()
            && self.rooms.get(&oldest).is_some_and(|room| room.spans.is_empty())
        {
            self.rooms.remove(&oldest);
        }
        Some(old)
    }

    /// What each room has of all messages.
    pub(super) fn shares(&self) -> HashMap<u64, f64> {
        let known = || self.open.iter().filter_map(|id| self.rooms.get(id));
        let all = known().map(|room| room.popularity as f64).sum::<f64>().max(1.0);
        known().map(|room| (room.id, room.popularity as f64 / all)).collect()
    }

    /// A connection comes into a room, and is sent the last `overlap` messages again; the first of them.
    pub(super) fn join(&mut self, room: u64, connection: u64, overlap: u64, at: Micros) -> Option<u64> {
        let room = self.rooms.get_mut(&room)?;
        let from = room.next.saturating_sub(overlap);
        room.spans.push(Span { connection, from, to: room.next, joined_at: at, left: None });
        Some(from)
    }

    /// A connection is no longer in a room.
    pub(super) fn leave(&mut self, room: u64, connection: u64, at: Micros, left: Left) {
        let Some(room) = self.rooms.get_mut(&room) else { return };
        for span in
            room.spans.iter_mut().rev().filter(|span| span.connection == connection && span.left.is_none())
        {
            span.left = Some((at, left));
        }
    }

    /// The next `count` messages of a room go to all who are in it; each is given to `write`.
    pub(super) fn advance(&mut self, id: u64, count: u64, at: Micros, write: &mut dyn FnMut(&Happening)) {
        let script = self.script;
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.ticks.push((room.next, at));
        for place in room.next..room.next + count {
            let happening = script.happening(id, place);
            room.apply(&happening);
            write(&happening);
        }
        room.next += count;
        let next = room.next;
        for span in room.spans.iter_mut().filter(|span| span.left.is_none()) {
            span.to = next;
        }
    }
}

/// Shares that fall by the same factor from place to place, the first `spread` times the last.
fn popularity(spread: f64, place: usize, rooms: usize) -> u64 {
    let least = 1_000.0;
    let step = (rooms.max(2) - 1) as f64;
    (least * spread.powf(1.0 - place as f64 / step)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_what_was_sent_while_they_lasted() {
        let mut ledger = Ledger::new(1, 3, 1_000.0);
        let id = ledger.open()[0];
        assert_eq!(ledger.join(id, 1, 5, 100), Some(0));
        ledger.advance(id, 10, 200, &mut |_| {});
        ledger.leave(id, 1, 300, Left::Client);
        assert_eq!(ledger.join(id, 2, 4, 400), Some(6));
        ledger.advance(id, 3, 500, &mut |_| {});
        let room = ledger.room(id).unwrap();
        assert_eq!((room.spans[0].from, room.spans[0].to), (0, 10));
        assert_eq!((room.spans[1].from, room.spans[1].to), (6, 13));
        assert_eq!((room.sent_at(0), room.sent_at(9), room.sent_at(10)), (200, 200, 500));
        assert_eq!(room.next, 13);
    }

    #[test]
    fn shares_differ_a_thousandfold_and_make_up_the_whole() {
        let ledger = Ledger::new(1, 300, 1_000.0);
        let shares = ledger.shares();
        let of = |place: usize| shares[&ledger.open()[place]];
        assert!((of(0) / of(299) - 1_000.0).abs() < 2.0, "{} {}", of(0), of(299));
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_room_that_closes_makes_place_for_another() {
        let mut ledger = Ledger::new(1, 2, 10.0);
        let old = ledger.replace(1).unwrap();
        assert!(!ledger.is_open(old) && ledger.open().len() == 2 && ledger.room(old).is_some());
    }
}
