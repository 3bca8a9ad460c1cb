//! Happenings of real matches, read by pointers from the shapes in which they are published.

use super::*;
use std::collections::BTreeMap;
use touchline_common::model::IncidentListing;
use touchline_harness::data;

fn counts(stated: &Incidents) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in &stated.incidents {
        *counts.entry(one.kind.as_str()).or_default() += 1;
    }
    counts
}

fn stated(bed: &Bed) -> &Incidents {
    bed.log.incidents.last().unwrap()
}

/// One array of everything that happened, ids in it, the type in an object.
#[test]
fn a_match_as_one_array() {
    let Some(body) = data::bytes("matches/statsbomb_15986_event.json") else { return };
    let reading = r#"
        events = ""
        extra = "drop"
        [event]
        id = "/id"
        type = ["/shot/outcome/name", "/bad_behaviour/card/name", "/foul_committed/card/name", "/type/name"]
        types = { Goal = "goal", Shot = "shot", Substitution = "substitution", "Yellow Card" = "yellow_card", "Second Yellow" = "red_card", "Red Card" = "red_card", "Foul Committed" = "foul", "Half Start" = "period_start", "Half End" = "period_end" }
        side = "/team/name"
        sides = { Barcelona = "home", Girona = "away" }
        period = "/period"
        minute = "/minute"
        second = "/second"
        details = { player = "/player/name", in = "/substitution/replacement/name" }
    "#;
    let limits = Limits { nodes: 200_000, ..Limits::default() };
    let mut bed = Bed::within(vec![source("m", reading)], limits).following(&["m/15986"]);
    bed.load("m/15986", std::str::from_utf8(&body).unwrap()).unwrap();
    let stated = stated(&bed);
    let counts = counts(stated);
    assert_eq!((counts["goal"], counts["shot"], counts["substitution"]), (4, 23, 6));
    assert_eq!(counts["period_end"], 4);
    assert_eq!(counts["foul"] + counts["card"], 28 + 2);
    assert_eq!(stated.listing, IncidentListing::Whole);
    assert!(
        stated
            .incidents
            .iter()
            .all(|one| one.side.is_some() && one.source_id.is_some() && one.clock.is_some())
    );
    let goal = stated.incidents.iter().find(|one| one.kind == "goal").unwrap();
    assert!(goal.details["player"].len() > 3 && goal.period.is_some(), "{goal:?}");
    assert!(
        stated.incidents.iter().filter(|one| one.kind == "card").all(|one| one.details.contains_key("color"))
    );
}

/// An object by kind of objects by id, sides as the ids of teams that stand elsewhere, and a list of what is no more.
#[test]
fn a_match_as_objects_by_id() {
    let Some(body) = data::bytes("matches/datafactory_events.json") else { return };
    let reading = r#"
        home = "/match/homeTeamName"
        away = "/match/awayTeamName"
        competition = "/match/competition"
        period = "/status/currentPeriod"
        state = "/status/value"
        states = { Finalizado = "finished" }
        clock = { minute = "/status/currentMinutes" }
        stats = { corners = { home = "/summary/cornerKicks/homeQty", away = "/summary/cornerKicks/awayQty" } }
        events = "/incidences/*"
        [event]
        type = "/type"
        types = { "9" = "goal", "10" = "goal", "11" = "goal", "12" = "goal", "13" = "goal", "3" = "yellow_card", "7" = "substitution", "28" = "corner", "36" = "foul", "46" = "throw_in" }
        side = "/team"
        sides = { "/match/homeTeamId" = "home", "/match/awayTeamId" = "away" }
        period = "/t/half"
        minute = "/t/m"
        second = "/t/s"
        order = "by-clock"
        deleted = "/deletedIncidences"
        details = { player = "/plyrId" }
    "#;
    let mut bed = Bed::new(vec![source("m", reading)]).following(&["m/1"]);
    bed.load("m/1", std::str::from_utf8(&body).unwrap()).unwrap();
    let counts = counts(stated(&bed));
    assert_eq!((counts["goal"], counts["corner"], counts["substitution"], counts["card"]), (6, 8, 5, 3));
    assert_eq!((counts["foul"], counts["throw_in"]), (27, 45));
    assert_eq!(stated(&bed).deleted.len(), 5);
    assert!(stated(&bed).incidents.iter().all(|one| one.side.is_some() && one.source_id.is_some()));
    let document = bed.document();
    assert_eq!((&document["home"], &document["status"]), (&json!("Team A"), &json!("finished")));
    assert_eq!(document["stats"]["corners"], json!({"home": 2, "away": 6}));
    assert_eq!(document["clock"]["running"], false);
}
