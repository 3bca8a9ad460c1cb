//! The two byte streams of each TCP connection of a capture, in order, without what was sent twice.
//!
//! What comes early waits for what is missing; when more waits than [`PENDING_MAX`], or the capture ends, the gap is reported
//! and passed over. Memory: [`CONNECTIONS_MAX`] connections, of which the one that was silent longest goes first, and
//! [`PENDING_MAX`] waiting bytes for each direction, [`WAITING_MAX`] in all.

use super::packet::Segment;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Connections that are followed at once.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of one direction that wait for what is missing.
pub const PENDING_MAX: usize = 1 << 20;
/// Bytes that wait in all connections.
pub const WAITING_MAX: usize = 64 << 20;
/// Pieces of one direction that wait: each costs more than its bytes.
const PIECES_MAX: usize = 4_096;

/// A connection of the capture: its place in the order in which they begin, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A connection begins, or the capture begins in the midst of it.
    Opened {
        /// Who opened it; in the midst, whose port is the higher.
        client: SocketAddr,
        server: SocketAddr,
        /// Whether its first segment is in the capture.
        from_start: bool,
    },
    /// The next bytes of a direction.
    Bytes(Sender, &'a [u8]),
    /// So many bytes of a direction are not in the capture.
    Lost(Sender, u64),
    Ended(Sender, Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Reset,
}

pub trait Pieces {
    fn piece(&mut self, connection: ConnectionId, at: Option<i64>, piece: Piece<'_>);
    /// A connection is over, or no longer followed: nothing more comes of it.
    fn over(&mut self, connection: ConnectionId);
}

#[derive(Debug, Default)]
pub struct Streams {
    /// By their ends, the smaller address first.
    open: HashMap<(SocketAddr, SocketAddr), Connection, RandomState>,
    /// Ends with the time of use, oldest first; entries that were used again since are stale.
    used: VecDeque<((SocketAddr, SocketAddr), u64)>,
    uses: u64,
    begun: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    client: SocketAddr,
    used: u64,
    from_client: Direction,
    from_server: Direction,
}

/// One direction. Places are counted from its first byte, so that they never wrap.
#[derive(Debug, Default)]
struct Direction {
    /// The number of the byte at `place`, once known.
    next: Option<u32>,
    place: u64,
    pending: BTreeMap<u64, Vec<u8>>,
    pending_bytes: usize,
    end: Option<u64>,
    over: bool,
}

impl Streams {
    pub fn segment(&mut self, segment: &Segment<'_>, at: Option<i64>, out: &mut impl Pieces) {
        let ends =
            if segment.from <= segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let opens = segment.flags.opens() && !segment.flags.acknowledges();
        let held = self.open.get(&ends);
        let anew = held.is_some_and(|held| {
            opens
                && held.client == segment.from
                && held.from_client.next != Some(segment.number.wrapping_add(1))
        });
        if anew {
            // The same ports again: another connection.
            self.end_connection(ends, at, out);
        }
        if !self.open.contains_key(&ends) {
            if segment.payload.is_empty() && !segment.flags.opens() {
                return;
            }
            self.begin(ends, segment, at, out);
        }
        self.uses += 1;
        let uses = self.uses;
        let Some(held) = self.open.get_mut(&ends) else { return };
        held.used = uses;
        self.used.push_back((ends, uses));
        let before = held.waiting();
        held.take(segment, at, out);
        let (after, over) = (held.waiting(), held.is_over());
        self.waiting = (self.waiting + after).saturating_sub(before);
        if over {
            self.end_connection(ends, at, out);
        } else if self.waiting > WAITING_MAX {
            self.give_up(ends, at, out);
        }
        self.forget_stale();
    }

    /// The capture ends: what waits is reported, with the gaps before it.
    pub fn finish(&mut self, out: &mut impl Pieces) {
        let mut ends: Vec<_> = self.open.iter().map(|(ends, held)| (held.id, *ends)).collect();
        ends.sort_unstable();
        for (_, ends) in ends {
            self.end_connection(ends, None, out);
        }
    }

    fn begin(
        &mut self,
        ends: (SocketAddr, SocketAddr),
        segment: &Segment<'_>,
        at: Option<i64>,
        out: &mut impl Pieces,
    ) {
        while self.open.len() >= CONNECTIONS_MAX {
            let Some((oldest, used)) = self.used.pop_front() else { break };
            if self.open.get(&oldest).is_some_and(|held| held.used == used) {
                self.end_connection(oldest, at, out);
            }
        }
        self.begun += 1;
        let id = ConnectionId(self.begun);
        let (flags, from, to) = (segment.flags, segment.from, segment.to);
        let (client, server) = match (flags.opens(), flags.acknowledges()) {
            (true, false) => (from, to),
            (true, true) => (to, from),
            // In the midst: servers listen on the lower port.
            (false, _) if from.port() < to.port() => (to, from),
            (false, _) => (from, to),
        };
        let connection = Connection {
            id,
            client,
            used: 0,
            from_client: Direction::default(),
            from_server: Direction::default(),
        };
        self.open.insert(ends, connection);
        out.piece(id, at, Piece::Opened { client, server, from_start: flags.opens() });
    }

    fn give_up(&mut self, ends: (SocketAddr, SocketAddr), at: Option<i64>, out: &mut impl Pieces) {
        let Some(held) = self.open.get_mut(&ends) else { return };
        let before = held.waiting();
        let id = held.id;
        held.from_client.pass_all(id, Sender::Client, at, out);
        held.from_server.pass_all(id, Sender::Server, at, out);
        self.waiting = self.waiting.saturating_sub(before);
    }

    fn end_connection(&mut self, ends: (SocketAddr, SocketAddr), at: Option<i64>, out: &mut impl Pieces) {
        self.give_up(ends, at, out);
        if let Some(held) = self.open.remove(&ends) {
            out.over(held.id);
        }
    }

    /// The order of use is kept by appending: what was used again since is dropped from time to time.
    fn forget_stale(&mut self) {
        if self.used.len() > 4 * CONNECTIONS_MAX {
            let open = &self.open;
            self.used.retain(|(ends, used)| open.get(ends).is_some_and(|held| held.used == *used));
        }
    }
}

impl Connection {
    fn take(&mut self, segment: &Segment<'_>, at: Option<i64>, out: &mut impl Pieces) {
        let (sender, direction, other) = if segment.from == self.client {
            (Sender::Client, &mut self.from_client, &mut self.from_server)
        } else {
            (Sender::Server, &mut self.from_server, &mut self.from_client)
        };
        direction.take(self.id, sender, segment, at, out);
        if segment.flags.resets() {
            direction.pass_all(self.id, sender, at, out);
            if !direction.over {
                out.piece(self.id, at, Piece::Ended(sender, Ending::Reset));
            }
            direction.over = true;
            other.over = true;
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
    fn take(
        &mut self,
        id: ConnectionId,
        sender: Sender,
        segment: &Segment<'_>,
        at: Option<i64>,
        out: &mut impl Pieces,
    ) {
        if self.over {
            return;
        }
        // The opening takes a number of its own.
        let opening = u32::from(segment.flags.opens());
        let number = segment.number.wrapping_add(opening);
        let next = *self.next.get_or_insert(number);
        // Within half of all numbers ahead, else behind.
        let ahead = i64::from(number.wrapping_sub(next).cast_signed());
        let place = self.place.saturating_add_signed(ahead);
        let behind = if ahead < 0 { ahead.unsigned_abs() } else { 0 };
        // What is sent again may begin before the first byte that was seen.
        let known = behind.saturating_sub(self.place);
        let skip = usize::try_from(known).unwrap_or(usize::MAX);
        let payload = segment.payload.get(skip..).unwrap_or_default();
        self.put(place, payload);
        if segment.flags.ends() {
            let whole = segment.payload.len().saturating_add(segment.missing) as u64;
            let last = place.saturating_add(whole.saturating_sub(known));
            self.end = Some(self.end.map_or(last, |end| end.min(last)));
        }
        self.give(id, sender, at, out);
        if self.pending_bytes > PENDING_MAX || self.pending.len() > PIECES_MAX {
            self.pass_all(id, sender, at, out);
        }
        // What the capture program cut off will not come, unless it is sent again.
        if !self.over && self.end.is_some_and(|end| end <= self.place) {
            self.over = true;
            out.piece(id, at, Piece::Ended(sender, Ending::Closed));
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

    fn give(&mut self, id: ConnectionId, sender: Sender, at: Option<i64>, out: &mut impl Pieces) {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > self.place {
                return;
            }
            let (place, bytes) = entry.remove_entry();
            self.pending_bytes -= bytes.len();
            let known = usize::try_from(self.place - place).unwrap_or(usize::MAX);
            if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
                self.advance(fresh.len() as u64);
                out.piece(id, at, Piece::Bytes(sender, fresh));
            }
        }
    }

    fn advance(&mut self, count: u64) {
        self.place += count;
        // The numbers wrap, and that is what they do.
        self.next = self.next.map(|next| next.wrapping_add(count as u32));
    }

    /// Reports everything that waits, and the gaps between.
    fn pass_all(&mut self, id: ConnectionId, sender: Sender, at: Option<i64>, out: &mut impl Pieces) {
        while let Some(first) = self.pending.keys().next().copied() {
            let lost = first.saturating_sub(self.place);
            if lost > 0 {
                self.advance(lost);
                out.piece(id, at, Piece::Lost(sender, lost));
            }
            self.give(id, sender, at, out);
        }
    }
}
