//! One market or selection: at which places in what happened its rows may be by now.
//!
//! Place p lies behind the first p states. What is no event (a selection that appears or disappears) is passed over. The
//! places are a set, because a row that is marked `recovered` may stand for each state with its value.

use super::{Course, Kind, Row};
use crate::model::odds::{Cause, State};
use crate::truth::expected;
use std::collections::BTreeSet;
use std::fmt;

/// Seconds by which the times of a gap and of what happened may differ.
const SLACK: i64 = 2;

/// Where it went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A row does not follow from those before it.
    Row { seq: i64, got: String, expected: String, is_repeated: bool },
    /// Its market was closed when not all of this had been recorded.
    Closed { seq: i64, expected: String },
    /// The last rows miss.
    Missing { expected: String, more: usize, rows: u64, is_gone: bool },
    /// The last known value is not the newest.
    Last { got: String, expected: String },
}

impl Wrong {
    pub(super) fn is_doubled(&self) -> bool {
        match self {
            Wrong::Row { is_repeated, .. } => *is_repeated,
            Wrong::Closed { .. } | Wrong::Missing { .. } | Wrong::Last { .. } => false,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Row { seq, got, expected, is_repeated } => {
                let what = if *is_repeated { " (as the row before it)" } else { "" };
                write!(f, "expected {expected}, got row {seq}: {got}{what}")
            }
            Wrong::Closed { seq, expected } => write!(f, "its market closes in row {seq}, before {expected}"),
            Wrong::Missing { expected, more, rows, is_gone } => {
                let end = if *is_gone { ", then it disappears" } else { "" };
                write!(f, "missing after {rows} rows: {expected} (and {more} after it{end})")
            }
            Wrong::Last { got, expected } => {
                write!(f, "the last known value is {got}, the newest {expected}")
            }
        }
    }
}

/// Decimal odds in ten-thousandths; none where there is no price.
type Price = Option<i64>;

/// A market or selection, and how far its rows have come.
#[derive(Debug)]
pub(super) struct Track {
    course: Course,
    /// Indices of the states in which it disappears.
    ends: Vec<usize>,
    /// The places, in their order. In a cut course place 0 stands for all that is not kept.
    places: Vec<usize>,
    rows: u64,
    /// Its newest row.
    newest_row: i64,
    /// The statement of all that there is in which, or after which, its newest row came.
    statement: u64,
    price: Option<Price>,
    suspended: Option<bool>,
    wrong: Option<Wrong>,
}

impl Track {
    pub(super) fn new(course: Course) -> Track {
        let is_end = |(place, state): (usize, &State)| (!state.cause.is_there()).then_some(place);
        let ends = course.states.iter().enumerate().filter_map(is_end).collect();
        Track {
            course,
            ends,
            places: vec![0],
            rows: 0,
            newest_row: 0,
            statement: 0,
            price: None,
            suspended: None,
            wrong: None,
        }
    }

    /// Whether the row's keys are all its own.
    pub(super) fn is_of(&self, row: &Row<'_>) -> bool {
        self.course.market == row.market && self.course.selection.as_deref() == row.selection
    }

    pub(super) fn name(&self) -> String {
        let Course { market, selection, .. } = &self.course;
        selection.as_ref().map_or_else(|| market.clone(), |selection| format!("{market} {selection}"))
    }

    /// Whether it has a row of this statement, or one since.
    pub(super) fn is_in(&self, statement: u64) -> bool {
        self.statement == statement
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.wrong.is_some()
    }

    pub(super) fn wrong(&self) -> Option<&Wrong> {
        self.wrong.as_ref()
    }

    pub(super) fn is_without_rows(&self) -> bool {
        let is_there = self.course.states.last().is_some_and(|last| last.cause.is_there());
        self.rows == 0 && is_there && self.course.selection.is_some()
    }

    /// The next row of it. Behind the first that is wrong everything else would be, too.
    pub(super) fn row(&mut self, row: &Row<'_>, gaps: &[(i64, i64)], statement: u64) {
        self.rows += 1;
        self.newest_row = row.seq;
        self.statement = statement;
        if self.is_wrong() {
            return;
        }
        let from = self.reachable(gaps);
        let to = if row.recovered { self.jump(row) } else { self.step(row, &from) };
        if to.is_empty() {
            let furthest = from.last().copied().unwrap_or(0);
            self.wrong = Some(Wrong::Row {
                seq: row.seq,
                got: shown_row(row),
                expected: self.next_event(furthest).map_or("nothing more".to_owned(), shown),
                is_repeated: self.repeats(row),
            });
            return;
        }
        self.places = to;
        self.learn(row);
    }

