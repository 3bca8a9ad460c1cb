//! A match's last known values of the bulk stream: observations in, rows out. Pure: time is passed in, nothing is read or written.
//!
//! One rule: a value that equals the last known one is no row. Only [`Input::Adopt`] makes an epoch the owner; frames of a lower
//! one are refused, those of a higher one are folded into a candidate of which only the newest values count.
//! `era` counts the moments after which values may have been left out (an adoption, a base): a place's first row in an era is marked
//! `recovered`, so that a value which came and went unseen is missing in front of a marked row only.
//! Markets and selections are small integers here, given out by [`Ledger::add_market`] and [`Ledger::add_selection`].

use crate::record::hours::Kind;
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, Price};

/// Candidates of one match at most; the lowest epoch goes.
const MAX_CANDIDATES: usize = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId(pub u32);

pub const EMPTY: TextId = TextId(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Decimal odds; `None` is no price.
    pub price: Option<Price>,
    pub text: TextId,
    /// Whether it is suspended; `None` before a base came since this ledger exists.
    pub suspended: Option<bool>,
}

impl Default for Value {
    fn default() -> Value {
        Value { price: None, text: EMPTY, suspended: Some(false) }
    }
}

/// Of which nothing is known.
const UNKNOWN: Value = Value { price: None, text: EMPTY, suspended: None };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Market(u32),
    Selection(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: Kind,
    pub place: Place,
    /// Price, text and suspension after it; of a market only the suspension.
    pub value: Value,
    /// Whether it stands for values that were or may have been left out before it.
    pub recovered: bool,
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Price(u32, Option<Price>, TextId),
    SelectionSuspended(u32, bool),
    MarketSuspended(u32, bool),
    /// A market was inserted, suspended or not.
    MarketOpen(u32, bool),
    Selection(u32, Value),
    MarketClose(u32),
}

#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The match stream made this epoch the owner.
    Adopt {
        epoch: Epoch,
        /// Wall clock, for what is written now.
        at: i64,
    },
    /// All values as the epoch's worker sees them.
    Base {
        epoch: Epoch,
        markets: &'a [(u32, bool)],
        selections: &'a [(u32, Value)],
        /// Wall clock of the read.
        at: i64,
    },
    Obs {
        epoch: Epoch,
        /// The changes, in order.
        changes: &'a [Change],
        /// Wall clock of the read.
        at: i64,
    },
    Tick {
        /// Wall clock, for what is written now.
        at: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// It is kept until its epoch is adopted.
    Candidate,
    /// A higher epoch owns the match.
    Refused,
}

#[derive(Debug, Default)]
struct Shape {
    market_of: Vec<u32>,
    selections: Vec<Vec<u32>>,
}

/// Values by place; `None`: there is none such.
#[derive(Clone, Debug, Default)]
struct Values {
    markets: Vec<Option<bool>>,
    selections: Vec<Option<Value>>,
}

#[derive(Debug)]
struct Candidate {
    epoch: Epoch,
    values: Values,
    /// Whether a base came, so that what is missing does not exist.
    based: bool,
}

/// The last known values of one match.
#[derive(Debug)]
pub struct Ledger {
    settle: Duration,
    owner: Option<Epoch>,
    shape: Shape,
    known: Values,
    /// Whether a base came since this ledger exists. Before it nothing is known to be absent.
    based: bool,
    era: u32,
    market_eras: Vec<u32>,
    selection_eras: Vec<u32>,
    /// Values of the adopted owner that differ, and until when they wait for a next observation.
    pending: Option<(Values, Instant)>,
    candidates: Vec<Candidate>,
}

impl Ledger {
    /// Nothing is known yet.
    pub fn new(settle: Duration) -> Ledger {
        Ledger {
            settle,
            owner: None,
            shape: Shape::default(),
            known: Values::default(),
            based: false,
            era: 0,
            market_eras: Vec::new(),
            selection_eras: Vec::new(),
            pending: None,
            candidates: Vec::new(),
        }
    }

    pub fn add_market(&mut self) -> u32 {
        self.shape.selections.push(Vec::new());
        self.market_eras.push(self.first_era());
        index(self.shape.selections.len() - 1)
    }

    /// Makes room for a selection of `market`.
    pub fn add_selection(&mut self, market: u32) -> u32 {
        let selection = index(self.shape.market_of.len());
        self.shape.market_of.push(market);
        self.selection_eras.push(self.first_era());
        if let Some(of) = self.shape.selections.get_mut(market as usize) {
            of.push(selection);
        }
        selection
    }

    /// The era of a place that has no row yet. Before a base came nothing is known of what was recorded of it: its first row is marked.
    fn first_era(&self) -> u32 {
        if self.based { self.era } else { self.era.wrapping_sub(1) }
    }

