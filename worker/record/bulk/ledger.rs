//! A match's last known values of the bulk stream: observations in, rows out. Pure: time is passed in, nothing is read or written.
//!
//! One rule: a value that equals the last known one is no row. Only [`Input::Adopt`] makes an epoch the owner; frames of a lower
//! one are refused, those of a higher one are folded into a candidate of which only the newest values count. It takes effect with the
//! epoch's first frame in this stream: a frame that was sent before the match stream made it the owner may come after that.
//! `era` counts the moments after which values may have been left out (an adoption, a base): a place's first row in an era is marked
//! `recovered`, so that a value which came and went unseen is missing in front of a marked row only.
//! A market and a selection are each a [`Place`], given out by [`Ledger::add`].

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
    /// The result of a selection, once it has one.
    pub won: Option<bool>,
}

impl Default for Value {
    fn default() -> Value {
        Value { price: None, text: EMPTY, suspended: Some(false), won: None }
    }
}

impl Value {
    /// What there is to a market.
    pub fn of_market(suspended: bool) -> Value {
        Value { suspended: Some(suspended), ..Value::default() }
    }
}

/// Of which nothing is known.
const UNKNOWN: Value = Value { price: None, text: EMPTY, suspended: None, won: None };

/// A market or a selection of the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: Kind,
    pub place: Place,
    /// Price, text, suspension and result after it; of a market only the suspension.
    pub value: Value,
    /// Whether it stands for values that were or may have been left out before it.
    pub recovered: bool,
    /// Wall clock of the read, microseconds since 1970 UTC.
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Price(Place, Option<Price>, TextId),
    SelectionSuspended(Place, bool),
    SelectionWon(Place, Option<bool>),
    MarketSuspended(Place, bool),
    /// A market was inserted, suspended or not.
    MarketOpen(Place, bool),
    Selection(Place, Value),
    MarketClose(Place),
}