    /// When the state came about behind which it is; the newest, if it may be behind several.
    pub(super) fn newest_at(&self) -> i64 {
        let states = self.places.iter().filter_map(|place| self.course.states.get(place.checked_sub(1)?));
        states.map(|state| state.at).max().unwrap_or(i64::MIN)
    }

    /// Its market was closed by this row, at this time: what happened to it before has to be there, unless the row stands for it.
    pub(super) fn market_closed(&mut self, row: &Row<'_>, at: i64, gaps: &[(i64, i64)]) {
        // What comes back under the same key is known anew.
        (self.price, self.suspended) = (None, None);
        let from = self.reachable(gaps);
        if row.recovered {
            let behind_end = self.ends.iter().map(|end| end + 1);
            let all: BTreeSet<usize> = from.into_iter().chain(behind_end).collect();
            self.places = all.into_iter().collect();
            return;
        }
        let furthest = from.last().copied().unwrap_or(0);
        let comes_later =
            self.course.is_cut || self.course.states.first().is_some_and(|first| first.at >= at);
        let away =
            |place: &usize| place.checked_sub(1).map_or(comes_later, |before| self.ends.contains(&before));
        self.places = from.into_iter().filter(away).collect();
        if self.places.is_empty() {
            let expected = self.next_event(furthest).map_or("it disappears".to_owned(), shown);
            self.wrong = Some(Wrong::Closed { seq: row.seq, expected });
        }
    }

    /// After the last row of a match that is over or not. `statements`: how often all that there is was stated. `recovered`: the
    /// match's newest row that stands for values left out.
    pub(super) fn finish(&mut self, gaps: &[(i64, i64)], over: bool, statements: u64, recovered: i64) {
        if self.is_wrong() {
            return;
        }
        let from = self.reachable(gaps);
        let Some(newest) = self.course.states.last() else { return };
        if !from.contains(&self.course.states.len()) {
            let furthest = from.last().copied().unwrap_or(0);
            let next = self.course.states.get(furthest);
            // What is not among all that was stated anew is gone without a row of its own.
            let is_left_out = !newest.cause.is_there() && !self.is_in(statements);
            let in_gap = |first| gaps.iter().any(|gap| is_within(gap, first, newest));
            // What was left out of the match before that row and left this one as it was shows in its next row, which is marked.
            let came_back =
                self.newest_row < recovered && self.stood_last().is_some_and(|last| self.is_as(last));
            if is_left_out || came_back || (over && next.is_some_and(in_gap)) {
                return;
            }
            let missing = self.course.states.iter().skip(furthest).filter(|state| state.cause.is_event());
            let expected = self.next_event(furthest).map_or("its end".to_owned(), shown);
            let more = missing.count().saturating_sub(1);
            self.wrong =
                Some(Wrong::Missing { expected, more, rows: self.rows, is_gone: !newest.cause.is_there() });
            return;
        }
        if newest.cause.is_there() && !self.is_as(newest) {
            let (price, suspended) = self.known_or(newest);
            let got = format!("{} suspended={suspended}", shown_price(price));
            let newest = format!("{} suspended={}", shown_price(newest.odds.decimal()), newest.suspended);
            self.wrong = Some(Wrong::Last { got, expected: newest });
        }
    }

    /// The last state in which it was there. That a selection is gone leaves no row; that a market is does.
    fn stood_last(&self) -> Option<&State> {
        let states = &self.course.states;
        match self.course.selection {
            Some(_) => states.iter().rev().find(|state| state.cause.is_there()),
            None => states.last().filter(|state| state.cause.is_there()),
        }
    }

    /// Whether the last known values are those of a state.
    fn is_as(&self, state: &State) -> bool {
        self.known_or(state) == (state.odds.decimal(), state.suspended)
    }

