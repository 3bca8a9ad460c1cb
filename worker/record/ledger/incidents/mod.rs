//! The incidents of one match: which of them a list repeats, changes, adds or lacks, and where each stands in the match. Pure.
//!
//! One slot for each happening, for as long as the match is kept; it is held, told or taken back. Invariants: each
//! happening is told once per time that it stands, and its `order` never changes once told; along the match orders rise.
//! `identify` finds the slot of what comes, `place` gives it its order, `score` derives what depends on the order, `registers`
//! finds the events of registers that incidents only tell more of, `verify` compares the counts of both, `saved` is the durable
//! form and `slots` knows what of it has changed.

mod events;
mod identify;
mod place;
mod read;
mod registers;
mod saved;
mod score;
mod slots;
#[cfg(test)]
mod tests;
mod verify;

pub use events::Statement;
pub use read::Stated;
pub use saved::IncidentsV2;
pub use touchline_common::model::IncidentListing as Listing;

use super::event::EventType;
use super::identity::{EventId, Scope, shortened};
use registers::OfRegisters;
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::{Registers, Side};
use verify::Verification;

/// The most that state the same type and clock; further ones are refused and counted.
pub const MAX_EQUALS: usize = 256;
/// The most details of an incident, by key; the rest is left out.
pub const MAX_DETAILS: usize = 16;
/// The most bytes of a text; what is cut ends with `…`.
pub const MAX_TEXT: usize = 256;
/// The most bytes of a source's own id; of a longer one a hash is kept.
pub const MAX_SOURCE_ID: usize = 128;
/// The most ids of a source that are remembered because it deleted them before it stated them.
pub const MAX_DELETED: usize = 256;
/// The last period, and the last second of play, that are believed; what is beyond counts as not stated.
pub const MAX_PERIOD: u8 = 30;
pub const MAX_CLOCK: StatedClock = StatedClock(1_000 * 60);
const CUT: char = '…';

/// Seconds of play as the feed states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatedClock(pub u32);

impl StatedClock {
    pub fn new(minute: u16, second: u8) -> StatedClock {
        StatedClock(u32::from(minute) * 60 + u32::from(second))
    }
}

/// What a source says of one happening. What is absent is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub kind: EventType,
    pub source_id: Option<String>,
    pub side: Option<Side>,
    /// From 1.
    pub period: Option<u8>,
    pub clock: Option<StatedClock>,
    /// The source's own time of it, microseconds since 1970 UTC; as it was first stated.
    pub feed_at: Option<i64>,
    /// Player and the like.
    pub details: BTreeMap<String, String>,
}

/// How a source's incidents are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// As they come, in a list the oldest first: the source has an order of its own.
    AsSent,
    /// By period and clock. At most `held` wait at most `wait` for earlier ones.
    ByClock { held: usize, wait: Duration },
}

/// What a feed's settings say of a match's incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many wait for earlier ones where the source has no order of its own, at most,
    pub held: usize,
    /// and how long.
    pub wait: Duration,
    /// The most happenings that are known of a match; further ones are refused and counted.
    pub most: usize,
}

impl Bounds {
    pub const DEFAULT: Bounds = Bounds { held: 16, wait: Duration::from_secs(2), most: 20_000 };
}

