//! Matches: what their answers say, what is reported of changes, when they are shown.

use super::*;
use crate::payload::json::DeltaForm;
use touchline_common::model::{IncidentListing, Phase, Register};

fn bed() -> Bed {
    Bed::new(vec![source("match", SPORTS_API)]).following(&["match/15986"])
}

/// The match with the value at a pointer replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut body = sports_match();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn a_match_of_a_sports_api_is_a_document() {
    let mut bed = bed();
    assert_eq!(bed.document(), json!({}), "nothing came");
    bed.load("match/15986", &sports_match().to_string()).unwrap();
    let document = bed.document();
    let mut head = document.clone();
    head.as_object_mut()
        .unwrap()
        .retain(|name, _| !["extra", "markets", "market_order"].contains(&name.as_str()));
    assert_eq!(
        head,
        json!({
            "sport_id": "1", "sport": "soccer", "competition": "Cup", "name": "Reds v Blues", "home": "Reds", "away": "Blues",
            "status": "in_play", "period": "2nd half", "clock": {"seconds": 3_080, "running": true, "down": false},
            "score": {"text": "1-0", "home": 1, "away": 0},
            "stats": {"attendance": 41_000, "corners": {"home": 5, "away": 3}, "possession": {"home": "61%", "away": "39%"}}
        })
    );
    assert_eq!(document["market_order"], json!(["Full time|Full-time", "Next goal|Full-time"]));
    assert_eq!(
        document["markets"]["Full time|Full-time"],
        json!({
            "id": "Full time|Full-time", "name": "Full time", "suspended": false, "extra": {"group": "1X2", "isLive": true},
            "selections": {
                "1": {"id": "1", "name": "1", "odds_text": "1.85", "odds": 1.85, "open": 1.85, "move": 0, "suspended": false, "order": 0,
                    "extra": {"initialDecimal": 2, "winning": null, "change": -1}},
                "X": {"id": "X", "name": "X", "odds_text": "3.400000000000000001", "odds": 3.4, "open": 3.4, "move": 0, "suspended": false,
                    "order": 1, "extra": {"change": 0}}
            }
        })
    );
    let extra = &document["extra"]["match"];
    assert_eq!((&extra["id"], &extra["homeScore"]), (&json!(15_986), &json!({"period1": 1})));
    assert_eq!(extra.get("liveEvents"), None, "they are happenings");
    assert_eq!(extra.get("homeTeam"), None, "nothing of it is left");
    assert_eq!(extra["matchStatistics"][0]["period"], "1ST");
}

