//! A source's statement as it travelled, read for the ledger; called where frames become inputs.

use super::{Bounds, Incident, Ordering, StatedClock, Statement};
use crate::record::ledger::event::EventType;
use touchline_common::model::{IncidentListing, IncidentOrder, Incidents, StatedIncident};

/// What a statement borrows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    listing: IncidentListing,
    ordering: Ordering,
    most: usize,
    incidents: Vec<Incident>,
    deleted: Vec<String>,
    unknown: u64,
}

impl Stated {
    /// `bounds`: of its feed.
    pub fn new(stated: Incidents, bounds: Bounds) -> Stated {
        let Bounds { held, wait, most } = bounds;
        let Incidents { listing, order, incidents, deleted } = stated;
        let ordering = match order {
            IncidentOrder::AsSent => Ordering::AsSent,
            IncidentOrder::ByClock => Ordering::ByClock { held, wait },
        };
        let count = incidents.len();
        let incidents: Vec<Incident> = incidents.into_iter().filter_map(read).collect();
        let unknown = u64::try_from(count - incidents.len()).unwrap_or(u64::MAX);
        Stated { listing, ordering, most, incidents, deleted, unknown }
    }

    /// A copy, to be held.
    pub fn of(statement: &Statement<'_>) -> Stated {
        let Statement { listing, ordering, most, incidents, deleted, unknown } = *statement;
        let (incidents, deleted) = (incidents.to_vec(), deleted.to_vec());
        Stated { listing, ordering, most, incidents, deleted, unknown }
    }

    pub fn statement(&self) -> Statement<'_> {
        Statement {
            listing: self.listing,
            ordering: self.ordering,
            most: self.most,
            incidents: &self.incidents,
            deleted: &self.deleted,
            unknown: self.unknown,
        }
    }
}

fn read(stated: StatedIncident) -> Option<Incident> {
    let StatedIncident { kind, source_id, side, period, clock, feed_at, details } = stated;
    let kind = EventType::ALL.iter().copied().find(|known| known.as_str() == kind)?;
    is_stated(kind).then(|| Incident {
        kind,
        source_id,
        side,
        period,
        clock: clock.map(StatedClock),
        feed_at,
        details,
    })
}

/// Whether a source can state it; the rest is the recorder's own word.
fn is_stated(kind: EventType) -> bool {
    use EventType::{GapEnd, GapStart, MatchListed, Mismatch, Retract, RoundEnd};
    !matches!(kind, MatchListed | Mismatch | GapStart | GapEnd | Retract | RoundEnd)
}