    /// The epoch that is believed.
    pub fn owner(&self) -> Option<Epoch> {
        self.owner
    }

    /// When a [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|(_, due)| *due)
    }

    /// Every last known value, markets first.
    pub fn known(&self) -> impl Iterator<Item = (Place, Value)> {
        let markets = self.known.markets.iter().zip(0..).filter_map(|(suspended, market)| {
            Some((Place::Market(market), Value { suspended: Some((*suspended)?), ..Value::default() }))
        });
        let selections = self.known.selections.iter().zip(0..);
        markets
            .chain(selections.filter_map(|(value, selection)| Some((Place::Selection(selection), (*value)?))))
    }

    pub fn texts(&self) -> impl Iterator<Item = TextId> {
        let held = self.candidates.iter().map(|candidate| &candidate.values);
        let held = held.chain(self.pending.iter().map(|(values, _)| values)).chain([&self.known]);
        held.flat_map(|values| values.selections.iter().flatten().map(|value| value.text))
    }

    /// Takes one input; what follows from it is appended to `rows`.
    pub fn advance(&mut self, input: Input<'_>, now: Instant, rows: &mut Vec<Row>) -> Taken {
        match input {
            Input::Adopt { epoch, at } => {
                if self.owner.is_some_and(|owner| owner >= epoch) {
                    return Taken::Refused;
                }
                self.adopt(epoch, at, now, rows);
            }
            Input::Tick { at } => {
                if let Some((values, _)) = self.pending.take_if(|(_, due)| *due <= now) {
                    self.base(&values, at, rows);
                }
            }
            Input::Base { epoch, markets, selections, at } => match self.standing(epoch) {
                Taken::Yes => {
                    self.pending = None;
                    self.era = self.era.wrapping_add(1);
                    self.base(&Values::of(markets, selections), at, rows);
                }
                Taken::Candidate => {
                    if let Some(candidate) = self.candidate(epoch) {
                        candidate.values = Values::of(markets, selections);
                        candidate.based = true;
                    }
                    return Taken::Candidate;
                }
                Taken::Refused => return Taken::Refused,
            },
            Input::Obs { epoch, changes, at } => match self.standing(epoch) {
                Taken::Yes => changes.iter().for_each(|change| self.observe(*change, at, rows)),
                Taken::Candidate => {
                    let shape = std::mem::take(&mut self.shape);
                    if let Some(candidate) = self.candidate(epoch) {
                        changes.iter().for_each(|change| candidate.values.fold(*change, &shape));
                    }
                    self.shape = shape;
                    return Taken::Candidate;
                }
                Taken::Refused => return Taken::Refused,
            },
        }
        Taken::Yes
    }

    fn standing(&self, epoch: Epoch) -> Taken {
        match self.owner {
            Some(owner) if epoch < owner => Taken::Refused,
            Some(owner) if epoch == owner => Taken::Yes,
            Some(_) | None => Taken::Candidate,
        }
    }

    /// The candidate of an epoch; `None` where there are enough of higher ones.
    fn candidate(&mut self, epoch: Epoch) -> Option<&mut Candidate> {
        let known = self.candidates.iter().any(|candidate| candidate.epoch == epoch);
        if !known {
            if self.candidates.len() >= MAX_CANDIDATES {
                let lowest = self.candidates.iter().map(|candidate| candidate.epoch).min();
                self.candidates
                    .retain(|candidate| Some(candidate.epoch) != lowest || epoch < candidate.epoch);
            }
            if self.candidates.len() < MAX_CANDIDATES {
                self.candidates.push(Candidate { epoch, values: Values::default(), based: false });
            }
        }
        self.candidates.iter_mut().find(|candidate| candidate.epoch == epoch)
    }

    /// What differs waits for the next observation of it, or for `settle`: a candidate may be a little behind, and would take back
    /// what the owner reported last. Where nothing is known there is nothing to take back.
    fn adopt(&mut self, epoch: Epoch, at: i64, now: Instant, rows: &mut Vec<Row>) {
        // Without an owner nothing was left out of what it reported.
        let left_out = u32::from(self.owner.replace(epoch).is_some());
        self.era = self.era.wrapping_add(left_out);
        self.pending = None;
        let found = self.candidates.iter().position(|candidate| candidate.epoch == epoch);
        let found = found.map(|place| self.candidates.swap_remove(place));
        self.candidates.retain(|candidate| candidate.epoch > epoch);
        let Some(Candidate { mut values, based, .. }) = found else { return };
        if !based {
            values.fill_from(&self.known);
        }
        if self.based {
            self.pending = Some((values, now + self.settle));
        } else {
            self.base(&values, at, rows);
            self.based = based;
        }
    }

    /// One change by the owner. Of a selection whose value waited, the whole of it is believed.
    fn observe(&mut self, change: Change, at: i64, rows: &mut Vec<Row>) {
        if let Some((values, _)) = &mut self.pending {
            values.fold(change, &self.shape);
            if let Change::Price(selection, ..)
            | Change::SelectionSuspended(selection, _)
            | Change::Selection(selection, _) = change
                && let Some(value) = values.selection(selection)
            {
                self.open_of(selection, at, rows);
                return self.believe(selection, value, at, rows);
            }
        }
        match change {
            Change::Price(selection, price, text) => {
                let old = self.selection(selection, at, rows);
                let value = Value { price, text, ..old.unwrap_or(UNKNOWN) };
                if old != Some(value) {
                    self.set(selection, value, Kind::OddsChange, at, rows);
                }
            }
            Change::SelectionSuspended(selection, suspended) => {
                let old = self.selection(selection, at, rows);
                let value = Value { suspended: Some(suspended), ..old.unwrap_or(UNKNOWN) };
                if old != Some(value) {
                    self.set(selection, value, suspension(suspended), at, rows);
                }
            }
            Change::MarketSuspended(market, suspended) => {
                self.open(market, at, rows);
                if self.known.market(market) != Some(suspended) || !self.based {
                    *slot(&mut self.known.markets, market) = Some(suspended);
                    self.row(suspension(suspended), Place::Market(market), at, rows);
                }
            }
            Change::MarketOpen(market, suspended) => {
                let old = self.known.market(market);
                *slot(&mut self.known.markets, market) = Some(suspended);
                if old.is_none() {
                    self.row(Kind::MarketOpen, Place::Market(market), at, rows);
                } else if old != Some(suspended) {
                    self.row(suspension(suspended), Place::Market(market), at, rows);
                }
            }
            Change::Selection(selection, value) => {
                self.open_of(selection, at, rows);
                match self.known.selection(selection) {
                    // One row says all of it.
                    None if value != Value::default() => {
                        self.set(selection, value, Kind::OddsChange, at, rows);
                    }
                    None | Some(_) => self.believe(selection, value, at, rows),
                }
            }
            Change::MarketClose(market) => {
                if self.known.market(market).is_some() || !self.based {
                    self.known.close(market, &self.shape);
                    self.row(Kind::MarketClose, Place::Market(market), at, rows);
                }
            }
        }
    }

    /// The last known value of a selection whose market exists from now on. Once a base came, one that is not known has the value of
    /// one without price; before it, its value is not known at all.
    fn selection(&mut self, selection: u32, at: i64, rows: &mut Vec<Row>) -> Option<Value> {
        self.open_of(selection, at, rows);
        let known = self.known.selection(selection);
        if known.is_none() && self.based {
            *slot(&mut self.known.selections, selection) = Some(Value::default());
            return Some(Value::default());
        }
        known
    }

    fn open_of(&mut self, selection: u32, at: i64, rows: &mut Vec<Row>) {
        if let Some(market) = self.shape.market_of.get(selection as usize) {
            self.open(*market, at, rows);
        }
    }

    fn open(&mut self, market: u32, at: i64, rows: &mut Vec<Row>) {
        if self.known.market(market).is_some() {
            return;
        }
        let waiting = self.pending.as_ref().and_then(|(values, _)| values.market(market));
        let suspended = waiting.unwrap_or(false);
        *slot(&mut self.known.markets, market) = Some(suspended);
        if self.based {
            let first = rows.len();
            self.row(Kind::MarketOpen, Place::Market(market), at, rows);
            if suspended {
                self.row(Kind::Suspended, Place::Market(market), at, rows);
                mark(rows, first);
            }
        }
    }

    fn believe(&mut self, selection: u32, value: Value, at: i64, rows: &mut Vec<Row>) {
        let old = self.known.selection(selection).unwrap_or_default();
        *slot(&mut self.known.selections, selection) = Some(value);
        let (first, place) = (rows.len(), Place::Selection(selection));
        if (old.price, old.text) != (value.price, value.text) {
            self.row(Kind::OddsChange, place, at, rows);
        }
        if let Some(suspended) = value.suspended
            && old.suspended != value.suspended
        {
            self.row(suspension(suspended), place, at, rows);
        }
        if rows.len() > first + 1 {
            // Each states the whole value: the second repeats it.
            mark(rows, first);
        }
    }

    fn set(&mut self, selection: u32, value: Value, kind: Kind, at: i64, rows: &mut Vec<Row>) {
        *slot(&mut self.known.selections, selection) = Some(value);
        self.row(kind, Place::Selection(selection), at, rows);
    }

    fn row(&mut self, kind: Kind, place: Place, at: i64, rows: &mut Vec<Row>) {
        let (era, value) = match place {
            Place::Market(market) => {
                let suspended = Some(self.known.market(market).unwrap_or(false));
                (self.market_eras.get_mut(market as usize), Value { suspended, ..Value::default() })
            }
            Place::Selection(selection) => {
                let value = self.known.selection(selection).unwrap_or_default();
                (self.selection_eras.get_mut(selection as usize), value)
            }
        };
        let seen = era.map(|era| std::mem::replace(era, self.era));
        rows.push(Row { kind, place, value, recovered: seen != Some(self.era), at });
    }

    /// All values as the owner has them: what differs is a row, marked; what is missing is gone.
    fn base(&mut self, values: &Values, at: i64, rows: &mut Vec<Row>) {
        let first = rows.len();
        let first_base = !std::mem::replace(&mut self.based, true);
        for market in 0..index(self.shape.selections.len()) {
            let (old, new) = (self.known.market(market), values.market(market));
            match new {
                None if old.is_some() => {
                    self.known.close(market, &self.shape);
                    self.row(Kind::MarketClose, Place::Market(market), at, rows);
                }
                None => {}
                Some(suspended) => {
                    *slot(&mut self.known.markets, market) = new;
                    if first_base {
                        self.row(Kind::Base, Place::Market(market), at, rows);
                        continue;
                    }
                    if old.is_none() {
                        self.row(Kind::MarketOpen, Place::Market(market), at, rows);
                    }
                    if old.unwrap_or(false) != suspended {
                        self.row(suspension(suspended), Place::Market(market), at, rows);
                    }
                }
            }
        }
        for selection in 0..index(self.shape.market_of.len()) {
            match values.selection(selection) {
                Some(new) if first_base => {
                    *slot(&mut self.known.selections, selection) = Some(new);
                    self.row(Kind::Base, Place::Selection(selection), at, rows);
                }
                Some(new) => self.believe(selection, new, at, rows),
                None => *slot(&mut self.known.selections, selection) = None,
            }
        }
        mark(rows, first);
    }
}

