//! The two byte streams of each TCP connection of a capture, in order, without what was sent twice, each for its conversation.
//!
//! What comes early waits for what is missing; when more waits than [`PENDING_MAX`], or the capture ends, the gap is reported
//! and passed over. Memory: [`CONNECTIONS_MAX`] connections, of which the one that was silent longest goes first, and
//! [`PENDING_MAX`] waiting bytes for each direction, [`WAITING_MAX`] in all.

use super::conversation::{Conversation, Place};
use super::entry::{ConnectionId, Ending, Entry, Sender, What};
use super::packet::Segment;
use crate::wire::websocket::{Beginning, Role, beginning};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Connections that are followed at once.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of one direction that wait for what is missing.
pub const PENDING_MAX: usize = 1 << 20;
/// Bytes that wait in all connections.
pub const WAITING_MAX: usize = 64 << 20;
/// Pieces of one direction that wait: each costs more than its bytes.
const PIECES_MAX: usize = 4_096;

/// The two ends of a connection, the smaller address first.
type Ends = (SocketAddr, SocketAddr);

#[derive(Default)]
pub(super) struct Streams {
    open: HashMap<Ends, Connection, RandomState>,
    /// The open ones in the order of their last use.
    used: BTreeMap<u64, Ends>,
    uses: u64,
    waiting: usize,
}

struct Connection {
    id: ConnectionId,
    client: SocketAddr,
    used: u64,
    conversation: Conversation,
    from_client: Direction,
    from_server: Direction,
}

/// One direction. Places are counted from its first byte, so that they never wrap.
#[derive(Default)]
struct Direction {
    /// The number of the first byte, once known.
    base: Option<u32>,
    place: u64,
    pending: BTreeMap<u64, Vec<u8>>,
    pending_bytes: usize,
    end: Option<u64>,
    over: bool,
}

impl Streams {
    pub(super) fn segment(&mut self, segment: &Segment<'_>, place: &mut Place<'_>) {
        let ends =
            if segment.from <= segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let opens = segment.flags.opens() && !segment.flags.acknowledges();
        let anew = self.open.get(&ends).is_some_and(|held| {
            opens
                && held.client == segment.from
                && held.from_client.next() != Some(segment.number.wrapping_add(1))
        });
        if anew {
            // The same ports again: another connection.
            self.end_connection(ends, place);
        }
        if !self.open.contains_key(&ends) {
            if segment.payload.is_empty() && !segment.flags.opens() {
                return;
            }
            self.begin(ends, segment, place);
        }
        let Some(held) = self.open.get_mut(&ends) else { return };
        self.uses += 1;
        self.used.remove(&held.used);
        self.used.insert(self.uses, ends);
        held.used = self.uses;
        let before = held.waiting();
        held.take(segment, place);
        let (after, over) = (held.waiting(), held.is_over());
        self.waiting = (self.waiting + after).saturating_sub(before);
        if over {
            self.end_connection(ends, place);
        } else if self.waiting > WAITING_MAX {
            self.give_up(ends, place);
        }
    }

    /// The capture ends: what waits is reported, with the gaps before it.
    pub(super) fn finish(&mut self, place: &mut Place<'_>) {
        let mut ends: Vec<_> = self.open.iter().map(|(ends, held)| (held.id, *ends)).collect();
        ends.sort_unstable();
        for (_, ends) in ends {
            self.end_connection(ends, place);
        }
    }

    fn begin(&mut self, ends: Ends, segment: &Segment<'_>, place: &mut Place<'_>) {
        if self.open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.used.values().next().copied()
        {
            self.end_connection(oldest, place);
        }
        let (flags, from, to) = (segment.flags, segment.from, segment.to);
        let (client, server) = match (flags.opens(), flags.acknowledges()) {
            (true, false) => (from, to),
            (true, true) => (to, from),
            (false, _) => match beginning(segment.payload, None, segment.payload.len()) {
                // In the midst: clients mask, servers listen on the lower port.
                Beginning::Frames(Role::Server) => (from, to),
                Beginning::Frames(Role::Client) => (to, from),
                Beginning::Maybe | Beginning::No if from.port() < to.port() => (to, from),
                Beginning::Maybe | Beginning::No => (from, to),
            },
        };
        let from_start = flags.opens();
        place.summary.connections += 1;
        let id = ConnectionId(place.summary.connections);
        let connection = Connection {
            id,
            client,
            used: 0,
            conversation: Conversation::new(from_start),
            from_client: Direction::default(),
            from_server: Direction::default(),
        };
        self.open.insert(ends, connection);
        let what = What::Opened { client, server, from_start };
        place.out.entry(&Entry { connection: id, at: place.at, sender: None, what });
    }