#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The match stream made this epoch the owner.
    Adopt(Epoch),
    /// All values as the epoch's worker sees them.
    Base {
        epoch: Epoch,
        values: &'a [(Place, Value)],
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
    /// Its worker brought lines of chat, which are no values.
    Said { epoch: Epoch },
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

/// What the places are.
#[derive(Debug, Default)]
struct Shape(Vec<Spot>);

#[derive(Debug)]
struct Spot {
    /// Of a selection: its market.
    market: Option<Place>,
    /// Of a market.
    selections: Vec<Place>,
}

/// Values by place; `None`: there is none such.
#[derive(Clone, Debug, Default)]
struct Values(Vec<Option<Value>>);

#[derive(Debug)]
struct Candidate {
    epoch: Epoch,
    values: Values,
    /// Whether a base came, so that what is missing does not exist.
    based: bool,
    /// Wall clock of the newest read: what is written of it is as old.
    at: i64,
}

/// The last known values of one match.
#[derive(Debug)]
pub struct Ledger {
    settle: Duration,
    owner: Option<Epoch>,
    /// The match stream made it the owner, and nothing of it came in this stream. What its predecessor sent before still counts.
    awaited: Option<Epoch>,
    shape: Shape,
    known: Values,
    /// Whether a base came since this ledger exists. Before it nothing is known to be absent.
    based: bool,
    era: u32,
    /// The era of each place's last row.
    eras: Vec<u32>,
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
            awaited: None,
            shape: Shape::default(),
            known: Values::default(),
            based: false,
            era: 0,
            eras: Vec::new(),
            pending: None,
            candidates: Vec::new(),
        }
    }

    /// Makes room for a selection of `market`, or for a market.
    pub fn add(&mut self, market: Option<Place>) -> Place {
        let place = Place(u32::try_from(self.shape.0.len()).unwrap_or(u32::MAX));
        self.shape.0.push(Spot { market, selections: Vec::new() });
        // Before a base came nothing is known of what was recorded of it: its first row is marked.
        self.eras.push(if self.based { self.era } else { self.era.wrapping_sub(1) });
        if let Some(of) = market.and_then(|market| self.shape.0.get_mut(market.0 as usize)) {
            of.selections.push(place);
        }
        place
    }

    /// What waits to be believed is dropped: the match is over.
    pub fn believe_no_more(&mut self) {
        self.pending = None;
    }

    /// The epoch that is believed, now or from its first frame on.
    pub fn owner(&self) -> Option<Epoch> {
        self.awaited.or(self.owner)
    }

    /// When a [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|(_, due)| *due)
    }

    /// Every last known value; a market comes before its selections.
    pub fn known(&self) -> impl Iterator<Item = (Place, Value)> {
        self.known.0.iter().zip(0..).filter_map(|(value, place)| Some((Place(place), (*value)?)))
    }

    pub fn texts(&self) -> impl Iterator<Item = TextId> {
        let held = self.candidates.iter().map(|candidate| &candidate.values);
        let held = held.chain(self.pending.iter().map(|(values, _)| values)).chain([&self.known]);
        held.flat_map(|values| values.0.iter().flatten().map(|value| value.text))
    }

    /// Takes one input; what follows from it is appended to `rows`.
    pub fn advance(&mut self, input: Input<'_>, now: Instant, rows: &mut Vec<Row>) -> Taken {
        match input {
            Input::Adopt(epoch) => {
                if self.owner() >= Some(epoch) {
                    return Taken::Refused;
                }
                self.awaited = Some(epoch);
                if self.candidates.iter().any(|candidate| candidate.epoch == epoch) {
                    self.adopt_awaited(epoch, now, rows);
                }
            }
            Input::Said { epoch } => return self.standing(epoch, now, rows),
            Input::Tick { at } => {
                if let Some((values, _)) = self.pending.take_if(|(_, due)| *due <= now) {
                    self.base(&values, at, rows);
                }
            }
            Input::Base { epoch, values, at } => match self.standing(epoch, now, rows) {
                Taken::Yes => {
                    self.pending = None;
                    self.era = self.era.wrapping_add(1);
                    self.base(&Values::of(values), at, rows);
                }
                Taken::Candidate => {
                    if let Some(candidate) = self.candidate(epoch) {
                        candidate.values = Values::of(values);
                        candidate.based = true;
                        candidate.at = at;
                    }
                    return Taken::Candidate;
                }
                Taken::Refused => return Taken::Refused,
            },
            Input::Obs { epoch, changes, at } => match self.standing(epoch, now, rows) {
                Taken::Yes => changes.iter().for_each(|change| self.observe(*change, at, rows)),
                Taken::Candidate => {
                    let shape = std::mem::take(&mut self.shape);
                    if let Some(candidate) = self.candidate(epoch) {
                        changes.iter().for_each(|change| candidate.values.fold(*change, &shape));
                        candidate.at = at;
                    }
                    self.shape = shape;
                    return Taken::Candidate;
                }
                Taken::Refused => return Taken::Refused,
            },
        }
        Taken::Yes
    }

    /// What a frame of this epoch is; the first of one that is awaited makes it the owner.
    fn standing(&mut self, epoch: Epoch, now: Instant, rows: &mut Vec<Row>) -> Taken {
        self.adopt_awaited(epoch, now, rows);
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
                self.candidates.push(Candidate { epoch, values: Values::default(), based: false, at: 0 });
            }
        }
        self.candidates.iter_mut().find(|candidate| candidate.epoch == epoch)
    }

    fn adopt_awaited(&mut self, epoch: Epoch, now: Instant, rows: &mut Vec<Row>) {
        if self.awaited.take_if(|awaited| *awaited == epoch).is_some() {
            self.adopt(epoch, now, rows);
        }
    }

    /// What differs waits for the next observation of it, or for `settle`: a candidate may be a little behind, and would take back
    /// what the owner reported last. Where nothing is known there is nothing to take back.
    fn adopt(&mut self, epoch: Epoch, now: Instant, rows: &mut Vec<Row>) {
        // Without an owner nothing was left out of what it reported.
        let left_out = u32::from(self.owner.replace(epoch).is_some());
        self.era = self.era.wrapping_add(left_out);
        self.pending = None;
        let found = self.candidates.iter().position(|candidate| candidate.epoch == epoch);
        let found = found.map(|place| self.candidates.swap_remove(place));
        self.candidates.retain(|candidate| candidate.epoch > epoch);
        let Some(Candidate { mut values, based, at, .. }) = found else { return };
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
            | Change::SelectionWon(selection, _)
            | Change::Selection(selection, _) = change
                && let Some(value) = values.get(selection)
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
            Change::SelectionWon(selection, won) => {
                let old = self.selection(selection, at, rows);
                let value = Value { won, ..old.unwrap_or(UNKNOWN) };
                if old != Some(value) {
                    self.set(selection, value, Kind::OddsChange, at, rows);
                }
            }
            Change::MarketSuspended(market, suspended) => {
                self.open(market, at, rows);
                let value = Value::of_market(suspended);
                if self.known.get(market) != Some(value) || !self.based {
                    self.set(market, value, suspension(suspended), at, rows);
                }
            }
            Change::MarketOpen(market, suspended) => {
                let (old, value) = (self.known.get(market), Value::of_market(suspended));
                if old.is_none() {
                    self.set(market, value, Kind::MarketOpen, at, rows);
                } else if old != Some(value) {
                    self.set(market, value, suspension(suspended), at, rows);
                }
            }
            Change::Selection(selection, value) => {
                self.open_of(selection, at, rows);
                match self.known.get(selection) {
                    // One row says all of it.
                    None if value != Value::default() => {
                        self.set(selection, value, Kind::OddsChange, at, rows);
                    }
                    None | Some(_) => self.believe(selection, value, at, rows),
                }
            }
            Change::MarketClose(market) => {
                if self.known.get(market).is_some() || !self.based {
                    self.known.close(market, &self.shape);
                    self.row(Kind::MarketClose, market, at, rows);
                }
            }
        }
    }

    /// The last known value of a selection whose market exists from now on. Once a base came, one that is not known has the value of
    /// one without price; before it, its value is not known at all.
    fn selection(&mut self, selection: Place, at: i64, rows: &mut Vec<Row>) -> Option<Value> {
        self.open_of(selection, at, rows);
        let known = self.known.get(selection);
        if known.is_none() && self.based {
            return Some(*self.known.slot(selection).insert(Value::default()));
        }
        known
    }

    fn open_of(&mut self, selection: Place, at: i64, rows: &mut Vec<Row>) {
        if let Some(market) = self.shape.market_of(selection) {
            self.open(market, at, rows);
        }
    }

    fn open(&mut self, market: Place, at: i64, rows: &mut Vec<Row>) {
        if self.known.get(market).is_some() {
            return;
        }
        let waiting = self.pending.as_ref().and_then(|(values, _)| values.get(market));
        let value = *self.known.slot(market).insert(waiting.unwrap_or_default());
        if self.based {
            let first = rows.len();
            self.row(Kind::MarketOpen, market, at, rows);
            if value.suspended == Some(true) {
                self.row(Kind::Suspended, market, at, rows);
                mark(rows, first);
            }
        }
    }

    fn believe(&mut self, selection: Place, value: Value, at: i64, rows: &mut Vec<Row>) {
        let old = self.known.slot(selection).replace(value).unwrap_or_default();
        let first = rows.len();
        if (old.price, old.text, old.won) != (value.price, value.text, value.won) {
            self.row(Kind::OddsChange, selection, at, rows);
        }
        if let Some(suspended) = value.suspended
            && old.suspended != value.suspended
        {
            self.row(suspension(suspended), selection, at, rows);
        }
        if rows.len() > first + 1 {
            // Each states the whole value: the second repeats it.
            mark(rows, first);
        }
    }

    fn set(&mut self, place: Place, value: Value, kind: Kind, at: i64, rows: &mut Vec<Row>) {
        *self.known.slot(place) = Some(value);
        self.row(kind, place, at, rows);
    }

    fn row(&mut self, kind: Kind, place: Place, at: i64, rows: &mut Vec<Row>) {
        let value = self.known.get(place).unwrap_or_default();
        let era = self.eras.get_mut(place.0 as usize);
        let seen = era.map(|era| std::mem::replace(era, self.era));
        rows.push(Row { kind, place, value, recovered: seen != Some(self.era), at });
    }

    /// All values as the owner has them: what differs is a row, marked; what is missing is gone.
    fn base(&mut self, values: &Values, at: i64, rows: &mut Vec<Row>) {
        let first = rows.len();
        let first_base = !std::mem::replace(&mut self.based, true);
        for place in self.shape.markets_first() {
            let (old, new) = (self.known.get(place), values.get(place));
            let is_market = self.shape.market_of(place).is_none();
            match new {
                Some(new) if first_base => self.set(place, new, Kind::Base, at, rows),
                Some(new) if is_market => {
                    *self.known.slot(place) = Some(new);
                    if old.is_none() {
                        self.row(Kind::MarketOpen, place, at, rows);
                    }
                    if old.unwrap_or_default() != new {
                        self.row(suspension(new.suspended == Some(true)), place, at, rows);
                    }
                }
                Some(new) => self.believe(place, new, at, rows),
                None if is_market && old.is_some() => {
                    self.known.close(place, &self.shape);
                    self.row(Kind::MarketClose, place, at, rows);
                }
                None => *self.known.slot(place) = None,
            }
        }
        mark(rows, first);
    }
}

