//! Whose turn it is: a window of requests in flight, a limit per host inside it. Pure.
//!
//! Invariants: never more than `window` hold a place, never more than `per_host` of one host are in flight; of the hosts with room the
//! request that waits longest is next. A host that is full costs nobody else a turn, nor time: it is not looked at until it has room.
//! An urgent request goes before the [`HEAD_START`] requests that were asked for before it, and no others: nobody waits for ever.
//! A request that is late, by what answers take ([`Pace`]), gives its place to one that waits and stays in flight without; at most
//! [`LATE_PER_PLACE`] for each place. So what is slow or dead costs the others a moment, not a place.

use super::pace::Pace;
use super::{RequestId, Urgency};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Requests that may wait; whoever asks for more is refused.
pub(super) const WAITING_MAX: usize = 100_000;

/// Requests in flight without a place, for each place of the window.
pub(super) const LATE_PER_PLACE: usize = 3;
/// Requests.
const HEAD_START: u64 = 1_000;

/// `scheme://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host(pub(super) String);

#[derive(Debug)]
pub(super) struct Queue {
    window: usize,
    per_host: usize,
    hosts: HashMap<Host, Line>,
    /// Hosts with room where somebody waits, by the turn of the first.
    ready: BTreeMap<Turn, Host>,
    /// Who has a place, since when: the longest first.
    placed: VecDeque<(Instant, RequestId)>,
    /// In flight without a place.
    late: usize,
    pace: Pace,
    waiting: usize,
}

/// Who has the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// The id of the request behind which it stands.
    behind: u64,
    id: RequestId,
}

impl Turn {
    fn of(id: RequestId, urgency: Urgency) -> Turn {
        let behind = match urgency {
            Urgency::Urgent => id.0.saturating_sub(HEAD_START),
            Urgency::Normal => id.0,
        };
        Turn { behind, id }
    }
}

/// The requests of one host.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Turn>,
    running: usize,
}

impl Queue {
    /// At least one place each.
    pub(super) fn new(window: usize, per_host: usize) -> Queue {
        Queue {
            window: window.max(1),
            per_host: per_host.max(1),
            hosts: HashMap::new(),
            ready: BTreeMap::new(),
            placed: VecDeque::new(),
            late: 0,
            pace: Pace::new(),
            waiting: 0,
        }
    }

