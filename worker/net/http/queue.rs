//! Whose turn it is: a window of requests in flight, a limit per host inside it. Pure.
//!
//! Invariants: never more than `window` hold a place in the window, and three times as many are aside; never more than `per_host` are of one host,
//! aside or not; of the hosts with room the request that waits longest is next. A host that is full costs nobody else a turn, nor time: it is not looked at until it has room.
//! An urgent request goes before the [`HEAD_START`] requests that were asked for before it, and no others: nobody waits for ever.

use super::{RequestId, Urgency};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Requests that may wait; whoever asks for more is refused.
pub(super) const WAITING_MAX: usize = 100_000;

/// A request that takes longer than this gives its place in the window to another.
pub(super) const LONG: Duration = Duration::from_millis(250);

/// Requests that are aside at most, for each place of the window.
const ASIDE_PER_PLACE: usize = 3;

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
    running: usize,
    aside: usize,
    waiting: usize,
}

/// Where a request in flight counts, beside its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    InWindow,
    /// It takes long, so another has its place in the window.
    Aside,
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
            running: 0,
            aside: 0,
            waiting: 0,
        }
    }

    /// All in flight.
    pub(super) fn running(&self) -> usize {
        self.running + self.aside
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

    /// The next that may start; it holds a place in the window until [`Queue::done`].
    pub(super) fn start(&mut self) -> Option<RequestId> {
        if self.running >= self.window {
            return None;
        }
        let (_, host) = self.ready.first_key_value()?;
        let mut started = None;
        self.change(host.clone(), |line| {
            started = line.waiting.pop_front().map(|turn| turn.id);
            line.running += usize::from(started.is_some());
        });
        let started = started?;
        self.running += 1;
        self.waiting -= 1;
        Some(started)
    }

    /// Where a request counts that takes long: its place in the window is given back, unless too many are aside already. Its host's
    /// it keeps, so that a slow server holds up itself.
    pub(super) fn set_aside(&mut self) -> Place {
        if self.aside >= ASIDE_PER_PLACE.saturating_mul(self.window) {
            return Place::InWindow;
        }
        self.running = self.running.saturating_sub(1);
        self.aside += 1;
        Place::Aside
    }

    /// A request gives its place back.
    pub(super) fn done(&mut self, host: Host, place: Place) {
        match place {
            Place::InWindow => self.running = self.running.saturating_sub(1),
            Place::Aside => self.aside = self.aside.saturating_sub(1),
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
        let started: Vec<_> = std::iter::from_fn(|| queue.start()).map(|id| id.0).collect();
        assert_eq!(started, [1, 2, 4, 6]);
        queue.done(host(1), Place::InWindow);
        assert_eq!(queue.start(), None, "host 0 is full, and nobody else waits");
        queue.done(host(0), Place::InWindow);
        assert_eq!(queue.start(), Some(RequestId(3)));
        assert_eq!((queue.running(), queue.waiting()), (3, 1), "host 0 has its two");
    }

    #[test]
    fn who_takes_long_holds_up_its_host_and_not_the_window() {
        let mut queue = Queue::new(1, 2);
        for (id, of) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3)] {
            queue.push(RequestId(id), Urgency::Normal, host(of));
        }
        let started =
            |queue: &mut Queue| std::iter::from_fn(|| queue.start()).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!((started(&mut queue), queue.set_aside()), (vec![1], Place::Aside));
        assert_eq!((started(&mut queue), queue.set_aside()), (vec![2], Place::Aside));
        assert_eq!((started(&mut queue), queue.set_aside()), (vec![4], Place::Aside), "none of host 0");
        assert_eq!(
            (started(&mut queue), queue.set_aside()),
            (vec![5], Place::InWindow),
            "three are aside already"
        );
        assert_eq!((queue.running(), started(&mut queue)), (4, vec![]));
        queue.done(host(0), Place::Aside);
        assert_eq!((queue.set_aside(), started(&mut queue)), (Place::Aside, vec![3]));
    }

    #[test]
    fn an_urgent_request_overtakes_as_many_as_its_head_start_and_no_more() {
        let mut queue = Queue::new(usize::MAX, usize::MAX);
        let last = HEAD_START + 10;
        for id in 1..last {
            queue.push(RequestId(id), Urgency::Normal, host(0));
        }
        queue.push(RequestId(last), Urgency::Urgent, host(1));
        let started: Vec<_> = std::iter::from_fn(|| queue.start()).map(|id| id.0).collect();
        assert_eq!(started.iter().position(|id| *id == last), Some(10), "{started:?}");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push(u8, bool),
        Start,
        SetAside(usize),
        Done(usize),
        Withdraw(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..4_u8, any::<bool>()).prop_map(|(of, hurry)| Act::Push(of, hurry)),
            Just(Act::Start),
            (0..9_usize).prop_map(Act::SetAside),
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
            let (mut waiting, mut running) = (Vec::<(RequestId, u8)>::new(), Vec::<(u8, Place)>::new());
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
                        for (of, _) in &running {
                            *count.entry(*of).or_insert(0) += 1;
                        }
                        let free = |of: &u8| count.get(of).is_none_or(|count| *count < per_host);
                        let place = waiting.iter().position(|(_, of)| free(of)).filter(|_| {
                            running.iter().filter(|(_, place)| *place == Place::InWindow).count() < window
                        });
                        let expected = place.map(|place| waiting.remove(place));
                        running.extend(expected.map(|(_, of)| (of, Place::InWindow)));
                        prop_assert_eq!(queue.start(), expected.map(|(id, _)| id));
                    }
                    Act::SetAside(n) => {
                        let aside = running.iter().filter(|(_, place)| *place == Place::Aside).count();
                        if let Some((_, place)) = running.get_mut(n).filter(|(_, place)| *place == Place::InWindow) {
                            *place = if aside < ASIDE_PER_PLACE * window { Place::Aside } else { Place::InWindow };
                            prop_assert_eq!(queue.set_aside(), *place);
                        }
                    }
                    Act::Done(n) if n < running.len() => {
                        let (of, place) = running.remove(n);
                        queue.done(host(of), place);
                    }
                    Act::Withdraw(n) if n < waiting.len() => {
                        let (id, of) = waiting.remove(n);
                        queue.withdraw(id, host(of));
                    }
                    Act::Done(_) | Act::Withdraw(_) => {}
                }
                prop_assert_eq!((queue.running(), queue.waiting()), (running.len(), waiting.len()));
            }
            while let Some((of, place)) = running.pop() {
                queue.done(host(of), place);
            }
            for (id, of) in waiting {
                queue.withdraw(id, host(of));
            }
            prop_assert!(queue.hosts.is_empty() && queue.ready.is_empty());
        }
    }
}