impl Values {
    fn of(markets: &[(u32, bool)], selections: &[(u32, Value)]) -> Values {
        let mut values = Values::default();
        markets.iter().for_each(|(market, suspended)| *slot(&mut values.markets, *market) = Some(*suspended));
        selections
            .iter()
            .for_each(|(selection, value)| *slot(&mut values.selections, *selection) = Some(*value));
        values
    }

    fn market(&self, market: u32) -> Option<bool> {
        self.markets.get(market as usize).copied().flatten()
    }

    fn selection(&self, selection: u32) -> Option<Value> {
        self.selections.get(selection as usize).copied().flatten()
    }

    fn close(&mut self, market: u32, shape: &Shape) {
        *slot(&mut self.markets, market) = None;
        for selection in shape.selections.get(market as usize).into_iter().flatten() {
            *slot(&mut self.selections, *selection) = None;
        }
    }

    fn fold(&mut self, change: Change, shape: &Shape) {
        match change {
            Change::Price(selection, price, text) => {
                let value = self.reported(selection, shape);
                (value.price, value.text) = (price, text);
            }
            Change::SelectionSuspended(selection, suspended) => {
                self.reported(selection, shape).suspended = Some(suspended);
            }
            Change::MarketSuspended(market, suspended) => *slot(&mut self.markets, market) = Some(suspended),
            Change::MarketOpen(market, suspended) => *slot(&mut self.markets, market) = Some(suspended),
            Change::Selection(selection, value) => *self.reported(selection, shape) = value,
            Change::MarketClose(market) => self.close(market, shape),
        }
    }