#[test]
fn a_load_is_a_base_with_happenings_and_odds() {
    let mut bed = bed();
    bed.load("match/15986", &sports_match().to_string()).unwrap();
    let (registers, values) = &bed.log.bases[0];
    let want = [
        (Register::Score(Side::Home), 1),
        (Register::Score(Side::Away), 0),
        (Register::Corners(Side::Home), 5),
        (Register::Corners(Side::Away), 3),
        (Register::Phase, Phase::playing(2).0),
        (Register::Suspended, 0),
    ];
    assert_eq!(*registers, Registers::from(want));
    assert_eq!(values[..], ["attendance - 41000", "possession home 61%", "possession away 39%"]);
    assert_eq!(bed.log.teams, Some(("Reds".to_owned(), "Blues".to_owned())));
    let odds = [
        "Full time|Full-time",
        "Next goal|Full-time suspended",
        "Full time|Full-time/1 1.85",
        "Full time|Full-time/X 3.4",
        "Next goal|Full-time/1 2",
    ];
    assert_eq!(bed.log.odds_bases, [odds.map(str::to_owned).to_vec()]);
    let [first, stated] = &bed.log.incidents[..] else { panic!("{:?}", bed.log.incidents) };
    assert_eq!(*first, Incidents::default(), "nothing first");
    assert_eq!(stated.listing, IncidentListing::Whole);
    let incidents: Vec<_> = stated
        .incidents
        .iter()
        .map(|one| (one.kind.as_str(), one.side, one.clock, json!(one.details).to_string()))
        .collect();
    assert_eq!(
        incidents,
        [
            ("goal", Some(Side::Home), Some(720), r#"{"player":"Nine"}"#.to_owned()),
            ("card", Some(Side::Away), Some(2_820), r#"{"color":"yellow","player":"Four"}"#.to_owned()),
            ("substitution", Some(Side::Away), Some(2_760), r#"{"in":"A","out":"B"}"#.to_owned()),
        ]
    );
}

#[test]
fn what_changes_is_reported_and_nothing_else() {
    let mut bed = bed();
    bed.load("match/15986", &sports_match().to_string()).unwrap();
    let stated = bed.log.incidents.len();
    bed.delta("match/15986", &sports_match().to_string()).unwrap();
    bed.delta("match/15986", &with("/currentMatchMinute", json!(52))).unwrap();
    assert_eq!((bed.log.touched, bed.log.seen.len(), bed.log.odds.len()), (3, 0, 0));
    bed.delta("match/15986", &with("/awayScore/current", json!(1))).unwrap();
    let goal = RegisterChange { register: Register::Score(Side::Away), value: 1 };
    assert_eq!(bed.log.seen, [(vec![goal], vec![])]);
    bed.delta("match/15986", &sports_match().to_string()).unwrap();
    bed.log.seen.clear();
    bed.delta("match/15986", &with("/venue/attendance", json!(41_001))).unwrap();
    assert_eq!(bed.log.seen, [(vec![], vec!["attendance - 41001".to_owned()])]);
    bed.delta("match/15986", &with("/venue/attendance", json!(null))).unwrap();
    bed.delta("match/15986", &with("/venue/attendance", json!(41_001))).unwrap();
    assert_eq!(bed.log.seen.len(), 1, "what is unknown for a while changes nothing");
    assert_eq!(bed.log.incidents.len(), stated, "the same happenings");
    bed.delta("match/15986", &with("/liveEvents", json!([]))).unwrap();
    assert_eq!(bed.log.incidents[stated].incidents, []);
    bed.delta("match/15986", &with("/liveEvents", json!("n/a"))).unwrap();
    bed.delta("match/15986", &with("/oddsBase/0/choices/0/decimal", json!(1.9))).unwrap();
    bed.delta("match/15986", &with("/oddsBase/1/suspended", json!(false))).unwrap();
    bed.delta(
        "match/15986",
        &with("/oddsBase/1/choices", json!([{"name": "2", "decimal": "3.5", "winning": true}])),
    )
    .unwrap();
    bed.delta("match/15986", &with("/oddsBase", json!([]))).unwrap();
    assert_eq!(
        bed.log.odds,
        [
            "Full time|Full-time/1 1.9 1.9",
            "Full time|Full-time/1 1.85 1.85",
            "Next goal|Full-time resumed",
            "Next goal|Full-time suspended",
            "Next goal|Full-time/2 is 3.5",
            "Next goal|Full-time/1 - ",
            "Full time|Full-time closed",
            "Next goal|Full-time closed",
        ]
    );
    assert_eq!(bed.document().get("markets"), None);
}

#[test]
fn prices_have_an_open_and_a_move_until_the_next_load() {
    let mut bed = bed();
    let one = |price: f64| with("/oddsBase/0/choices/0/decimal", json!(price));
    bed.load("match/15986", &one(2.5)).unwrap();
    bed.delta("match/15986", &one(2.25)).unwrap();
    let selection =
        |bed: &mut Bed| bed.document()["markets"]["Full time|Full-time"]["selections"]["1"].clone();
    let held = selection(&mut bed);
    assert_eq!((&held["odds"], &held["open"], &held["move"]), (&json!(2.25), &json!(2.5), &json!(-1)));
    bed.load("match/15986", &one(2.25)).unwrap();
    let held = selection(&mut bed);
    assert_eq!((&held["open"], &held["move"]), (&json!(2.25), &json!(0)));
}

#[test]
fn a_market_of_another_name_is_another_market() {
    let reading = r#"markets = { list = "/m", name = "/n", selections = "/s", selection_name = "/n", price_text = "/p" }"#;
    let mut bed = Bed::new(vec![source("m", reading)]).following(&["m/1"]);
    bed.load("m/1", r#"{"m":{"a":{"n":"A","s":{"x":{"n":"X","p":"5/4"},"y":{"n":"Y","p":"SP"}}}}}"#).unwrap();
    assert_eq!(bed.log.odds_bases[0], ["a", "a/x 2.25", "a/y -"]);
    bed.document();
    bed.delta("m/1", r#"{"m":{"a":{"n":"B","s":{"x":{"n":"X","p":"5/4"},"y":{"n":"Z","p":"SP"}}}}}"#)
        .unwrap();
    assert_eq!(bed.log.odds, ["a closed", "a open", "a/x is 2.25", "a/y is -"]);
    let document = bed.document();
    assert_eq!((document["markets"]["a"]["name"].as_str(), bed.sections.len()), (Some("B"), 3));
    bed.docs.forget_handles(MatchSlot(0));
    let received = bed.received();
    bed.docs.report(MatchSlot(0), received, &mut bed.log);
    assert_eq!(bed.log.names.len(), 9, "each has another handle");
    assert_eq!(bed.log.odds_bases.len(), 2);
}

#[test]
fn state_and_period_make_the_phase() {
    let reading = r#"
        sport = "/sport"
        state = "/state"
        period = "/period"
        states = { "1" = "in_play", Done = "finished" }
    "#;
    for (body, status, phase) in [
        (json!({"state": "notstarted"}), "not_started", Some(0)),
        (json!({"state": 1}), "in_play", Some(1)),
        (json!({"state": 1, "period": "ht"}), "break", Some(2)),
        (json!({"state": 1, "period": 2}), "in_play", Some(3)),
        (json!({"state": 1, "period": "FT"}), "in_play", None),
        (json!({"state": "halftime", "period": "1st"}), "break", Some(2)),
        (json!({"state": "halftime"}), "break", None),
        (json!({"state": "suspended", "period": "2H"}), "suspended", Some(3)),
        (json!({"state": "done", "period": "2H"}), "finished", Some(1_000)),
        (json!({"state": "canceled"}), "abandoned", Some(1_001)),
        (json!({"state": "?", "period": "2H"}), "in_play", Some(3)),
        (json!({"state": "?"}), "unknown", None),
        (json!({"period": 0}), "unknown", None),
        (json!({"period": 31}), "unknown", None),
        (json!({"sport": "basketball", "period": "HT"}), "break", Some(4)),
        (json!({"sport": "tennis", "period": "2nd set", "state": 1}), "in_play", Some(1)),
        (json!({"state": {"a": 1}, "period": [1]}), "unknown", None),
    ] {
        let mut bed = Bed::new(vec![source("m", reading)]).following(&["m/1"]);
        bed.load("m/1", &body.to_string()).unwrap();
        assert_eq!(bed.document()["status"], status, "{body}");
        assert_eq!(bed.log.bases[0].0.get(&Register::Phase), phase.as_ref(), "{body}");
    }
}

#[test]
fn a_document_has_all_under_extra_and_its_name() {
    let sources = || vec![source("catalogue", ""), source("titled", r#"title = "/info/title""#)];
    let mut bed = Bed::new(sources()).following(&["catalogue"]);
    bed.load("catalogue", r#"{"courses":[{"id":1,"seats":12345678901234567890123,"gone":{}},[]]}"#).unwrap();
    assert_eq!(bed.docs.name(MatchSlot(0)).as_deref(), Some("catalogue"));
    let mut sections = Vec::new();
    bed.docs.render_whole(MatchSlot(0), &mut bed.log, &mut sections);
    let tail = sections.into_iter().find(|section| section.key == SectionKey::Tail).unwrap().body.unwrap();
    let want =
        r#""extra":{"catalogue":{"courses":[{"id":1,"seats":12345678901234567890123,"gone":{}},[]]}}}"#;
    assert!(tail.ends_with(want), "{tail}");
    let mut bed = Bed::new(sources()).following(&["titled"]);
    bed.load("titled", r#"{"info":{"title":"Courses"},"n":1}"#).unwrap();
    assert_eq!(
        bed.document(),
        json!({"name": "Courses", "status": "unknown", "market_order": [], "extra": {"titled": {"n": 1}}})
    );
    let mut bed = Bed::new(vec![source("m", "extra = \"drop\"")]).following(&["m/1"]);
    bed.load("m/1", "[1]").unwrap();
    assert_eq!(bed.document(), json!({"status": "unknown", "market_order": []}));
    assert_eq!(bed.log.incidents, [], "nothing states happenings");
}

#[test]
fn an_answer_that_is_a_list_of_markets_keeps_what_is_none_under_extra() {
    let reading = r#"state = "/about/state"
        markets = { list = "", id = "/0/id", selections = "", selection_id = "/id", price = "/ltp" }"#;
    let mut bed = Bed::new(vec![source("m", reading)]).following(&["m/1"]);
    let body = r#"{"id":"1.2","about":{"state":"live","delay":5},"zc":7,"rc":[{"id":31,"ltp":1.5,"atb":[[1.4,20]]},{"id":32,"ltp":3}]}"#;
    bed.load("m/1", body).unwrap();
    let document = bed.document();
    assert_eq!(document["extra"], json!({"m": {"id": "1.2", "about": {"delay": 5}, "zc": 7}}));
    assert_eq!(document["markets"].as_object().unwrap().len(), 1, "{document}");
    let selections = &document["markets"]["31"]["selections"];
    assert_eq!(
        (selections["31"]["odds"].as_f64(), selections["32"]["odds"].as_f64()),
        (Some(1.5), Some(3.0))
    );
    assert_eq!(selections["31"]["extra"], json!({"atb": [[1.4, 20]]}));
}

#[test]
fn a_match_of_several_requests_is_shown_as_each_comes_or_when_all_are_there() {
    let sources = |join| {
        let mut sources = vec![
            source("head", r#"score = { home = "/h", away = "/a" }"#),
            source("more", "stats = { fans = \"/fans\" }\nscore = { home = \"/h\", away = \"/a\" }"),
        ];
        sources[1].join = join;
        sources
    };
    let mut bed = Bed::new(sources(Join::Each)).following(&["head/1", "more/1"]);
    bed.load("more/1", r#"{"fans":7,"h":9,"a":9}"#).unwrap();
    assert!(bed.docs.is_live(MatchSlot(0)));
    assert_eq!(bed.document()["score"]["text"], "9-9");
    bed.load("head/1", r#"{"h":1,"a":0}"#).unwrap();
    assert_eq!((bed.document()["score"]["text"].as_str(), bed.log.bases.len()), (Some("1-0"), 2));
    assert_eq!(bed.document()["stats"], json!({"fans": 7}));

    let mut bed = Bed::new(sources(Join::All)).following(&["head/1", "more/1"]);
    bed.load("head/1", r#"{"h":1,"a":0}"#).unwrap();
    assert!(!bed.docs.is_live(MatchSlot(0)));
    assert_eq!((bed.document(), bed.log.bases.len()), (json!({}), 0));
    bed.delta("head/1", r#"{"h":2,"a":0}"#).unwrap();
    assert_eq!((bed.log.bases.len(), bed.log.seen.len()), (0, 0));
    bed.load("more/1", r#"{"fans":7}"#).unwrap();
    assert_eq!((bed.document()["score"]["text"].as_str(), bed.log.bases.len()), (Some("2-0"), 1));
    assert_eq!((bed.docs.is_loaded(b"head/1"), bed.docs.is_loaded(b"head/2")), (true, false));
    let received = bed.received();
    assert_eq!(bed.docs.topic_removed(b"more/1", received, &mut bed.log), Ok(Some(MatchSlot(0))));
    assert!(!bed.docs.is_live(MatchSlot(0)));
}

#[test]
fn the_list_fills_what_answers_lack() {
    let mut bed = Bed::new(vec![source("m", r#"score = { home = "/h", away = "/a" }"#)]).following(&["m/1"]);
    bed.load("m/1", r#"{"h":1,"a":0}"#).unwrap();
    let listing = Listing { name: Some("A v B".into()), sport_id: Some("1".into()), ..Listing::default() };
    let received = bed.received();
    bed.docs.set_listing(MatchSlot(0), listing, received, &mut bed.log);
    assert_eq!(bed.log.bases.len(), 2, "the score means something else now");
    assert_eq!(bed.log.teams, Some(("A".to_owned(), "B".to_owned())));
    let document = bed.document();
    assert_eq!((&document["sport"], &document["away"]), (&json!("soccer"), &json!("B")));
}

#[test]
fn after_a_loss_a_load_is_a_base_and_an_audit_says_what_differs() {
    let mut bed = bed();
    bed.load("match/15986", &sports_match().to_string()).unwrap();
    bed.docs.connection_lost();
    bed.load("match/15986", &sports_match().to_string()).unwrap();
    assert_eq!((bed.log.bases.len(), bed.log.incidents.len()), (2, 4));
    let received = bed.received();
    let mut audit =
        |body: &str| bed.docs.audit(b"match/15986", body.as_bytes(), received, &mut bed.log).unwrap();
    assert_eq!(audit(&sports_match().to_string()).map(|differing| differing.nodes), Some(0));
    assert_eq!(audit(&with("/status", json!("finished"))).map(|differing| differing.nodes), Some(1));
    assert_eq!(bed.log.bases.len(), 3);
}

#[test]
fn a_market_that_a_bookmaker_has_no_more_is_closed_with_the_delta_that_leaves_it_out() {
    let reading = r#"markets = { list = "/odds/*/markets", selections = "/stakes", price = "/factor" }"#;
    let replaced = vec!["/odds/*".parse().unwrap()];
    let source = Source { delta: DeltaForm::DeepMerge(replaced), ..source("m", reading) };
    let mut bed = Bed::new(vec![source]).following(&["m/1"]);
    let book = |keys: &[&str]| {
        let market = |key: &&str| ((*key).to_owned(), json!({"stakes": {"1": {"factor": 1.5}}}));
        json!({"markets": keys.iter().map(market).collect::<Map<String, Value>>()})
    };
    bed.load("m/1", &json!({"odds": {"a": book(&["x", "y"]), "b": book(&["z"])}}).to_string()).unwrap();
    let order = |bed: &mut Bed| bed.document()["market_order"].clone();
    assert_eq!(order(&mut bed), json!(["x", "y", "z"]));
    bed.delta("m/1", &json!({"odds": {"a": book(&["y"])}}).to_string()).unwrap();
    assert_eq!(bed.log.odds, ["x closed"]);
    assert_eq!(order(&mut bed), json!(["y", "z"]), "the other bookmaker's stands");
    let document = bed.document();
    assert_eq!(document["markets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["y", "z"]);
}