impl Shape {
    fn markets_first(&self) -> Vec<Place> {
        let mut places: Vec<Place> = (0..self.0.len() as u32).map(Place).collect();
        places.sort_by_key(|place| self.market_of(*place).is_some());
        places
    }

    /// The market of a selection; a market has none.
    fn market_of(&self, place: Place) -> Option<Place> {
        self.0.get(place.0 as usize)?.market
    }
}

impl Values {
    fn of(values: &[(Place, Value)]) -> Values {
        let mut all = Values::default();
        values.iter().for_each(|(place, value)| *all.slot(*place) = Some(*value));
        all
    }

    fn get(&self, place: Place) -> Option<Value> {
        self.0.get(place.0 as usize).copied().flatten()
    }

    /// The value of a place that [`Ledger`] gave out.
    fn slot(&mut self, place: Place) -> &mut Option<Value> {
        let index = place.0 as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        // Long enough by now.
        #[allow(clippy::indexing_slicing)]
        &mut self.0[index]
    }

    fn close(&mut self, market: Place, shape: &Shape) {
        *self.slot(market) = None;
        for selection in shape.0.get(market.0 as usize).into_iter().flat_map(|spot| &spot.selections) {
            *self.slot(*selection) = None;
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
            Change::SelectionWon(selection, won) => self.reported(selection, shape).won = won,
            Change::MarketSuspended(market, suspended) | Change::MarketOpen(market, suspended) => {
                *self.slot(market) = Some(Value::of_market(suspended));
            }
            Change::Selection(selection, value) => *self.reported(selection, shape) = value,
            Change::MarketClose(market) => self.close(market, shape),
        }
    }

    fn reported(&mut self, selection: Place, shape: &Shape) -> &mut Value {
        if let Some(market) = shape.market_of(selection) {
            self.slot(market).get_or_insert_default();
        }
        self.slot(selection).get_or_insert_default()
    }

    /// What is not stated here is as `known`.
    fn fill_from(&mut self, known: &Values) {
        for (value, place) in known.0.iter().zip(0..) {
            let own = self.slot(Place(place));
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

#[cfg(test)]
mod tests;
