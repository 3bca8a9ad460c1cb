//! Which slot an incident belongs to. A source's own id decides where there is one; else type, side, period and clock
//! as stated, and the rank among equals. A copy that lacks a field matches one that has it.
//!
//! In one list each slot is named at most once, so two equal ones in it are two happenings; what comes alone and equals a
//! standing one is its copy. Called by `Incidents::take`.

use super::{Incident, Incidents, Key, Listing, MAX_DETAILS, MAX_EQUALS, Name, Slot, State, Telling, What};
use crate::record::ledger::event::EventType;
use crate::record::ledger::identity::EventId;
use std::cmp::Reverse;
use std::time::Instant;
use touchline_common::model::Side;

/// How alike two incidents of one type and clock must be; the closest are looked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    Equal,
    /// Nothing that both state differs.
    Compatible,
    /// Details differ: the happening was edited.
    Edited,
}

impl Likeness {
    fn holds(self, one: &Incident, other: &Incident) -> bool {
        match self {
            Likeness::Equal => one == other,
            Likeness::Compatible => are_placed_alike(one, other) && agree(one, other),
            Likeness::Edited => are_placed_alike(one, other),
        }
    }
}

fn are_placed_alike(one: &Incident, other: &Incident) -> bool {
    let side = one.side.is_none() || other.side.is_none() || one.side == other.side;
    side && (one.period.is_none() || other.period.is_none() || one.period == other.period)
}

fn agree(one: &Incident, other: &Incident) -> bool {
    one.details.iter().all(|(key, value)| other.details.get(key).is_none_or(|there| there == value))
}

impl Incidents {
    /// The slot of each; none where it is new.
    pub(super) fn find_all(&mut self, incidents: &[Incident], listing: Listing) -> Vec<Option<usize>> {
        let mut found: Vec<Option<usize>> = vec![None; incidents.len()];
        for (incident, slot) in incidents.iter().zip(&mut found) {
            *slot = self.named(incident);
            self.stamp(*slot);
        }
        // Only a whole list shows that what stood there before is not there as well.
        let edited: &[Likeness] = match listing {
            Listing::Whole => &[Likeness::Edited],
            Listing::Single | Listing::Window => &[],
        };
        for likeness in [Likeness::Equal, Likeness::Compatible].iter().chain(edited) {
            self.find_alike(incidents, &mut found, *likeness, Standing::Yes);
        }
        self.find_alike(incidents, &mut found, Likeness::Compatible, Standing::No);
        found
    }

    fn named(&self, incident: &Incident) -> Option<usize> {
        let slots = self.by_source.get(incident.source_id.as_deref()?)?;
        slots
            .iter()
            .copied()
            .find(|slot| self.slots.get(*slot).is_some_and(|s| s.incident.kind == incident.kind))
    }

    fn find_alike(
        &mut self,
        incidents: &[Incident],
        found: &mut [Option<usize>],
        likeness: Likeness,
        standing: Standing,
    ) {
        // Those that say the most first: what says little matches what is left.
        let mut all: Vec<_> = incidents.iter().zip(found).filter(|(_, slot)| slot.is_none()).collect();
        all.sort_by_key(|(incident, _)| Reverse(incident.details.len()));
        for (incident, slot) in all {
            if incident.source_id.is_none() {
                *slot = self.alike(incident, likeness, standing);
                self.stamp(*slot);
            }
        }
    }

    fn alike(&self, incident: &Incident, likeness: Likeness, standing: Standing) -> Option<usize> {
        let slots = self.by_clock.get(&bucket(incident))?;
        slots.iter().copied().find(|index| {
            self.slots.get(*index).is_some_and(|slot| {
                slot.turn != self.turn
                    && (slot.state != State::Gone) == (standing == Standing::Yes)
                    && likeness.holds(&slot.incident, incident)
            })
        })
    }

    fn stamp(&mut self, slot: Option<usize>) {
        if let Some(slot) = slot {
            self.slots.stamp(slot, self.turn);
        }
    }

    /// What comes again: a copy, an edit, or the same thing after it was taken back.
    pub(super) fn repeat(&mut self, index: usize, incident: Incident, now: Instant, out: &mut Vec<Telling>) {
        let Some(Slot { incident: before, state, .. }) = self.slots.get(index) else { return };
        let (mut merged, side, state) = (before.clone(), before.side, *state);
        merge(&mut merged, incident);
        let changed = merged != *before;
        if changed && let Some(slot) = self.slots.get_mut(index) {
            slot.incident = merged;
            self.touch(index);
        }
        match state {
            State::Gone => self.hold(index, now),
            State::Held | State::Beside => self.move_untold(index),
            State::Told if changed => self.revise(index, side, out),
            State::Told => {}
        }
    }