    /// The last known values; those of `state` where none are.
    fn known_or(&self, state: &State) -> (Price, bool) {
        let is_selection = self.course.selection.is_some();
        let price = self.price.filter(|_| is_selection).unwrap_or(state.odds.decimal());
        (price, self.suspended.unwrap_or(state.suspended))
    }

    /// The places, and those that are reached from them without a row.
    fn reachable(&self, gaps: &[(i64, i64)]) -> Vec<usize> {
        let states = &self.course.states;
        let is_silent = |place: usize| states.get(place).is_some_and(|state| !state.cause.is_event());
        if self.ends.is_empty() && !self.places.iter().any(|place| is_silent(*place)) {
            return self.places.clone();
        }
        let mut open: BTreeSet<usize> = self.places.iter().copied().collect();
        let mut all = Vec::with_capacity(open.len());
        while let Some(place) = open.pop_first() {
            all.push(place);
            if is_silent(place) {
                open.insert(place + 1);
            }
            let ends = self.ends.iter().filter(|end| **end >= place);
            open.extend(ends.filter(|end| self.is_unseen(place, **end, gaps)).map(|end| end + 1));
        }
        all
    }

    /// Whether all that happened from this place until it disappears lies in one gap, so that there need be no row of it. The end of a
    /// market that was known before has one.
    fn is_unseen(&self, place: usize, end: usize, gaps: &[(i64, i64)]) -> bool {
        let states = &self.course.states;
        let (Some(first), Some(last)) = (states.get(place), states.get(end)) else { return false };
        let before = place.checked_sub(1).and_then(|before| states.get(before));
        let is_known_market =
            self.course.selection.is_none() && before.is_some_and(|one| one.cause.is_there());
        !is_known_market && gaps.iter().any(|gap| is_within(gap, first, last))
    }

    /// Where a row leads that stands for nothing but itself.
    fn step(&self, row: &Row<'_>, from: &[usize]) -> Vec<usize> {
        if row.kind == Kind::Base {
            // An hour begins with what stands.
            let states = &self.course.states;
            let last = |place: usize| states.get(place.checked_sub(1)?);
            let stands = |place: &&usize| {
                last(**place).is_some_and(|state| state.cause.is_there() && self.agrees(row, state))
            };
            return self.not_kept(from).into_iter().chain(from.iter().filter(stands).copied()).collect();
        }
        let follows = |place: &&usize| {
            self.course
                .states
                .get(**place)
                .is_some_and(|state| is_cause(row.kind, state) && self.agrees(row, state))
        };
        let steps = from.iter().filter(follows).map(|place| place + 1);
        self.not_kept(from).into_iter().chain(steps).collect()
    }

    /// Where a row may lead that stands for values left out: to each state with both its values, else to each with the one that it is of.
    fn jump(&self, row: &Row<'_>) -> Vec<usize> {
        let to = |fits: &dyn Fn(&State) -> bool| -> Vec<usize> {
            let states = self.course.states.iter().enumerate();
            let places = states.filter(|(_, state)| fits(state)).map(|(place, _)| place + 1);
            self.not_kept(&self.places).into_iter().chain(places).collect()
        };
        let kept = |places: &[usize]| places.iter().any(|place| *place > 0);
        match row.kind {
            Kind::MarketClose => to(&|state| state.cause == Cause::Closed),
            Kind::Base | Kind::MarketOpen => to(&|state| state.cause.is_there() && self.agrees(row, state)),
            Kind::OddsChange | Kind::Suspended | Kind::Resumed => {
                let both = to(&|state| state.cause.is_there() && self.agrees(row, state));
                if kept(&both) {
                    both
                } else {
                    to(&|state| state.cause.is_there() && self.agrees_in_part(row, state))
                }
            }
        }
    }

    /// Place 0 of a cut course: whatever comes may be what is not kept.
    fn not_kept(&self, from: &[usize]) -> Option<usize> {
        (self.course.is_cut && from.first() == Some(&0)).then_some(0)
    }

