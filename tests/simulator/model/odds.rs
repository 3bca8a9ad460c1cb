//! Prices and suspensions of a match since its first load was sent: for each market and each selection the states it went
//! through, in order.
//!
//! The first state of a selection is what it was when its match was first loaded, or when it appeared. Bounded: past the
//! bound each sequence loses its older half. Written by `ledger`, read by the oracle and `truth::expected`.

use super::state::Odds;
use super::text::Text;
use std::collections::{BTreeMap, VecDeque};

/// What changed.
#[derive(Clone, Debug)]
pub(crate) enum OddsChange {
    /// A market that was there when its match was first loaded.
    MarketFound { market: u32, name: Text, suspended: bool },
    /// A selection that was there then, or appears.
    SelectionFound { market: u32, selection: u32, odds: Odds, suspended: bool },
    /// A price.
    Price { selection: u32, odds: Odds },
    /// A selection was suspended or resumed.
    SelectionSuspended { selection: u32, suspended: bool },
    /// A market was.
    MarketSuspended { market: u32, suspended: bool },
    /// A market appears, without its selections.
    MarketOpen { market: u32, name: Text, suspended: bool },
    /// A market disappears, with its selections.
    MarketClose { market: u32 },
    /// A selection disappears.
    SelectionGone { selection: u32 },
}

/// By what a state came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was there, or came with its market: no event.
    Found,
    /// A market was opened.
    Opened,
    Price,
    /// A suspension, or its end.
    Suspension,
    /// A market was closed.
    Closed,
    /// A selection disappeared: no event of its own.
    Gone,
}

impl Cause {
    /// Whether the market or selection is there afterwards.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Cause::Found | Cause::Opened | Cause::Price | Cause::Suspension => true,
            Cause::Closed | Cause::Gone => false,
        }
    }

    /// Whether it is an event.
    pub(crate) fn is_event(self) -> bool {
        match self {
            Cause::Opened | Cause::Price | Cause::Suspension | Cause::Closed => true,
            Cause::Found | Cause::Gone => false,
        }
    }
}

/// A market or selection after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The number of the happening in its match; 0 where it is no event.
    pub(crate) n: u64,
    /// Seconds since 1970 UTC.
    pub(crate) at: i64,
    pub(crate) cause: Cause,
    /// [`Odds::Empty`] for a market.
    pub(crate) odds: Odds,
    pub(crate) suspended: bool,
}

/// What a sequence is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Market {
        name: Text,
    },
    /// The number of its market.
    Selection {
        market: u32,
    },
}

/// The states of one market or selection.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) subject: Subject,
    pub(crate) states: VecDeque<State>,
    /// How many older ones are not kept.
    pub(crate) dropped: u64,
}

/// All sequences of a match, by the number of the market or selection: no two have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OddsLedger {
    pub(crate) sequences: BTreeMap<u32, Sequence>,
    states: usize,
    bound: usize,
}

impl OddsLedger {
    /// Keeps at most so many states, if there are fewer sequences.
    pub(crate) fn new(bound: usize) -> Self {
        OddsLedger { bound, ..OddsLedger::default() }
    }

    /// Takes a change, `n` being its number in the match; returns whether it is an event.
    pub(crate) fn push(&mut self, n: u64, at: i64, change: OddsChange) -> bool {
        let state = |cause, odds, suspended| State { n, at, cause, odds, suspended };
        let (number, state) = match change {
            OddsChange::MarketFound { market, name, suspended } => {
                self.begin(market, Subject::Market { name });
                (market, state(Cause::Found, Odds::Empty, suspended))
            }
            OddsChange::MarketOpen { market, name, suspended } => {
                self.begin(market, Subject::Market { name });
                (market, state(Cause::Opened, Odds::Empty, suspended))
            }
            OddsChange::SelectionFound { market, selection, odds, suspended } => {
                self.begin(selection, Subject::Selection { market });
                (selection, state(Cause::Found, odds, suspended))
            }
            OddsChange::Price { selection, odds } => (
                selection,
                state(Cause::Price, odds, self.last(selection).is_some_and(|last| last.suspended)),
            ),
            OddsChange::SelectionSuspended { selection: number, suspended }
            | OddsChange::MarketSuspended { market: number, suspended } => {
                let odds = self.last(number).map_or(Odds::Empty, |last| last.odds);
                (number, state(Cause::Suspension, odds, suspended))
            }
            OddsChange::MarketClose { market } => {
                self.close(market, at);
                (market, state(Cause::Closed, Odds::Empty, false))
            }
            OddsChange::SelectionGone { selection } => (selection, state(Cause::Gone, Odds::Empty, false)),
        };
        self.append(number, state)
    }

