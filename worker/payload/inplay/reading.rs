//! What a match's trees say of the match as a whole: the attributes of its event nodes, its sport, its teams.
//!
//! Of several topics the first in which an attribute is not empty gives it; the clock's attributes are taken together
//! from one. The outlines of the trees must be fresh.

use super::class::{of_side, side_of};
use super::clock::ClockState;
use super::forest::Match;
use super::json_text::lossy;
use super::mapping::{Class, Mapping, Role};
use super::period::{Progress, Status};
use super::registers;
use super::rules::{listed, sides};
use super::score::{self, Course, Score};
use super::scoreboard::Quantity;
use super::store::{NodeId, Store, TreeId};
use super::{key::Key, text};
use crate::payload::sport::Sport;
use jiff::tz::TimeZone;
use std::borrow::Cow;
use touchline_common::model::{Change, Facts, Phase, Scoring, Side};

/// A match's trees, read once.
pub(super) struct Reading<'a> {
    pub(super) store: &'a Store,
    pub(super) mapping: &'a Mapping,
    pub(super) held: &'a Match,
    values: [Option<&'a [u8]>; Role::COUNT],
    pub(super) sport: Option<&'static Sport>,
    pub(super) scoring: Scoring,
}

/// What names a statistic.
#[derive(Clone, Copy)]
pub(super) enum Label {
    /// An attribute of a tree's event.
    Event(TreeId, Role),
    /// A column of the scoreboard.
    Column(NodeId),
}