    /// Whether a row has the values of a state, as far as it has any.
    fn agrees(&self, row: &Row<'_>, state: &State) -> bool {
        let other = match row.kind {
            Kind::OddsChange | Kind::Base => {
                price(row) == Ok(state.odds.decimal()) || self.course.selection.is_none()
            }
            Kind::Suspended | Kind::Resumed => !has_price(row) || price(row) == Ok(state.odds.decimal()),
            Kind::MarketOpen => true,
            Kind::MarketClose => return true,
        };
        let suspended = match row.kind {
            Kind::Suspended => Some(true),
            Kind::Resumed => Some(false),
            Kind::OddsChange | Kind::MarketOpen | Kind::Base | Kind::MarketClose => row.suspended,
        };
        other && suspended.is_none_or(|suspended| suspended == state.suspended)
    }

    fn agrees_in_part(&self, row: &Row<'_>, state: &State) -> bool {
        match row.kind {
            Kind::OddsChange => price(row) == Ok(state.odds.decimal()),
            Kind::Suspended => state.suspended,
            Kind::Resumed => !state.suspended,
            Kind::MarketOpen | Kind::MarketClose | Kind::Base => self.agrees(row, state),
        }
    }

    /// Whether the row has the very values that are known.
    fn repeats(&self, row: &Row<'_>) -> bool {
        match row.kind {
            Kind::OddsChange => price(row).is_ok() && self.price == price(row).ok(),
            Kind::Suspended => self.suspended == Some(true),
            Kind::Resumed => self.suspended == Some(false),
            Kind::MarketOpen | Kind::MarketClose | Kind::Base => false,
        }
    }

    fn learn(&mut self, row: &Row<'_>) {
        match row.kind {
            Kind::OddsChange | Kind::Base => {
                self.price = price(row).ok();
                self.suspended = row.suspended.or(self.suspended);
            }
            Kind::Suspended | Kind::Resumed => {
                if has_price(row) {
                    self.price = price(row).ok();
                }
                self.suspended = Some(row.kind == Kind::Suspended);
            }
            Kind::MarketOpen | Kind::MarketClose => self.suspended = row.suspended,
        }
    }

    fn next_event(&self, place: usize) -> Option<&State> {
        self.course.states.iter().skip(place).find(|state| state.cause.is_event())
    }
}

/// Whether all that happened between two states lies in a gap.
fn is_within((from, to): &(i64, i64), first: &State, last: &State) -> bool {
    from.saturating_sub(SLACK) <= first.at && last.at <= to.saturating_add(SLACK)
}

/// Whether a row of that type stands for such a change. The first price of a selection may have a row or not.
fn is_cause(kind: Kind, state: &State) -> bool {
    match kind {
        Kind::OddsChange => matches!(state.cause, Cause::Price | Cause::Found),
        Kind::Suspended | Kind::Resumed => state.cause == Cause::Suspension,
        Kind::MarketOpen => state.cause == Cause::Opened,
        Kind::MarketClose => state.cause == Cause::Closed,
        Kind::Base => false,
    }
}

/// Whether a row of a suspension has a price beside it.
fn has_price(row: &Row<'_>) -> bool {
    row.odds.is_some() || row.odds_text.is_some_and(|text| !text.is_empty())
}

/// The price of a row, whose two columns have to agree.
fn price(row: &Row<'_>) -> Result<Price, ()> {
    let text = row.odds_text.unwrap_or_default();
    let of_text = match text.split_once('/') {
        Some((n, d)) => {
            let (Ok(n), Ok(d)) = (n.parse(), d.parse()) else { return Err(()) };
            crate::model::state::Odds::Fraction(n, d).decimal()
        }
        None if text.is_empty() => None,
        None => return Err(()),
    };
    let of_number = row.odds.map(|odds| (odds * 10_000.0).round() as i64);
    if of_text == of_number { Ok(of_text) } else { Err(()) }
}

fn shown(state: &State) -> String {
    let kind = expected::odds_kind(state);
    format!("{kind} {} suspended={} (at {})", shown_price(state.odds.decimal()), state.suspended, state.at)
}

fn shown_row(row: &Row<'_>) -> String {
    format!(
        "{:?} {:?} {:?} suspended={:?}{}",
        row.kind,
        row.odds_text.unwrap_or_default(),
        row.odds,
        row.suspended,
        if row.recovered { " recovered" } else { "" }
    )
}

fn shown_price(price: Price) -> String {
    price.map_or("no price".to_owned(), |price| format!("{}.{:04}", price / 10_000, price % 10_000))
}