    fn reported(&mut self, selection: u32, shape: &Shape) -> &mut Value {
        if let Some(market) = shape.market_of.get(selection as usize) {
            slot(&mut self.markets, *market).get_or_insert(false);
        }
        slot(&mut self.selections, selection).get_or_insert_default()
    }

    /// What is not stated here is as `known`.
    fn fill_from(&mut self, known: &Values) {
        for (suspended, market) in known.markets.iter().zip(0..) {
            let own = slot(&mut self.markets, market);
            *own = own.or(*suspended);
        }
        for (value, selection) in known.selections.iter().zip(0..) {
            let own = slot(&mut self.selections, selection);
            *own = own.or(*value);
        }
    }
}

/// Marks the rows from `first` on.
fn mark(rows: &mut [Row], first: usize) {
    rows.iter_mut().skip(first).for_each(|row| row.recovered = true);
}

fn suspension(suspended: bool) -> Kind {
    if suspended { Kind::Suspended } else { Kind::Resumed }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The place of an index that [`Ledger`] gave out.
fn slot<T>(values: &mut Vec<Option<T>>, index: u32) -> &mut Option<T> {
    let index = index as usize;
    if values.len() <= index {
        values.resize_with(index + 1, || None);
    }
    // Long enough by now.
    #[allow(clippy::indexing_slicing)]
    &mut values[index]
}

#[cfg(test)]
mod tests;
