//! Single happenings that a source states, as events of the ledger.

use super::*;
use crate::record::ledger::incidents::{Incident, Listing, Ordering, StatedClock, Statement};
use std::collections::BTreeMap;

fn foul(player: Option<&str>) -> Incident {
    let details = player.map(|player| ("player".to_owned(), player.to_owned()));
    Incident {
        kind: EventType::Foul,
        source_id: Some("7".to_owned()),
        side: Some(Side::Home),
        period: Some(1),
        clock: Some(StatedClock::new(12, 30)),
        details: BTreeMap::from_iter(details),
    }
}

fn state(ledger: &mut Ledger, epoch: u64, incidents: &[Incident], deleted: &[String]) -> Outcome {
    let report = Report { n: 9, epoch: Epoch(epoch), clock: None, at: 50, version: 3 };
    let statement = Statement { listing: Listing::Single, ordering: Ordering::AsSent, incidents, deleted };
    let mut out = Outcome::default();
    ledger.advance(&Input::Incidents { report, statement }, Instant::now(), &mut out);
    out
}

#[test]
fn an_incident_is_an_event_its_edit_a_revision_and_its_deletion_a_retraction() {
    let mut ledger = Rig::soccer().ledger.clone();
    let before = ledger.order();
    let happened = state(&mut ledger, 1, &[foul(None)], &[]).events;
    let [event] = &happened[..] else { panic!("{happened:?}") };
    assert_eq!((event.kind, event.clock, event.revision), (EventType::Foul, Some(750), 0));
    assert_eq!((event.order, event.late), (before + ORDER_STEP, false));
    let revised = state(&mut ledger, 1, &[foul(Some("Bold"))], &[]).events;
    assert_eq!((revised.len(), revised[0].id, revised[0].revision), (1, event.id, 1));
    let retracted = state(&mut ledger, 1, &[], &["7".to_owned(), "8".to_owned()]).events;
    assert_eq!((retracted.len(), retracted[0].retracts), (1, Some(event.id)));
}

#[test]
fn an_id_of_the_source_needs_no_owner_and_a_list_does() {
    let mut ledger = Rig::soccer().ledger.clone();
    assert_eq!(state(&mut ledger, 9, &[foul(None)], &[]).events.len(), 1);
    assert!(state(&mut ledger, 9, &[Incident { source_id: None, ..foul(None) }], &[]).refused);
    assert_eq!(state(&mut ledger, 1, &[foul(None)], &[]).events.len(), 0, "a copy from another worker");
    assert!(state(&mut ledger, 9, &[], &["7".to_owned()]).refused, "a deletion needs an owner");
}
