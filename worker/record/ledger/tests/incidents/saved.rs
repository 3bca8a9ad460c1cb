//! Incidents as the store keeps them, and what a commit writes of them.

use super::*;

/// A held foul, a goal that tells more of the register's, and an id that was deleted before it came.
fn golden() -> Rig {
    let mut rig = Rig::soccer();
    rig.stated(&[foul(None)]).stated(&[goal("a", Side::Home, 12, "Bold")]).obs(1, &[(HOME, 1)]);
    rig.state(Listing::Single, &[], &["9"]);
    rig
}

fn incidents_of(rig: &Rig) -> &str {
    rig.text.split_once(r#","incidents":"#).unwrap().1
}

#[test]
fn golden_incidents() {
    let mut rig = golden();
    assert_eq!(incidents_of(&rig), GOLDEN_INCIDENTS, "a changed form needs a new version");
    let parts: Vec<(&str, &str)> =
        rig.parts.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    assert_eq!(parts, GOLDEN_PARTS);
    let before = rig.ledger.clone();
    rig.restart(Owner::Alive);
    assert_eq!(rig.ledger.save().unwrap(), before.save().unwrap());
}

const GOLDEN_INCIDENTS: &str = r#"{"held":[4,5000],"base":[[{"Score":"home"},0],[{"Score":"away"},0],["Phase",1]],"deleted":["9"],"arrived":2,"refused":0,"differences":[],"differences_told":0}}"#;

const GOLDEN_PARTS: [(&str, &str); 3] = [
    (
        "incident:0",
        r#"{"incident":{"kind":"foul","source_id":"7","side":"home","period":1,"clock":750,"feed_at":49,"details":{}},"state":"held","named_by":["home",1,750,0],"k":0,"revision":0,"place":[1,750,0],"order":0,"late":false,"score":null}"#,
    ),
    (
        "incident:1",
        r#"{"incident":{"kind":"goal","source_id":"a","side":"home","period":1,"clock":720,"feed_at":49,"details":{"player":"Bold"}},"state":"beside","named_by":["home",1,720,0],"k":0,"revision":0,"place":[1,720,0],"order":0,"late":false,"score":null}"#,
    ),
    (
        r#"step:["goal",0,"home",0,1]"#,
        r#"{"step":["goal",0,"home",0,1],"clock":125,"period":"first_half","at":7,"epoch":1,"version":4,"order":3145728,"score":[1,0],"recovered":false,"revision":1,"shown":{"kind":"goal","source_id":"a","side":"home","period":1,"clock":720,"feed_at":49,"details":{"player":"Bold"}}}"#,
    ),
];

#[test]
fn incidents_of_the_third_form_are_read_and_become_parts() {
    let mut rig = golden();
    let third = incidents_of(&rig).replacen(
        r#""base""#,
        &format!(
            r#""slots":[{},{}],"steps":[{}],"base""#,
            GOLDEN_PARTS[0].1, GOLDEN_PARTS[1].1, GOLDEN_PARTS[2].1
        ),
        1,
    );
    rig.text = rig.text.replace(incidents_of(&rig), &third);
    let parts = std::mem::take(&mut rig.parts);
    rig.restart(Owner::Alive);
    rig.commit();
    assert_eq!(rig.parts, parts);
    assert_eq!(incidents_of(&rig), GOLDEN_INCIDENTS);
}

#[test]
fn a_part_that_is_missing_is_no_ledger() {
    let rig = golden();
    let parts = [("incident:1".to_owned(), rig.parts["incident:1"].clone())];
    let fresh = Ledger::new("inplay", "M1", SETTLE);
    let error = fresh.restored(&rig.text, &parts, 0, Owner::Dead).unwrap_err();
    assert!(error.to_string().contains("incident:0 is missing"), "{error}");
}

#[test]
fn a_commit_writes_the_incidents_that_changed_however_many_there_are() {
    let mut rig = Rig::soccer();
    rig.stated(&[goal("a", Side::Home, 12, "Bold")]).obs(1, &[(HOME, 1)]);
    let numbered = |n: i32, player| Incident { source_id: Some(n.to_string()), ..foul(Some(player)) };
    let all: Vec<Incident> = (0..1_000).map(|n| numbered(n, "Bold")).collect();
    all.iter().for_each(|one| drop(rig.stated(std::slice::from_ref(one)).last.clone()));
    rig.wait(Duration::from_secs(20));
    assert_eq!(rig.parts.len(), 1_002, "each, the goal and its step");
    let mut ledger = rig.ledger.clone();
    assert!(state(&mut ledger, 1, &all, &[]).events.is_empty(), "copies");
    assert!(ledger.save().unwrap().parts.is_empty());
    assert_eq!(state(&mut ledger, 1, &[numbered(7, "Short")], &[]).events.len(), 1);
    let saved = ledger.save().unwrap();
    assert_eq!(saved.parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["incident:8"]);
    assert!(saved.text.len() < 2_000, "{}", saved.text.len());
    rig.restart(Owner::Alive);
    for n in [0, 500, 999] {
        rig.attach(W1).stated(&[numbered(n, "Short")]);
        assert_eq!(rig.last[0].revision, 1, "the oldest, too");
    }
    rig.stated(&[goal("a", Side::Home, 12, "Short")]);
    assert_eq!((rig.last[0].kind, rig.last[0].revision), (EventType::Goal, 2));
    rig.wait(Duration::from_secs(1)).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), []);
}