/// A statistic's key and its values for home and away.
pub(super) type Statistic<'a> = (Cow<'a, str>, [Option<&'a [u8]>; 2]);

const CLOCK: [Role; 5] = [Role::Minutes, Role::Seconds, Role::Running, Role::Down, Role::At];

impl<'a> Reading<'a> {
    pub(super) fn of(store: &'a Store, mapping: &'a Mapping, held: &'a Match) -> Self {
        let values = [None; Role::COUNT];
        let mut reading = Self { store, mapping, held, values, sport: None, scoring: Scoring::Text };
        for &tree in &held.trees {
            if let Some(event) = event_of(store, tree) {
                reading.add(event);
            }
        }
        if let Some(id) = reading.sport_id() {
            reading.sport = Sport::by_id(&id);
            let stated = mapping.scoring(&id);
            reading.scoring = stated.or(reading.sport.map(|sport| sport.scoring)).unwrap_or_default();
        }
        reading
    }

    fn add(&mut self, event: NodeId) {
        let has_clock =
            [Role::Minutes, Role::Seconds].into_iter().any(|role| number(self.value(role)).is_some());
        for (name, value) in text::attributes(self.store.text(event)) {
            if let Some(role) = self.mapping.role(Class::Event, Key::of(name))
                && !(has_clock && CLOCK.contains(&role))
                && let Some(place) = self.values.get_mut(role as usize)
                && place.is_none_or(<[u8]>::is_empty)
            {
                *place = Some(value);
            }
        }
    }

    /// The value of an event's attribute, if the event has it.
    pub(super) fn value(&self, role: Role) -> Option<&'a [u8]> {
        self.values.get(role as usize).copied().flatten()
    }

    /// The same as text; empty is absent.
    pub(super) fn value_of(&self, role: Role) -> Option<Cow<'a, str>> {
        self.value(role).filter(|value| !value.is_empty()).map(lossy)
    }

    pub(super) fn facts(&self) -> Facts {
        Facts { scoring: self.scoring, ..Sport::facts(self.sport) }
    }

    pub(super) fn sport_id(&self) -> Option<Cow<'a, str>> {
        let own = self.value_of(Role::Sport).or_else(|| self.ancestor(Class::Sport, Role::Id));
        own.or_else(|| listed(&self.held.listing.sport_id))
    }

    pub(super) fn competition(&self) -> Option<Cow<'a, str>> {
        let own = self.value_of(Role::Competition);
        let own = own.or_else(|| self.ancestor(Class::Competition, Role::Name));
        own.or_else(|| listed(&self.held.listing.competition))
    }

    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        let own = self.value(Role::Name).map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()).map(lossy);
        own.or_else(|| listed(&self.held.listing.name))
    }

    fn ancestor(&self, class: Class, role: Role) -> Option<Cow<'a, str>> {
        let key = self.mapping.key(class, role);
        self.held.trees.iter().find_map(|tree| {
            let above = self.store.nearest(event_of(self.store, *tree)?, class);
            self.store.attribute(above, key).filter(|value| !value.is_empty()).map(lossy)
        })
    }

    /// Home and away, from the team nodes, else from the name.
    pub(super) fn sides(&self) -> [Option<Cow<'a, str>>; 2] {
        let mut named = [None, None];
        for &tree in &self.held.trees {
            if named.iter().all(Option::is_some) {
                break;
            }
            for (name, team) in named.iter_mut().zip(self.team_nodes(tree)) {
                *name = name.take().or_else(|| self.team_name(team?));
            }
        }
        sides(named, self.name().as_deref())
    }

    fn team_name(&self, team: NodeId) -> Option<Cow<'a, str>> {
        let name = self.store.attribute(team, self.mapping.key(Class::Team, Role::Name))?.trim_ascii();
        (!name.is_empty()).then(|| lossy(name))
    }

    /// The first team node of each side in a tree.
    fn team_nodes(&self, tree: TreeId) -> [Option<NodeId>; 2] {
        let order = self.mapping.key(Class::Team, Role::Order);
        let mut found = [None, None];
        for id in self.store.outlined(tree, Class::Team) {
            if let Some(side) = self.store.attribute(id, order).and_then(side_of) {
                of_side(found.each_mut(), side).get_or_insert(id);
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }

    /// The key in `stats` of the label that a tree's event has in this place.
    pub(super) fn statistic_key(&self, tree: TreeId, role: Role) -> Option<Cow<'a, str>> {
        let event = event_of(self.store, tree)?;
        let label = self.store.attribute(event, self.mapping.key(Class::Event, role))?;
        if label.trim_ascii().is_empty() {
            return None;
        }
        let label = lossy(label);
        Some(self.mapping.statistic(&label).map_or(label, Cow::Borrowed))
    }

    /// The key in `stats` of what a statistic is named by.
    pub(super) fn key_of(&self, label: Label) -> Option<Cow<'a, str>> {
        match label {
            Label::Event(tree, role) => self.statistic_key(tree, role),
            Label::Column(column) => match self.quantity(column) {
                Quantity::Statistic(key) => Some(Cow::Borrowed(key)),
                Quantity::Period | Quantity::Unknown => None,
            },
        }
    }

    /// Every statistic with its values for home and away, unknown ones absent: those of the scoreboards, then what these lack.
    pub(super) fn statistics(&self) -> Vec<Statistic<'a>> {
        let mut all: Vec<Statistic<'a>> = Vec::new();
        for column in self.held.trees.iter().flat_map(|tree| self.columns(*tree)) {
            if let Quantity::Statistic(key) = column.quantity {
                add(&mut all, Cow::Borrowed(key), column.values);
            }
        }
        for &tree in &self.held.trees {
            let teams = self.team_nodes(tree);
            if teams == [None, None] {
                continue;
            }
            for role in Role::STATS {
                let Some(key) = self.statistic_key(tree, role) else { continue };
                let attribute = self.mapping.key(Class::Team, role);
                let value =
                    |team: Option<NodeId>| self.store.attribute(team?, attribute).filter(|v| !v.is_empty());
                add(&mut all, key, teams.map(value));
            }
        }
        all
    }

    /// Home and away, where both names are known.
    pub(super) fn teams(&self) -> Option<(String, String)> {
        let [home, away] = self.sides();
        Some((home?.into_owned(), away?.into_owned()))
    }

    /// The comment, and those of the `statistics` that are no registers.
    pub(super) fn changes(&self, statistics: &[Statistic<'a>]) -> Vec<Change<'a>> {
        let mut all: Vec<Change<'a>> =
            self.value_of(Role::Comment).into_iter().map(|text| Change::Comment { text }).collect();
        for (key, values) in statistics {
            for (side, value) in Side::BOTH.into_iter().zip(*values) {
                let Some(value) = value.filter(|value| !registers::is_register(key, side, value)) else {
                    continue;
                };
                all.push(Change::Stat { key: key.clone(), side: Some(side), text: lossy(value) });
            }
        }
        all
    }

    pub(super) fn clock(&self, zone: &TimeZone) -> ClockState {
        let (minutes, seconds) = (number(self.value(Role::Minutes)), number(self.value(Role::Seconds)));
        if minutes.is_none() && seconds.is_none() {
            return ClockState::default();
        }
        ClockState {
            seconds: Some(minutes.unwrap_or(0) * 60 + seconds.unwrap_or(0)),
            running: self.value(Role::Running) == Some(b"1"),
            down: self.value(Role::Down) == Some(b"1"),
            at: self
                .value(Role::At)
                .and_then(|stamp| self.held.time.instant_of(stamp, zone, self.held.received.wall_us)),
        }
    }

    /// Period as the document writes it, phase, and status, by the table and the rules for soccer.
    pub(super) fn progress(&self) -> Progress<'a> {
        let period = self.value_of(Role::Period);
        let in_play = self.value(Role::InPlay);
        let known = match &period {
            Some(_) => {
                let text = self.value(Role::Period).unwrap_or_default();
                self.mapping
                    .period(text, self.sport.map(|sport| sport.name))
                    .map(|(phase, status)| (None, phase, status))
            }
            None => self.soccer_half(in_play),
        };
        let (name, phase, status) = match (known, in_play) {
            (Some((name, phase, status)), _) => (name, Some(phase), status),
            (None, Some(b"1")) => (None, Some(Phase::playing(1)), Status::InPlay),
            (None, Some(b"0" | b"")) => (None, Some(Phase::NOT_STARTED), Status::NotStarted),
            (None, Some(_) | None) => (None, None, Status::Unknown),
        };
        let suspended = text::suspended(self.value(Role::Suspended));
        Progress {
            period: period.or(name.map(Cow::Borrowed)),
            phase: phase.map(|phase| self.coarse(phase)),
            status: if suspended { Status::Suspended } else { status },
            suspended: Some(suspended),
        }
    }

    /// The score as numbers. Of a match that is over no set is being played.
    pub(super) fn score(&self, phase: Option<Phase>) -> Score {
        let course = if phase == Some(Phase::FINISHED) { Course::Finished } else { Course::Open };
        let [ss, xp] = [Role::Score, Role::Points].map(|role| self.value(role).unwrap_or_default());
        score::read(self.scoring, ss, xp, course)
    }

    /// Sets, frames, legs and maps are reported apart from the phase.
    fn coarse(&self, phase: Phase) -> Phase {
        if self.scoring.has_sets() && phase > Phase::NOT_STARTED && phase < Phase::FINISHED {
            Phase::playing(1)
        } else {
            phase
        }
    }

    fn soccer_half(&self, in_play: Option<&[u8]>) -> Option<(Option<&'static str>, Phase, Status)> {
        if self.sport.map(|sport| sport.name) != Some("soccer") || in_play != Some(b"1") {
            return None;
        }
        let running = self.value(Role::Running) == Some(b"1");
        let minutes = number(self.value(Role::Minutes)).unwrap_or(0);
        let seconds = number(self.value(Role::Seconds)).unwrap_or(0);
        let half_time = Some((Some("half_time"), Phase::after(1), Status::Break));
        match self.value(Role::Half)? {
            b"0" if running => Some((Some("first_half"), Phase::playing(1), Status::InPlay)),
            b"0" if minutes >= 45 => half_time,
            b"1" if !running && minutes == 45 && seconds == 0 => half_time,
            b"1" => Some((Some("second_half"), Phase::playing(2), Status::InPlay)),
            _ => None,
        }
    }
}

/// Adds a statistic's values; of two that state a side's the first counts.
fn add<'a>(all: &mut Vec<Statistic<'a>>, key: Cow<'a, str>, values: [Option<&'a [u8]>; 2]) {
    if values == [None, None] {
        return;
    }
    match all.iter_mut().find(|(held, _)| *held == key) {
        Some((_, held)) => {
            for (place, value) in held.iter_mut().zip(values) {
                *place = place.or(value);
            }
        }
        None => all.push((key, values)),
    }
}

/// The head event node of a tree: its first in pre-order.
pub(super) fn event_of(store: &Store, tree: TreeId) -> Option<NodeId> {
    store.outlined(tree, Class::Event).next()
}

fn number(text: Option<&[u8]>) -> Option<i64> {
    text::whole(text?, 9).map(|n| n as i64)
}