    /// `side`: whose it was until now. The order stays, whatever the clock is now.
    fn revise(&mut self, index: usize, side: Option<Side>, out: &mut Vec<Telling>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.revision = slot.revision.saturating_add(1);
        let (key, revision) = (slot.key, slot.revision);
        let rescored = slot.incident.kind == EventType::Goal && slot.incident.side != side;
        if rescored {
            self.rescore(key, index);
        }
        self.tell(index, What::Revised { revision }, out);
        if rescored {
            self.score_from(key, out);
        }
    }

    pub(super) fn add(&mut self, incident: Incident, now: Instant) {
        let equals = self.by_clock.get(&bucket(&incident)).map_or(0, Vec::len);
        let crowded = incident.source_id.is_none() && equals >= MAX_EQUALS;
        // Two entries of one list may have the same id: the second is a copy.
        let is_deleted = incident.source_id.as_ref().is_some_and(|id| self.deleted.contains(id));
        if is_deleted || self.named(&incident).is_some() {
            return;
        }
        if crowded || self.slots.len() >= self.most {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let index = self.slots.len();
        let named_by = self.name_of(&incident);
        let id = self.id_of(&incident, named_by, 0);
        self.index(index, &incident);
        self.slots.push(Slot {
            incident,
            id,
            state: State::Gone,
            named_by,
            k: 0,
            revision: 0,
            key: Key::default(),
            order: 0,
            late: false,
            score: None,
            turn: self.turn,
        });
        self.hold(index, now);
    }

    /// By what it is found again.
    pub(super) fn index(&mut self, index: usize, incident: &Incident) {
        match &incident.source_id {
            Some(source_id) => self.by_source.entry(source_id.clone()).or_default().push(index),
            None => self.by_clock.entry(bucket(incident)).or_default().push(index),
        }
    }

    /// Its id, the `k`-th time that it stands.
    pub(super) fn id_of(&self, incident: &Incident, (side, period, clock, rank): Name, k: u32) -> EventId {
        match &incident.source_id {
            Some(source_id) => self.scope.named_incident(incident.kind, source_id, k),
            None => self.scope.stated_incident(incident.kind, (side, period, clock), rank, k),
        }
    }

    fn name_of(&self, incident: &Incident) -> Name {
        let (side, period, clock) = (incident.side, incident.period, incident.clock.map(|clock| clock.0));
        let equals = self.by_clock.get(&bucket(incident)).into_iter().flatten();
        let names = equals.filter_map(|slot| self.slots.get(*slot).map(|slot| slot.named_by));
        let ranks = names.filter(|name| (name.0, name.1) == (side, period)).map(|name| name.3);
        (side, period, clock, ranks.max().map_or(0, |rank| rank.saturating_add(1)))
    }

    /// Those that this turn's list states to be no more.
    pub(super) fn vanished(&self, listing: Listing) -> Vec<usize> {
        let absent = |slot: &usize| self.slots.get(*slot).is_some_and(|slot| slot.turn != self.turn);
        match listing {
            Listing::Single => Vec::new(),
            Listing::Whole => {
                let all = [&self.told, &self.held, &self.beside].into_iter();
                all.flat_map(|places| places.values().copied()).filter(absent).collect()
            }
            Listing::Window => {
                let Some((first, last)) = self.window else { return Vec::new() };
                if first >= last {
                    return Vec::new();
                }
                let all = [&self.told, &self.held, &self.beside].into_iter();
                all.flat_map(|places| places.range(first..last).map(|(_, slot)| *slot))
                    .filter(absent)
                    .collect()
            }
        }
    }

    /// The first and last place of what stood already and is named again.
    pub(super) fn note_window(&mut self, found: &[Option<usize>]) {
        let standing = found.iter().flatten().filter_map(|slot| self.slots.get(*slot));
        let keys = standing.filter(|slot| slot.state != State::Gone).map(|slot| slot.key);
        self.window = keys.fold(None, |window, key| match window {
            None => Some((key, key)),
            Some((first, last)) => Some((key.min(first), key.max(last))),
        });
    }
}

/// Whether a slot is looked for among what stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Yes,
    No,
}

fn bucket(incident: &Incident) -> (EventType, Option<u32>) {
    (incident.kind, incident.clock.map(|clock| clock.0))
}

/// What is not stated stays as it is.
fn merge(known: &mut Incident, new: Incident) {
    known.side = new.side.or(known.side);
    known.period = new.period.or(known.period);
    known.clock = new.clock.or(known.clock);
    // Each copy may have a time of its own.
    known.feed_at = known.feed_at.or(new.feed_at);
    for (key, value) in new.details {
        if known.details.len() < MAX_DETAILS || known.details.contains_key(&key) {
            known.details.insert(key, value);
        }
    }
}
