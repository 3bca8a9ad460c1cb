//! The line in which rooms wait for their turn to connect, and the places at each address. Pure.
//!
//! One permit is asked for at a time, and only while some address has room: the coordinator counts a worker that asks again while it
//! waits only once, so the next room asks when the first has its answer. A coordinator that does not answer within
//! [`PERMIT_DEADLINE`] is no reason to follow nothing. Caller: `source`.

use super::table::Index;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Long enough that workers which share a budget are not taken for a coordinator that hangs.
const PERMIT_DEADLINE: Duration = Duration::from_secs(10);

/// One of the hosts, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) usize);

#[derive(Debug)]
pub(super) struct Line {
    rooms: VecDeque<Index>,
    /// Those whose turn has come.
    admitted: VecDeque<Index>,
    /// Connections at each address.
    taken: Vec<usize>,
    /// How many each may have.
    most: usize,
    /// Until when the permit that is asked for may take.
    asked: Option<Instant>,
}

impl Line {
    /// `addresses` with room for `most` connections each.
    pub(super) fn new(addresses: usize, most: usize) -> Line {
        let (rooms, admitted) = (VecDeque::new(), VecDeque::new());
        Line { rooms, admitted, taken: vec![0; addresses], most, asked: None }
    }

    pub(super) fn join(&mut self, room: Index) {
        self.rooms.push_back(room);
    }

    pub(super) fn leave(&mut self, room: Index) {
        self.rooms.retain(|waiting| *waiting != room);
        self.admitted.retain(|admitted| *admitted != room);
    }

    /// Whether something is to be done at once: a permit asked for, or an admitted room connected.
    pub(super) fn is_due(&self) -> bool {
        !self.admitted.is_empty() || self.is_to_ask()
    }

    /// Whether a permit is to be asked for now; if so, it counts as asked for.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let asks = self.is_to_ask();
        if asks {
            self.asked = Some(now + PERMIT_DEADLINE);
        }
        asks
    }

    /// When the permit that was asked for is taken for granted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked
    }

    /// The first in line may connect: the permit is there, or is taken for granted.
    pub(super) fn permit(&mut self) {
        self.asked = None;
        self.admitted.extend(self.rooms.pop_front());
    }

    /// The next that may connect, with a place at an address: another one to begin with for each attempt. One for which there is
    /// no place waits at the front of the line.
    pub(super) fn admit(&mut self, attempt: impl FnOnce(Index) -> u64) -> Option<(Index, Address)> {
        let room = self.admitted.pop_front()?;
        match self.take(attempt(room)) {
            Some(address) => Some((room, address)),
            None => {
                self.rooms.push_front(room);
                None
            }
        }
    }

    fn take(&mut self, attempt: u64) -> Option<Address> {
        let first = usize::try_from(attempt % (self.taken.len().max(1) as u64)).unwrap_or_default();
        let (before, from) = self.taken.split_at(first.min(self.taken.len()));
        let free = |(_, taken): &(usize, &usize)| **taken < self.most;
        let in_turn = (first..).zip(from).chain((0..).zip(before));
        let address = in_turn.into_iter().find(free).map(|(at, _)| at)?;
        self.taken.get_mut(address).into_iter().for_each(|taken| *taken += 1);
        Some(Address(address))
    }

    pub(super) fn give_back(&mut self, address: Address) {
        self.taken.get_mut(address.0).into_iter().for_each(|taken| *taken = taken.saturating_sub(1));
    }

    fn is_to_ask(&self) -> bool {
        self.asked.is_none() && !self.rooms.is_empty() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.taken.iter().any(|taken| *taken < self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_permit_is_asked_for_at_a_time_and_only_while_an_address_has_room() {
        let now = Instant::now();
        let mut line = Line::new(2, 1);
        assert!(!line.asks(now), "nobody waits");
        for room in 0..4 {
            line.join(Index(room));
        }
        assert!(line.is_due() && line.asks(now) && !line.asks(now) && !line.is_due());
        assert_eq!(line.deadline(), Some(now + PERMIT_DEADLINE));
        line.permit();
        assert!(line.is_due());
        assert_eq!(line.admit(|_| 0), Some((Index(0), Address(0))));
        assert!(line.asks(now));
        line.permit();
        assert_eq!(line.admit(|_| 0), Some((Index(1), Address(1))), "the first is full");
        assert!(!line.asks(now) && !line.is_due());
        line.permit();
        assert_eq!(line.admit(|_| 0), None, "a permit that came late finds no place");
        line.give_back(Address(0));
        line.leave(Index(2));
        assert!(line.asks(now));
        line.permit();
        assert_eq!(line.admit(|_| 0), Some((Index(3), Address(0))));
    }

    #[test]
    fn attempts_go_through_the_addresses_in_turn() {
        let mut line = Line::new(3, 9);
        let turns: Vec<usize> = (0..5).filter_map(|attempt| line.take(attempt)).map(|at| at.0).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1]);
    }
}
