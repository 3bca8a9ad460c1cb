//! Everything that happened in a match since its first load was sent, in order, once.
//!
//! What moves a register is kept for good; of comments and statistics only the newest are kept and the others counted; prices
//! and suspensions are kept by market and selection (`odds`). Corrections take back the newest live happening of their kind
//! and side.

use super::odds::{OddsChange, OddsLedger};
use super::score::Pair;
use super::state::Stage;
use super::text::Text;
use std::collections::VecDeque;
use touchline_common::model::Side;

/// What is counted by steps of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Goal,
    YellowCard,
    RedCard,
    Corner,
    Penalty,
    Substitution,
    Wicket,
    /// A change of the score, whatever its size; kept here so that it can be taken back.
    Score,
}

impl Counter {
    const ALL: usize = 8;

    /// The type of its events.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Counter::Goal => "goal",
            Counter::YellowCard | Counter::RedCard => "card",
            Counter::Corner => "corner",
            Counter::Penalty => "penalty",
            Counter::Substitution => "substitution",
            Counter::Wicket => "wicket",
            Counter::Score => "score_change",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Listed,
    Started,
    Ended,
    PeriodStart(u8),
    PeriodEnd(u8),
    /// The side's count, or score, after it.
    Count {
        counter: Counter,
        side: Side,
        after: u32,
    },
    /// Sets finished by both, after it.
    Set {
        side: Side,
        index: u32,
    },
    /// Games of both in that set, after it.
    Game {
        side: Side,
        set: u32,
        index: u32,
    },
    /// `index` counts the points of that game from 1; game 0 where a set has no games.
    Point {
        side: Side,
        set: u32,
        game: u32,
        index: u32,
    },
    /// The whole match.
    Suspended(bool),
    /// The happening with that number is taken back.
    Retract {
        n: u64,
    },
    Comment(Text),
    Stat {
        label: &'static str,
        side: Option<Side>,
        text: Text,
    },
}

impl What {
    /// Whether it is a comment or a statistic: no register, so only the change itself can be recorded.
    pub(crate) fn is_commentary(&self) -> bool {
        match self {
            What::Comment(_) | What::Stat { .. } => true,
            What::Listed
            | What::Started
            | What::Ended
            | What::PeriodStart(_)
            | What::PeriodEnd(_)
            | What::Count { .. }
            | What::Set { .. }
            | What::Game { .. }
            | What::Point { .. }
            | What::Suspended(_)
            | What::Retract { .. } => false,
        }
    }
}

/// A thing that happened, with its place and time.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// Its number in the match, from 1.
    pub(crate) n: u64,
    /// Seconds since 1970 UTC.
    pub(crate) at: i64,
    /// What the clock displayed, in seconds.
    pub(crate) clock: Option<u32>,
    pub(crate) what: What,
}

/// Everything that happened in one match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Begun when the first load is sent; nothing before it counts.
    pub(crate) begun: bool,
    last: u64,
    pub(crate) registers: Vec<Happening>,
    pub(crate) commentary: VecDeque<Happening>,
    bound: usize,
    pub(crate) commentary_dropped: u64,
    pub(crate) odds: OddsLedger,
    /// The numbers of what can be taken back, by counter and side.
    live: [Pair<Vec<u64>>; Counter::ALL],
    /// How far each counter is below what it was at the first load.
    sunk: [Pair<u32>; Counter::ALL],
    /// The numbers of what only made good for that: who saw neither the fall nor the rise reports nothing.
    pub(crate) regained: Vec<u64>,
}

impl Ledger {
    /// Keeps at most so many comments and statistics, and as many changes of odds.
    pub(crate) fn new(bound: usize) -> Self {
        let bound = bound.max(16);
        Self { bound, odds: OddsLedger::new(bound), ..Self::default() }
    }

    /// How many comments and statistics are kept at most.
    pub(crate) fn commentary_kept(&self) -> usize {
        self.bound
    }

    /// A price or a suspension changed, a market or a selection came or went.
    pub(crate) fn push_odds(&mut self, at: i64, change: OddsChange) {
        if self.begun && self.odds.push(self.last + 1, at, change) {
            self.last += 1;
        }
    }

