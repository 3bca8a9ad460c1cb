//! The happenings that an answer lists, as they are stated to the recorder, which tells the new from the known.
//!
//! Pure. They are of the first answer that has them. What is of no known type is passed over; of two with one id and type the first counts.

use super::find::{self, words};
use super::node::Node;
use super::values;
use super::view::{View, period_named};
use crate::payload::period::Period;
use crate::payload::sport::Sport;
use std::collections::{BTreeMap, HashSet};
use touchline_common::config::{CARDS, EVENT_TYPES, EventReading};
use touchline_common::model::{IncidentListing, Incidents, Side, StatedIncident};

/// Happenings in one statement at most, the newest of them: it is one frame to the recorder.
pub(super) const MAX_STATED: usize = 2_000;
/// Bytes of a detail at most.
const MAX_DETAIL: usize = 256;

/// What is stated; `None` if no answer lists any.
pub(super) fn read(view: &View<'_>) -> Option<Incidents> {
    view.answers.iter().find_map(|answer| {
        let (list, event) = (answer.reading.events.as_ref()?, answer.reading.event.as_ref()?);
        // Something else in its place states nothing, least of all that none are left.
        find::all(answer.body, list).into_iter().find(|list| list.is_container())?;
        let sides = sides(answer.body, event);
        let reader = Reader { event, sides, periods: view.periods, sport: view.sport() };
        let mut seen = HashSet::new();
        let elements = find::elements(answer.body, list).into_iter();
        let read = elements.filter_map(|(key, node)| reader.incident(node, key));
        let is_new = |one: &StatedIncident| {
            one.source_id.as_ref().is_none_or(|id| seen.insert((id.clone(), one.kind.clone())))
        };
        let incidents = read.filter(is_new).collect();
        let deleted = event.deleted.as_ref().map(|pointer| find::elements(answer.body, pointer));
        let deleted = deleted.unwrap_or_default().into_iter();
        Some(bounded(Incidents {
            listing: event.listing.into(),
            order: event.order.into(),
            incidents,
            deleted: deleted.filter_map(|(_, id)| id.scalar()).map(str::to_owned).collect(),
        }))
    })
}

/// Whether any answer could list happenings.
pub(super) fn are_read(view: &View<'_>) -> bool {
    view.answers.iter().any(|answer| answer.reading.event.is_some())
}

/// The newest of too many: of those before them a list that was whole says nothing then.
fn bounded(mut stated: Incidents) -> Incidents {
    let surplus = stated.incidents.len().saturating_sub(MAX_STATED);
    if surplus > 0 {
        stated.incidents.drain(..surplus);
        stated.listing = match stated.listing {
            IncidentListing::Whole | IncidentListing::Window => IncidentListing::Window,
            IncidentListing::Single => IncidentListing::Single,
        };
    }
    let surplus = stated.deleted.len().saturating_sub(MAX_STATED);
    stated.deleted.drain(..surplus);
    stated
}

/// The words for both sides; those that stand in the answer are looked up there.
fn sides<'a>(body: &'a Node, event: &'a EventReading) -> Vec<(&'a str, Side)> {
    let own = event.sides.iter().filter_map(|(word, side)| {
        if !word.starts_with('/') {
            return Some((word.as_str(), *side));
        }
        let pointer = word.parse().ok()?;
        Some((words(body, Some(&pointer))?, *side))
    });
    own.chain(Side::BOTH.map(|side| (side.as_str(), side))).collect()
}

struct Reader<'a> {
    event: &'a EventReading,
    sides: Vec<(&'a str, Side)>,
    periods: &'a [Period],
    sport: Option<&'static Sport>,
}

impl Reader<'_> {
    fn incident(&self, node: &Node, key: Option<&str>) -> Option<StatedIncident> {
        let event = self.event;
        let (kind, color) = event.kind.0.iter().find_map(|pointer| self.kind(words(node, Some(pointer))?))?;
        let at = |pointer: &Option<_>| words(node, pointer.as_ref());
        let details = event.details.iter();
        let mut details: BTreeMap<String, String> = details
            .filter_map(|(name, pointer)| Some((name.clone(), cut(words(node, Some(pointer))?))))
            .collect();
        if let Some(color) = color {
            details.insert("color".to_owned(), color.to_owned());
        }
        Some(StatedIncident {
            kind: kind.to_owned(),
            source_id: match &event.id {
                Some(pointer) => words(node, Some(pointer)).map(str::to_owned),
                None => key.map(str::to_owned),
            },
            side: at(&event.side).and_then(|word| self.side(word)),
            period: at(&event.period).and_then(|text| self.period(text)),
            clock: values::clock(at(&event.minute), at(&event.second)),
            feed_at: at(&event.time).and_then(values::time),
            details,
        })
    }

    /// The type that a word stands for, of a card with its colour.
    fn kind<'k>(&'k self, word: &'k str) -> Option<(&'k str, Option<&'static str>)> {
        let kind = self.event.types.get(word).map_or(word, String::as_str);
        if let Some((_, color)) = CARDS.iter().find(|(name, _)| *name == kind) {
            return Some(("card", Some(color)));
        }
        EVENT_TYPES.contains(&kind).then_some((kind, None))
    }

    fn side(&self, word: &str) -> Option<Side> {
        self.sides.iter().find(|(known, _)| *known == word).map(|(_, side)| *side)
    }

    /// The period that is played, or after which it is.
    fn period(&self, text: &str) -> Option<u8> {
        let (phase, _) = period_named(text, self.periods, self.sport)?;
        let number = u8::try_from((phase.0 + 1) / 2).ok()?;
        (1..=30).contains(&number).then_some(number)
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_DETAIL {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_DETAIL - "…".len());
    format!("{}…", text.get(..end).unwrap_or_default())
}