    fn last(&self, number: u32) -> Option<&State> {
        self.sequences.get(&number)?.states.back()
    }

    fn begin(&mut self, number: u32, subject: Subject) {
        let empty = || Sequence { subject, states: VecDeque::new(), dropped: 0 };
        self.sequences.entry(number).or_insert_with(empty);
    }

    /// What is in a market that is closed goes with it.
    fn close(&mut self, market: u32, at: i64) {
        let mut gone = Vec::new();
        for (number, sequence) in &self.sequences {
            let is_of = sequence.subject == Subject::Selection { market };
            if is_of && sequence.states.back().is_some_and(|last| last.cause.is_there()) {
                gone.push(*number);
            }
        }
        for number in gone {
            self.append(number, State { n: 0, at, cause: Cause::Gone, odds: Odds::Empty, suspended: false });
        }
    }

    fn append(&mut self, number: u32, mut state: State) -> bool {
        let is_event = state.cause.is_event();
        if !is_event {
            state.n = 0;
        }
        let Some(sequence) = self.sequences.get_mut(&number) else { return false };
        sequence.states.push_back(state);
        self.states += 1;
        if self.states > self.bound.max(2 * self.sequences.len()) {
            self.halve();
        }
        is_event
    }

    fn halve(&mut self) {
        self.states = 0;
        for sequence in self.sequences.values_mut() {
            let older = sequence.states.len() / 2;
            sequence.states.drain(..older);
            sequence.dropped += older as u64;
            self.states += sequence.states.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_that_closes_takes_its_selections_along_once() {
        let mut ledger = OddsLedger::new(100);
        let mut pushed = 0;
        let mut push = |change: OddsChange| {
            pushed += 1;
            ledger.push(pushed, 7, change)
        };
        let name = || Text::from("Winner");
        assert!(push(OddsChange::MarketOpen { market: 1, name: name(), suspended: true }));
        for selection in [2, 3] {
            let found = OddsChange::SelectionFound {
                market: 1,
                selection,
                odds: Odds::Fraction(5, 4),
                suspended: true,
            };
            assert!(!push(found));
        }
        assert!(push(OddsChange::Price { selection: 2, odds: Odds::Fraction(1, 1) }));
        assert!(!push(OddsChange::SelectionGone { selection: 3 }));
        assert!(push(OddsChange::MarketClose { market: 1 }));
        assert!(!push(OddsChange::Price { selection: 9, odds: Odds::Empty }), "never seen");
        let causes =
            |number: u32| ledger.sequences[&number].states.iter().map(|one| one.cause).collect::<Vec<_>>();
        assert_eq!(causes(1), [Cause::Opened, Cause::Closed]);
        assert_eq!(causes(2), [Cause::Found, Cause::Price, Cause::Gone]);
        assert_eq!(causes(3), [Cause::Found, Cause::Gone]);
        assert!(ledger.sequences[&2].states[1].suspended, "a price leaves the suspension as it is");
    }

    #[test]
    fn past_the_bound_each_sequence_loses_its_older_half() {
        let mut ledger = OddsLedger::new(16);
        let found = |selection| OddsChange::SelectionFound {
            market: 1,
            selection,
            odds: Odds::Empty,
            suspended: false,
        };
        ledger.push(0, 0, found(2));
        ledger.push(0, 0, found(3));
        for n in 0..100_u32 {
            ledger.push(u64::from(n), 0, OddsChange::Price { selection: 2, odds: Odds::Fraction(n, 1) });
        }
        let (busy, calm) = (&ledger.sequences[&2], &ledger.sequences[&3]);
        assert!(busy.states.len() <= 16 && busy.dropped + busy.states.len() as u64 == 101, "{busy:?}");
        assert_eq!(busy.states.back().unwrap().odds, Odds::Fraction(99, 1));
        assert_eq!((calm.states.len(), calm.dropped), (1, 0), "the only state of one stays");
    }
}