    pub(crate) fn push(&mut self, at: i64, clock: Option<u32>, what: What) {
        if !self.begun {
            return;
        }
        self.last += 1;
        let n = self.last;
        if let What::Count { counter, side, .. } = &what
            && let Some(live) = self.live.get_mut(*counter as usize)
        {
            live.get_mut(*side).push(n);
            if let Some(sunk) = self.sunk.get_mut(*counter as usize).map(|sunk| sunk.get_mut(*side))
                && *sunk > 0
            {
                *sunk -= 1;
                self.regained.push(n);
            }
        }
        let happening = Happening { n, at, clock, what };
        if !happening.what.is_commentary() {
            self.registers.push(happening);
            return;
        }
        if self.commentary.len() >= self.bound {
            self.commentary.pop_front();
            self.commentary_dropped += 1;
        }
        self.commentary.push_back(happening);
    }

    /// Takes back the newest of its kind and side. What happened before the first load is not recorded, so nor is its
    /// retraction.
    pub(crate) fn retract(&mut self, at: i64, clock: Option<u32>, counter: Counter, side: Side) {
        if let Some(n) = self.live.get_mut(counter as usize).and_then(|live| live.get_mut(side).pop()) {
            self.push(at, clock, What::Retract { n });
        } else if let Some(sunk) = self.sunk.get_mut(counter as usize).filter(|_| self.begun) {
            *sunk.get_mut(side) += 1;
        }
    }

    /// What the newest live happening of its kind and side reached.
    pub(crate) fn newest(&self, counter: Counter, side: Side) -> Option<u32> {
        let n = self.live.get(counter as usize)?.get(side).last()?;
        if let What::Count { after, .. } = self.register(*n)?.what { Some(after) } else { None }
    }

    /// The happening of a register with that number.
    pub(crate) fn register(&self, n: u64) -> Option<&Happening> {
        let at = self.registers.binary_search_by_key(&n, |happening| happening.n).ok()?;
        self.registers.get(at)
    }
}

/// What happens when a match goes from one stage to a later one.
pub(crate) fn stages(from: Stage, to: Stage) -> Vec<What> {
    let mut happened = Vec::new();
    if to.rank() <= from.rank() {
        return happened;
    }
    if let Stage::Playing(period) = from
        && to != Stage::After(period)
    {
        happened.push(What::PeriodEnd(period));
    }
    match to {
        Stage::NotStarted => {}
        Stage::Playing(period) => {
            if from == Stage::NotStarted {
                happened.push(What::Started);
            }
            happened.push(What::PeriodStart(period));
        }
        Stage::After(period) => happened.push(What::PeriodEnd(period)),
        Stage::Finished => happened.push(What::Ended),
    }
    happened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_makes_good_for_a_fall_below_the_first_load_is_known() {
        let mut ledger = Ledger { begun: true, ..Ledger::new(16) };
        let corner = |after| What::Count { counter: Counter::Corner, side: Side::Away, after };
        ledger.retract(1, None, Counter::Corner, Side::Away);
        ledger.push(2, None, corner(3));
        ledger.push(3, None, corner(4));
        ledger.retract(4, None, Counter::Corner, Side::Away);
        ledger.push(5, None, corner(4));
        assert_eq!(ledger.regained, [1], "the others are above what the first load had");
    }

    #[test]
    fn stages_begin_and_end_periods() {
        use Stage::{After, Finished, NotStarted, Playing};
        assert_eq!(stages(NotStarted, Playing(1)), [What::Started, What::PeriodStart(1)]);
        assert_eq!(stages(Playing(1), After(1)), [What::PeriodEnd(1)]);
        assert_eq!(stages(After(1), Playing(2)), [What::PeriodStart(2)]);
        assert_eq!(stages(Playing(1), Playing(2)), [What::PeriodEnd(1), What::PeriodStart(2)]);
        assert_eq!(stages(Playing(2), Finished), [What::PeriodEnd(2), What::Ended]);
        assert_eq!(stages(After(2), Finished), [What::Ended]);
        assert_eq!(stages(Playing(2), Playing(2)), []);
    }

    #[test]
    fn a_retraction_names_the_newest_of_its_kind() {
        let mut ledger = Ledger::new(16);
        ledger.begun = true;
        for (side, after) in [(Side::Home, 1), (Side::Away, 1), (Side::Home, 2)] {
            ledger.push(0, None, What::Count { counter: Counter::Goal, side, after });
        }
        ledger.retract(0, None, Counter::Goal, Side::Home);
        ledger.retract(0, None, Counter::Goal, Side::Home);
        ledger.retract(0, None, Counter::Goal, Side::Home);
        let all: Vec<_> = ledger.registers.iter().map(|h| h.what.clone()).skip(3).collect();
        assert_eq!(all, [What::Retract { n: 3 }, What::Retract { n: 1 }]);
    }
}