    fn give_up(&mut self, ends: Ends, place: &mut Place<'_>) {
        let Some(held) = self.open.get_mut(&ends) else { return };
        let before = held.waiting();
        held.pass_all(place);
        self.waiting = self.waiting.saturating_sub(before);
    }

    fn end_connection(&mut self, ends: Ends, place: &mut Place<'_>) {
        self.give_up(ends, place);
        if let Some(mut held) = self.open.remove(&ends) {
            self.used.remove(&held.used);
            place.connection = held.id;
            held.conversation.over(place);
        }
    }
}

impl Connection {
    fn take(&mut self, segment: &Segment<'_>, place: &mut Place<'_>) {
        let Connection { conversation, from_client, from_server, .. } = self;
        let (sender, direction, other) = if segment.from == self.client {
            (Sender::Client, from_client, from_server)
        } else {
            (Sender::Server, from_server, from_client)
        };
        (place.connection, place.sender) = (self.id, sender);
        direction.take(segment, conversation, place);
        if segment.flags.resets() {
            direction.pass_all(conversation, place);
            if !direction.over {
                conversation.ended(Ending::Reset, place);
            }
            direction.over = true;
            other.over = true;
        }
    }

    /// Reports everything that waits, and the gaps between.
    fn pass_all(&mut self, place: &mut Place<'_>) {
        place.connection = self.id;
        for (sender, direction) in
            [(Sender::Client, &mut self.from_client), (Sender::Server, &mut self.from_server)]
        {
            place.sender = sender;
            direction.pass_all(&mut self.conversation, place);
        }
    }

    fn waiting(&self) -> usize {
        self.from_client.pending_bytes + self.from_server.pending_bytes
    }

    fn is_over(&self) -> bool {
        self.from_client.over && self.from_server.over
    }
}

impl Direction {
    /// The number of the byte at `place`, once known. The numbers wrap, and that is what they do.
    fn next(&self) -> Option<u32> {
        self.base.map(|base| base.wrapping_add(self.place as u32))
    }

    fn take(&mut self, segment: &Segment<'_>, conversation: &mut Conversation, place: &mut Place<'_>) {
        if self.over {
            return;
        }
        // The opening takes a number of its own.
        let opening = u32::from(segment.flags.opens());
        let number = segment.number.wrapping_add(opening);
        let next = self.next().unwrap_or(number);
        self.base.get_or_insert(number);
        // Within half of all numbers ahead, else behind.
        let ahead = i64::from(number.wrapping_sub(next).cast_signed());
        let start = self.place.saturating_add_signed(ahead);
        let behind = if ahead < 0 { ahead.unsigned_abs() } else { 0 };
        // What is sent again may begin before the first byte that was seen.
        let known = behind.saturating_sub(self.place);
        let skip = usize::try_from(known).unwrap_or(usize::MAX);
        let payload = segment.payload.get(skip..).unwrap_or_default();
        self.put(start, payload);
        if segment.flags.ends() {
            let whole = segment.payload.len().saturating_add(segment.missing) as u64;
            let last = start.saturating_add(whole.saturating_sub(known));
            self.end = Some(self.end.map_or(last, |end| end.min(last)));
        }
        self.give(conversation, place);
        if self.pending_bytes > PENDING_MAX || self.pending.len() > PIECES_MAX {
            self.pass_all(conversation, place);
        }
        // What the capture program cut off will not come, unless it is sent again.
        if !self.over && self.end.is_some_and(|end| end <= self.place) {
            self.over = true;
            conversation.ended(Ending::Closed, place);
        }
    }

    /// Keeps a piece, without what is there already; of two at one place the longer.
    fn put(&mut self, place: u64, payload: &[u8]) {
        let old = usize::try_from(self.place.saturating_sub(place)).unwrap_or(usize::MAX);
        let Some(fresh) = payload.get(old..).filter(|fresh| !fresh.is_empty()) else { return };
        let place = place.max(self.place);
        let held = self.pending.entry(place).or_default();
        if held.len() < fresh.len() {
            self.pending_bytes += fresh.len() - held.len();
            held.clear();
            held.extend_from_slice(fresh);
        }
    }

    fn give(&mut self, conversation: &mut Conversation, place: &mut Place<'_>) {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > self.place {
                return;
            }
            let (start, bytes) = entry.remove_entry();
            self.pending_bytes -= bytes.len();
            let known = usize::try_from(self.place - start).unwrap_or(usize::MAX);
            if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
                self.place += fresh.len() as u64;
                conversation.bytes(fresh, place);
            }
        }
    }

    /// Reports everything that waits, and the gaps between.
    fn pass_all(&mut self, conversation: &mut Conversation, place: &mut Place<'_>) {
        while let Some(first) = self.pending.keys().next().copied() {
            let lost = first.saturating_sub(self.place);
            if lost > 0 {
                self.place += lost;
                conversation.lost(lost, place);
            }
            self.give(conversation, place);
        }
    }
}
