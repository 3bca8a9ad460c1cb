//! A match: its answers, and what of them was reported and published.
//!
//! Invariant: between two calls what is reported is what the answers say, once the match is complete. Times and topics are the caller's.

use super::incidents;
use super::odds::{self, MarketNow, Markets, Memory};
use super::ops::Tree;
use super::source::Source;
use super::view::{Answer, Request, View};
use crate::payload::MatchSlot;
use crate::payload::observe::{Received, Seen, Sink};
use crate::payload::period::Period;
use crate::payload::rules::report_registers;
use std::collections::BTreeMap;
use touchline_common::config::Join;
use touchline_common::ipc::messages::data::MatchBase;
use touchline_common::model::{
    Change, Facts, IncidentOrder, Incidents, Listing, Register, RegisterChange, Side,
};

#[derive(Default)]
pub(super) struct Match {
    /// Its requests; of what two state the first one's counts.
    pub(super) topics: Vec<Topic>,
    pub(super) listing: Listing,
    pub(super) reporting: Reporting,
    pub(super) reported: Reported,
    /// Whether its sections are to be rendered again, since this read.
    pub(super) dirty_since: Option<u64>,
    pub(super) head_hash: Option<u64>,
    pub(super) tail_hash: Option<u64>,
    pub(super) received: Received,
}

pub(super) struct Topic {
    pub(super) name: String,
    /// The place of its source; `None`: no source has this name, so nothing of it is read.
    pub(super) source: Option<usize>,
    pub(super) tree: Option<Tree>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reporting {
    /// Nothing was reported since it was asked for.
    #[default]
    Awaited,
    All,
}

/// What was reported of a match.
#[derive(Default)]
pub(super) struct Reported {
    registers: Vec<(Register, i64)>,
    pub(super) facts: Facts,
    stats: BTreeMap<(String, Option<Side>), String>,
    pub(super) markets: Markets,
    stated: Option<Incidents>,
}

/// How a topic's name says which source it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By what stands before its first `/`.
    BySource,
    /// Not at all: there is one.
    OneSource,
}

impl Topic {
    pub(super) fn new(name: &str, sources: &[Source], naming: Naming) -> Topic {
        let of = source_name(name);
        let source = match naming {
            Naming::BySource => sources.iter().position(|source| source.name == of),
            Naming::OneSource => Some(0),
        };
        Topic { name: name.to_owned(), source, tree: None }
    }
}

/// What stands before the first `/` of a topic.
fn source_name(topic: &str) -> &str {
    topic.split_once('/').map_or(topic, |(source, _)| source)
}

impl Match {
    /// Whether it is shown: as soon as there is an answer, or when all are there.
    pub(super) fn is_live(&self, sources: &[Source]) -> bool {
        let waits = |topic: &Topic| {
            topic.source.and_then(|source| sources.get(source)).is_some_and(|source| source.join == Join::All)
        };
        let is_there = |topic: &Topic| topic.tree.is_some();
        if self.topics.iter().any(waits) {
            self.topics.iter().all(is_there)
        } else {
            self.topics.iter().any(is_there)
        }
    }
}

/// What the answers of a match say.
pub(super) fn view<'a>(
    topics: &'a [Topic],
    listing: &'a Listing,
    sources: &'a [Source],
    periods: &'a [Period],
) -> View<'a> {
    let answers = topics.iter().filter_map(|topic| {
        let source = sources.get(topic.source?)?;
        let of = if topic.name == source.name { Request::Document } else { Request::Match };
        let body = topic.tree.as_ref()?.root();
        Some(Answer { source: &source.name, of, reading: &source.reading, body })
    });
    View { answers: answers.collect(), listing, periods }
}

impl Reported {
    /// Reports everything anew.
    pub(super) fn base(
        &mut self,
        view: &View<'_>,
        memory: Memory,
        slot: MatchSlot,
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let (registers, facts, changes) = (view.registers(), view.facts(), view.changes());
        self.stats = changes.iter().filter_map(stat).collect();
        let [home, away] = view.sides();
        sink.base(
            slot,
            MatchBase {
                facts: facts.clone(),
                teams: home.zip(away).map(|(home, away)| (home.into_owned(), away.into_owned())),
                registers: registers.iter().copied().collect(),
                values: changes,
                clock: view.clock().shown(received.wall_us),
                lost: None,
                at: received.wall_us,
            },
        );
        (self.registers, self.facts) = (registers, facts);
        self.state_all(view, slot, received, sink);
        let markets = odds::read(view);
        self.markets.update(&markets, memory, slot, sink, &mut Vec::new());
        let (markets, selections) = self.markets.values(&markets);
        sink.odds_base(slot, &markets, &selections, received);
    }

    /// States the happenings behind a base: nothing first, so that what registers tell from here on is known to belong to them.
    fn state_all(&mut self, view: &View<'_>, slot: MatchSlot, received: Received, sink: &mut dyn Sink) {
        if !incidents::are_read(view) {
            return;
        }
        self.stated = incidents::read(view);
        let order = self.stated.as_ref().map_or(IncidentOrder::default(), |stated| stated.order);
        sink.incidents(slot, Incidents { order, ..Incidents::default() }, received);
        if let Some(stated) = self.stated.clone() {
            sink.incidents(slot, stated, received);
        }
    }

    /// Reports what is another than before.
    pub(super) fn changes(
        &mut self,
        view: &View<'_>,
        slot: MatchSlot,
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let mut moved: Vec<RegisterChange> = Vec::new();
        report_registers(&mut self.registers, &view.registers(), &mut moved);
        let changes: Vec<Change<'_>> =
            view.changes().into_iter().filter(|change| self.is_another(change)).collect();
        if !moved.is_empty() || !changes.is_empty() {
            let clock = view.clock().shown(received.wall_us);
            sink.observed(slot, &Seen { registers: &moved, changes: &changes, clock, received });
        }
        let stated = incidents::read(view);
        if let Some(now) = stated.filter(|now| self.stated.as_ref() != Some(now)) {
            self.stated = Some(now.clone());
            sink.incidents(slot, now, received);
        }
        self.change_odds(&odds::read(view), slot, received, sink);
    }

    /// Takes the value of a statistic; whether it is another.
    fn is_another(&mut self, change: &Change<'_>) -> bool {
        let Some((key, text)) = stat(change) else { return true };
        match self.stats.get_mut(&key) {
            Some(held) if *held == text => false,
            Some(held) => {
                *held = text;
                true
            }
            None => {
                self.stats.insert(key, text);
                true
            }
        }
    }

    fn change_odds(
        &mut self,
        markets: &[MarketNow<'_>],
        slot: MatchSlot,
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let mut changes = Vec::new();
        self.markets.update(markets, Memory::GoesOn, slot, sink, &mut changes);
        if !changes.is_empty() {
            sink.odds(slot, &changes, received);
        }
    }
}

fn stat(change: &Change<'_>) -> Option<((String, Option<Side>), String)> {
    match change {
        Change::Stat { key, side, text } => Some(((key.to_string(), *side), text.to_string())),
        Change::Comment { .. } => None,
    }
}