    /// With a place or without.
    pub(super) fn in_flight(&self) -> usize {
        self.placed.len() + self.late
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A request waits from now on. One that comes back, sent on to another host, keeps its turn.
    pub(super) fn push(&mut self, id: RequestId, urgency: Urgency, host: Host) {
        let turn = Turn::of(id, urgency);
        self.change(host, |line| {
            let place = line.waiting.partition_point(|other| *other < turn);
            line.waiting.insert(place, turn);
        });
        self.waiting += 1;
    }

    /// The next that may start; it is in flight until [`Queue::done`]. Times never go back.
    pub(super) fn start(&mut self, now: Instant) -> Option<RequestId> {
        if self.late_at().is_some_and(|at| at <= now) {
            self.placed.pop_front();
            self.late += 1;
        }
        if self.placed.len() >= self.window {
            return None;
        }
        let (_, host) = self.ready.first_key_value()?;
        let mut started = None;
        self.change(host.clone(), |line| {
            started = line.waiting.pop_front().map(|turn| turn.id);
            line.running += usize::from(started.is_some());
        });
        let started = started?;
        self.placed.push_back((now, started));
        self.waiting -= 1;
        Some(started)
    }

    /// When one that waits may start because another is late; none if it is not for want of a place that it waits.
    pub(super) fn late_at(&self) -> Option<Instant> {
        let is_wanted = self.placed.len() >= self.window && !self.ready.is_empty();
        let has_room = self.late < self.window.saturating_mul(LATE_PER_PLACE);
        let (since, _) = self.placed.front().filter(|_| is_wanted && has_room)?;
        Some(*since + self.pace.late_after())
    }

    /// An answer took so long.
    pub(super) fn answered(&mut self, took: Duration) {
        self.pace.answered(took);
    }

    /// A request is not in flight any more.
    pub(super) fn done(&mut self, id: RequestId, host: Host) {
        match self.placed.iter().position(|(_, placed)| *placed == id) {
            Some(place) => {
                self.placed.remove(place);
            }
            None => self.late = self.late.saturating_sub(1),
        }
        self.change(host, |line| line.running = line.running.saturating_sub(1));
    }

    /// A request waits no more.
    pub(super) fn withdraw(&mut self, id: RequestId, host: Host) {
        let mut found = None;
        self.change(host, |line| {
            found = line.waiting.iter().position(|waiting| waiting.id == id);
            if let Some(place) = found {
                line.waiting.remove(place);
            }
        });
        self.waiting -= usize::from(found.is_some());
    }

    /// Changes a line, and what `ready` says of it.
    fn change(&mut self, host: Host, change: impl FnOnce(&mut Line)) {
        let line = self.hosts.entry(host.clone()).or_default();
        if let Some(first) = line.waiting.front() {
            self.ready.remove(first);
        }
        change(line);
        match line.waiting.front() {
            Some(first) if line.running < self.per_host => {
                self.ready.insert(*first, host);
            }
            None if line.running == 0 => {
                self.hosts.remove(&host);
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap as Map;

    fn host(n: u8) -> Host {
        Host(format!("http://h{n}"))
    }

    #[test]
    fn a_full_host_costs_nobody_else_a_turn() {
        let mut queue = Queue::new(4, 2);
        for (id, of) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 0), (6, 2)] {
            queue.push(RequestId(id), Urgency::Normal, host(of));
        }
        let now = Instant::now();
        let started: Vec<_> = std::iter::from_fn(|| queue.start(now)).map(|id| id.0).collect();
        assert_eq!(started, [1, 2, 4, 6]);
        queue.done(RequestId(4), host(1));
        assert_eq!(queue.start(now), None, "host 0 is full, and nobody else waits");
        queue.done(RequestId(1), host(0));
        assert_eq!(queue.start(now), Some(RequestId(3)));
        assert_eq!((queue.in_flight(), queue.waiting()), (3, 1), "host 0 has its two");
    }

    #[test]
    fn who_is_late_gives_its_place_to_one_that_waits_up_to_a_bound_and_stays_in_flight() {
        let mut queue = Queue::new(1, 1);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        queue.push(RequestId(1), Urgency::Normal, host(0));
        assert_eq!(queue.start(start), Some(RequestId(1)));
        assert_eq!(queue.late_at(), None, "nobody wants its place");
        queue.answered(second / 2);
        for id in 2..9 {
            queue.push(RequestId(id), Urgency::Normal, host(id as u8));
        }
        assert_eq!((queue.late_at(), queue.start(start + second / 2)), (Some(start + second), None));
        for n in 1..=LATE_PER_PLACE as u64 {
            let now = start + second * n as u32;
            assert_eq!((queue.start(now), queue.start(now)), (Some(RequestId(n + 1)), None));
        }
        assert_eq!((queue.late_at(), queue.start(start + 60 * second)), (None, None), "the bound");
        assert_eq!(queue.in_flight(), LATE_PER_PLACE + 1);
        queue.done(RequestId(1), host(0));
        assert_eq!(
            queue.start(start + 61 * second),
            Some(RequestId(5)),
            "there is room for one more that is late"
        );
        assert_eq!(queue.in_flight(), LATE_PER_PLACE + 1);
    }

    #[test]
    fn an_urgent_request_overtakes_as_many_as_its_head_start_and_no_more() {
        let mut queue = Queue::new(usize::MAX, usize::MAX);
        let last = HEAD_START + 10;
        for id in 1..last {
            queue.push(RequestId(id), Urgency::Normal, host(0));
        }
        queue.push(RequestId(last), Urgency::Urgent, host(1));
        let started: Vec<_> = std::iter::from_fn(|| queue.start(Instant::now())).map(|id| id.0).collect();
        assert_eq!(started.iter().position(|id| *id == last), Some(10), "{started:?}");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push(u8, bool),
        Start,
        Done(usize),
        Withdraw(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..4_u8, any::<bool>()).prop_map(|(of, hurry)| Act::Push(of, hurry)),
            Just(Act::Start),
            (0..9_usize).prop_map(Act::Done),
            (0..9_usize).prop_map(Act::Withdraw),
        ]
    }

    proptest! {
        /// Held against a plain list that is searched from its beginning.
        #[test]
        fn the_next_is_the_longest_waiting_of_a_host_with_room(
            acts in prop::collection::vec(act(), 0..200), window in 1..6_usize, per_host in 1..4_usize,
        ) {
            let mut queue = Queue::new(window, per_host);
            // Nobody is ever late.
            let now = Instant::now();
            let (mut waiting, mut running) = (Vec::<(RequestId, u8)>::new(), Vec::<(RequestId, u8)>::new());
            let mut turns = Map::new();
            let mut next = 0;
            for act in acts {
                match act {
                    Act::Push(of, hurry) => {
                        next += 1;
                        let urgency = if hurry { Urgency::Urgent } else { Urgency::Normal };
                        queue.push(RequestId(next), urgency, host(of));
                        let turn = Turn::of(RequestId(next), urgency);
                        let place = waiting.partition_point(|(id, _)| turns[id] < turn);
                        turns.insert(RequestId(next), turn);
                        waiting.insert(place, (RequestId(next), of));
                    }
                    Act::Start => {
                        let mut count = Map::new();
                        for (_, of) in &running {
                            *count.entry(*of).or_insert(0) += 1;
                        }
                        let free = |of: &u8| count.get(of).is_none_or(|count| *count < per_host);
                        let place = waiting.iter().position(|(_, of)| free(of)).filter(|_| running.len() < window);
                        let expected = place.map(|place| waiting.remove(place));
                        running.extend(expected);
                        prop_assert_eq!(queue.start(now), expected.map(|(id, _)| id));
                    }
                    Act::Done(n) if n < running.len() => {
                        let (id, of) = running.remove(n);
                        queue.done(id, host(of));
                    }
                    Act::Withdraw(n) if n < waiting.len() => {
                        let (id, of) = waiting.remove(n);
                        queue.withdraw(id, host(of));
                    }
                    Act::Done(_) | Act::Withdraw(_) => {}
                }
                prop_assert_eq!((queue.in_flight(), queue.waiting()), (running.len(), waiting.len()));
            }
            while let Some((id, of)) = running.pop() {
                queue.done(id, host(of));
            }
            for (id, of) in waiting {
                queue.withdraw(id, host(of));
            }
            prop_assert!(queue.hosts.is_empty() && queue.ready.is_empty());
        }
    }
}