/// What is told of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    pub what: What,
    pub id: EventId,
    pub incident: Incident,
    pub order: i64,
    /// Whether something that comes after it in the match was told before it.
    pub late: bool,
    /// After a goal.
    pub score: Option<(i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Happened,
    /// The same happening otherwise; revisions count from 1.
    Revised {
        revision: u32,
    },
    /// `by` names the taking back.
    Retracted {
        by: EventId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It waits for earlier ones.
    Held,
    Told,
    /// It stands, and tells more of a register's event, or waits for that.
    Beside,
    /// It does not stand; it may again.
    Gone,
}

/// Where an incident stands in the match: period, clock, and what is the same whatever comes first, its id; where the
/// source has an order of its own, its arrival alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u8, u32, u128);

/// What names it where its source does not: side, period, seconds and rank among equals, as they first came.
type Name = (Option<Side>, Option<u8>, Option<u32>, u32);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    incident: Incident,
    id: EventId,
    state: State,
    named_by: Name,
    /// How often it was taken back.
    k: u32,
    revision: u32,
    key: Key,
    order: i64,
    late: bool,
    score: Option<(i64, i64)>,
    /// The turn in which it was last named.
    turn: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incidents {
    scope: Scope,
    ordering: Ordering,
    most: usize,
    slots: Slots,
    by_source: HashMap<String, Vec<usize>>,
    by_clock: HashMap<(EventType, Option<u32>), Vec<usize>>,
    told: BTreeMap<Key, usize>,
    goals: BTreeMap<Key, usize>,
    /// Those told of types that a register may count, few of all.
    countable: BTreeMap<Key, usize>,
    held: BTreeMap<Key, usize>,
    beside: BTreeMap<Key, usize>,
    of_registers: OfRegisters,
    verification: Verification,
    /// Whether anything has changed in this turn.
    touched: bool,
    /// Whether the store has more parts of these, or of others that had the match's id.
    extent: Extent,
    /// Whether what incidents state of registers may have changed since it was last counted.
    recount: bool,
    /// When each of those that wait is told at the latest, the earliest first; some are told already.
    due: VecDeque<(Instant, usize)>,
    /// Source ids that were deleted before they came, the oldest first: what comes of them is no more.
    deleted: VecDeque<String>,
    turn: u64,
    /// The first and last place that this turn's list names of what stood before it.
    window: Option<(Key, Key)>,
    arrived: u64,
    refused: u64,
}

impl Incidents {
    /// `base`: the registers when the source begins to state incidents.
    pub fn new(scope: Scope, ordering: Ordering, base: Registers) -> Incidents {
        Incidents {
            scope,
            ordering,
            most: Bounds::DEFAULT.most,
            slots: Slots::default(),
            by_source: HashMap::new(),
            by_clock: HashMap::new(),
            told: BTreeMap::new(),
            goals: BTreeMap::new(),
            countable: BTreeMap::new(),
            held: BTreeMap::new(),
            beside: BTreeMap::new(),
            of_registers: OfRegisters::from_base(base),
            verification: Verification::default(),
            touched: true,
            extent: Extent::Whole,
            recount: true,
            due: VecDeque::new(),
            deleted: VecDeque::new(),
            turn: 0,
            window: None,
            arrived: 0,
            refused: 0,
        }
    }

    /// As the feed's settings are now. Whether the source has an order of its own does not change within a match.
    pub fn set_bounds(&mut self, ordering: Ordering, most: usize) {
        self.most = most;
        match (self.ordering, ordering) {
            (Ordering::ByClock { .. }, Ordering::ByClock { .. }) => {
                self.touched |= self.ordering != ordering;
                self.ordering = ordering;
            }
            (Ordering::AsSent, _) | (_, Ordering::AsSent) => {}
        }
    }

    /// Takes what a source states; `order` is that of the match's newest event and is moved on. What follows is added to `out`.
    pub fn take(
        &mut self,
        incidents: Vec<Incident>,
        listing: Listing,
        now: Instant,
        order: &mut i64,
        out: &mut Vec<Telling>,
    ) {
        self.turn += 1;
        if listing == Listing::Whole {
            let had_base = !self.of_registers.base.is_empty();
            self.of_registers.base.clear();
            (self.touched, self.recount) = (self.touched | had_base, self.recount | had_base);
        }
        let incidents: Vec<Incident> = incidents.into_iter().map(cut).collect();
        let found = self.find_all(&incidents, listing);
        self.note_window(&found);
        for (incident, slot) in incidents.into_iter().zip(found) {
            match slot {
                Some(slot) => self.repeat(slot, incident, now, out),
                None => self.add(incident, now),
            }
        }
        for slot in self.vanished(listing) {
            self.take_back(slot, out);
        }
        self.release(now, order, out);
    }

    /// The source says that these are no more; an id that never came is remembered for a while.
    pub fn delete(&mut self, source_ids: &[String], out: &mut Vec<Telling>) {
        for id in source_ids {
            let id = cut_id(id.clone());
            let Some(slots) = self.by_source.get(id.as_str()).cloned() else {
                self.remember_deleted(id);
                continue;
            };
            for slot in slots {
                self.take_back(slot, out);
            }
        }
    }

    fn remember_deleted(&mut self, id: String) {
        if self.deleted.contains(&id) {
            return;
        }
        if self.deleted.len() >= MAX_DELETED {
            self.deleted.pop_front();
        }
        self.deleted.push_back(id);
        self.touched = true;
    }

    /// Tells what has waited long enough.
    pub fn tick(&mut self, now: Instant, order: &mut i64, out: &mut Vec<Telling>) {
        self.release(now, order, out);
    }

    /// How many were refused at a bound, since the beginning.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether anything has changed since this was last asked.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// A slot has changed: what is saved is out of date, and perhaps what was counted.
    fn touch(&mut self, index: usize) {
        self.touched = true;
        // What stands beside is counted also when its register is there no more.
        self.recount |= self
            .slots
            .get(index)
            .is_some_and(|slot| slot.state == State::Beside || self.of_registers.counts(slot.incident.kind));
    }

    fn tell(&self, slot: usize, what: What, out: &mut Vec<Telling>) {
        let Some(slot) = self.slots.get(slot) else { return };
        out.push(Telling {
            what,
            id: slot.id,
            incident: slot.incident.clone(),
            order: slot.order,
            late: slot.late,
            score: slot.score,
        });
    }

    fn take_back(&mut self, index: usize, out: &mut Vec<Telling>) {
        if self.slots.get(index).is_none_or(|slot| slot.state == State::Gone) {
            return;
        }
        self.touch(index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        match slot.state {
            State::Gone => {}
            State::Held => {
                slot.state = State::Gone;
                self.held.remove(&slot.key);
            }
            State::Beside => {
                slot.state = State::Gone;
                self.beside.remove(&slot.key);
            }
            State::Told => {
                let (key, by) = (slot.key, self.scope.retract(slot.id));
                slot.state = State::Gone;
                slot.k = slot.k.saturating_add(1);
                self.told.remove(&key);
                self.countable.remove(&key);
                let was_goal = self.goals.remove(&key).is_some();
                if was_goal {
                    self.set_score(index, self.score_before(key));
                }
                self.tell(index, What::Retracted { by }, out);
                if was_goal {
                    self.score_from(key, out);
                }
            }
        }
    }
}

/// Bounds what a source may say of one happening.
fn cut(incident: Incident) -> Incident {
    let details = incident.details.into_iter().take(MAX_DETAILS);
    Incident {
        source_id: incident.source_id.map(cut_id),
        period: incident.period.filter(|period| (1..=MAX_PERIOD).contains(period)),
        clock: incident.clock.filter(|clock| *clock <= MAX_CLOCK),
        details: details.map(|(key, value)| (cut_text(key), cut_text(value))).collect(),
        ..incident
    }
}

fn cut_id(id: String) -> String {
    if id.len() > MAX_SOURCE_ID { shortened(&id) } else { id }
}

fn cut_text(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT - CUT.len_utf8()));
        text.push(CUT);
    }
    text
}
