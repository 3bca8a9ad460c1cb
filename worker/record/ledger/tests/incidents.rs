//! Single happenings that a source states, as events of the ledger.

use super::*;
use crate::record::ledger::incidents::{
    Bounds, Incident, Listing, MAX_DELETED, Ordering, StatedClock, Statement,
};
use std::collections::BTreeMap;

mod saved;

fn foul(player: Option<&str>) -> Incident {
    let details = player.map(|player| ("player".to_owned(), player.to_owned()));
    Incident {
        kind: EventType::Foul,
        source_id: Some("7".to_owned()),
        side: Some(Side::Home),
        period: Some(1),
        clock: Some(StatedClock::new(12, 30)),
        feed_at: Some(49),
        details: BTreeMap::from_iter(details),
    }
}

fn state(ledger: &mut Ledger, epoch: u64, incidents: &[Incident], deleted: &[String]) -> Outcome {
    let report = Report { n: 9, epoch: Epoch(epoch), clock: None, at: 50, version: 3 };
    let statement = Statement {
        listing: Listing::Single,
        ordering: Ordering::AsSent,
        most: MOST,
        incidents,
        deleted,
        unknown: 0,
    };
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
    assert_eq!((event.order, event.late, event.feed_at), (before + ORDER_STEP, false, Some(49)));
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

const MOST: usize = Bounds::DEFAULT.most;
const CLOCKED: Ordering = Ordering::ByClock { held: 4, wait: Duration::from_secs(5) };

fn goal(id: &str, side: Side, minute: u16, player: &str) -> Incident {
    Incident {
        kind: EventType::Goal,
        source_id: Some(id.to_owned()),
        side: Some(side),
        clock: Some(StatedClock::new(minute, 0)),
        ..foul(Some(player))
    }
}

impl Rig {
    fn state(&mut self, listing: Listing, incidents: &[Incident], deleted: &[&str]) -> &mut Rig {
        self.n += 1;
        let deleted: Vec<String> = deleted.iter().map(ToString::to_string).collect();
        let report =
            Report { n: self.n, epoch: self.ledger.epoch().unwrap(), clock: None, at: self.wall, version: 4 };
        let statement =
            Statement { listing, ordering: CLOCKED, most: MOST, incidents, deleted: &deleted, unknown: 0 };
        self.give(&Input::Incidents { report, statement })
    }

    fn stated(&mut self, incidents: &[Incident]) -> &mut Rig {
        self.state(Listing::Single, incidents, &[])
    }

    /// The newest revision of each that stands, without the phases.
    fn standing(&self) -> Vec<&NewEvent> {
        let mut newest: Vec<&NewEvent> = Vec::new();
        for event in self.live() {
            let before = newest.iter_mut().find(|before| before.id == event.id);
            match before {
                Some(before) => *before = event,
                None => newest.push(event),
            }
        }
        newest.retain(|event| !matches!(event.kind, EventType::MatchListed | EventType::MatchStarted));
        newest
    }
}

fn player(event: &NewEvent) -> Option<&str> {
    match &event.payload {
        Payload::Detailed { details, .. } | Payload::Incident(details) => {
            details.get("player").map(String::as_str)
        }
        _ => None,
    }
}

#[test]
fn an_incident_tells_more_of_the_registers_goal_and_is_none_itself() {
    let mut rig = Rig::soccer();
    rig.stated(&[]).obs(1, &[(HOME, 1)]);
    let first = rig.last[0].clone();
    rig.stated(&[goal("a", Side::Home, 12, "Bold")]);
    let [revised] = &rig.last[..] else { panic!("{:?}", rig.last) };
    assert_eq!((revised.id, revised.revision, revised.order), (first.id, 1, first.order));
    assert_eq!((revised.clock, revised.score, player(revised)), (Some(720), Some((1, 0)), Some("Bold")));
    assert!(rig.stated(&[goal("a", Side::Home, 12, "Bold")]).last.is_empty(), "a copy");
    rig.state(Listing::Single, &[], &["a"]);
    let [bare] = &rig.last[..] else { panic!("{:?}", rig.last) };
    assert_eq!((bare.revision, &bare.payload, bare.clock), (2, &first.payload, first.clock));
}

#[test]
fn an_incident_that_comes_first_waits_for_the_register() {
    let mut rig = Rig::soccer();
    assert!(rig.stated(&[goal("a", Side::Away, 12, "Bold")]).last.is_empty());
    assert!(rig.wait(Duration::from_secs(20)).last.is_empty());
    rig.obs(1, &[(AWAY, 1)]);
    assert_eq!(rig.kinds(), ["goal", "goal"]);
    assert_eq!(
        (rig.last[1].id, rig.last[1].revision, player(&rig.last[1])),
        (rig.last[0].id, 1, Some("Bold"))
    );
    rig.obs(1, &[(AWAY, 0)]).obs(1, &[(AWAY, 1)]);
    let [standing] = &rig.standing()[..] else { panic!("{:?}", rig.standing()) };
    assert_eq!(player(standing), Some("Bold"), "the goal that is given again");
}

#[test]
fn a_late_incident_moves_what_the_goals_behind_it_say() {
    let mut rig = Rig::soccer();
    rig.stated(&[]).obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 2)]);
    rig.stated(&[goal("b", Side::Home, 30, "Short")]).stated(&[goal("a", Side::Home, 12, "Bold")]);
    assert_eq!(
        rig.standing().iter().map(|event| player(event)).collect::<Vec<_>>(),
        [Some("Bold"), Some("Short")]
    );
}

#[test]
fn goals_before_the_first_load_are_counted_in_a_whole_list_alone() {
    let all = [goal("a", Side::Home, 12, "Bold"), goal("b", Side::Home, 30, "Short")];
    for (listing, stated) in [(Listing::Whole, &all[..]), (Listing::Single, &all[1..])] {
        let mut rig = Rig::new("soccer", Scoring::Goals);
        rig.base(1, W1, &[(HOME, 1), (AWAY, 0), (Register::Phase, 1)]);
        rig.state(Listing::Single, &[], &[]).obs(1, &[(HOME, 2)]).state(listing, stated, &[]);
        assert_eq!(rig.standing().iter().map(|event| player(event)).collect::<Vec<_>>(), [Some("Short")]);
    }
}

#[test]
fn an_event_of_its_own_gives_way_to_a_register_that_comes_to_be_known() {
    let corner = Incident { kind: EventType::Corner, ..goal("a", Side::Home, 3, "Bold") };
    let corners = Register::Corners(Side::Home);
    let mut rig = Rig::soccer();
    rig.stated(&[corner]).wait(Duration::from_secs(10));
    assert_eq!(rig.kinds(), ["corner"], "no register tells corners");
    rig.obs(1, &[(corners, 0)]).obs(1, &[(corners, 1)]);
    let [corner] = &rig.standing()[..] else { panic!("{:?}", rig.standing()) };
    assert_eq!((player(corner), corner.revision), (Some("Bold"), 1));
}

#[test]
fn a_found_goal_keeps_its_score_and_cards_are_told_by_colour() {
    let mut rig = Rig::soccer();
    rig.stated(&[]);
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 6 });
    let red = Register::RedCards(Side::Home);
    rig.base(1, W1, &[(HOME, 1), (AWAY, 1), (Register::Phase, 1), (red, 0)]);
    let mut card = Incident { kind: EventType::Card, ..goal("c", Side::Home, 13, "Bold") };
    rig.stated(&[goal("a", Side::Home, 12, "Bold"), card.clone()]).obs(1, &[(red, 1)]);
    let scores: Vec<_> =
        rig.standing().iter().filter(|e| e.kind == EventType::Goal).map(|e| e.score).collect();
    assert_eq!(scores, [None, Some((1, 1))]);
    assert_eq!(rig.kinds(), ["card"], "of which colour it is not known");
    card.details.insert("color".to_owned(), "red".to_owned());
    rig.stated(&[card]);
    assert_eq!(
        rig.last[0].payload,
        Payload::detailed(Payload::Card { color: Color::Red, n: 1 }, rig_details())
    );
}

fn rig_details() -> BTreeMap<String, String> {
    BTreeMap::from([("player".to_owned(), "Bold".to_owned())])
}

mod any_order {
    use super::*;
    use proptest::prelude::*;

    fn happening() -> impl Strategy<Value = Incident> {
        let kind = prop::sample::select(vec![EventType::Goal, EventType::Foul]);
        let id = prop::option::of(0u8..6);
        let one = (kind, id, any::<bool>(), 0u16..4, prop::option::of(0u8..3), any::<bool>());
        one.prop_map(|(kind, id, home, minute, player, untimed)| {
            // What an id names has its type and time; who it was may be edited.
            let (kind, minute) = match id {
                Some(id) if id % 2 == 0 => (EventType::Goal, u16::from(id)),
                Some(id) => (EventType::Foul, u16::from(id)),
                None => (kind, minute),
            };
            let player = player.map(|player| ("player".to_owned(), player.to_string()));
            Incident {
                kind,
                source_id: id.map(|id| id.to_string()),
                side: Some(if home && id.is_none() { Side::Home } else { Side::Away }),
                period: Some(1),
                clock: Some(StatedClock::new(minute, 0)).filter(|_| !(untimed && id.is_none())),
                feed_at: None,
                details: player.into_iter().collect(),
            }
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        State(Listing, Vec<Incident>),
        Delete(u8),
        Wait,
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        let listing = prop::sample::select(vec![Listing::Single, Listing::Window, Listing::Whole]);
        prop_oneof![
            4 => (listing, prop::collection::vec(happening(), 0..6)).prop_map(|(l, all)| Step::State(l, all)),
            1 => (0u8..6).prop_map(Step::Delete),
            1 => Just(Step::Wait),
            1 => Just(Step::Restart),
        ]
    }

    type Name = (EventType, Option<String>, Option<Side>, Option<u32>);

    proptest! {
        /// Whatever was stated, edited, deleted and forgotten before: a whole list is what stands after it.
        #[test]
        fn a_whole_list_is_what_stands(
            steps in prop::collection::vec(step(), 0..12),
            list in prop::collection::vec(happening(), 0..8),
        ) {
            let mut rig = Rig::new("soccer", Scoring::Goals);
            rig.base(1, W1, &[(Register::Phase, 1)]);
            let (mut came, mut gone) = (HashSet::new(), HashSet::new());
            for step in steps.into_iter().chain([Step::State(Listing::Whole, list.clone()), Step::Wait]) {
                match step {
                    Step::State(listing, all) => {
                        let ids = all.iter().filter_map(|one| one.source_id.clone());
                        came.extend(ids.filter(|id| !gone.contains(id)));
                        rig.state(listing, &all, &[]);
                    }
                    Step::Delete(id) => {
                        let id = id.to_string();
                        if !came.contains(&id) {
                            gone.insert(id.clone());
                        }
                        rig.state(Listing::Single, &[], &[&id]);
                    }
                    Step::Wait => _ = rig.wait(Duration::from_secs(10)),
                    Step::Restart => {
                        rig.restart(Owner::Alive);
                        rig.attach(W1);
                    }
                }
            }
            let mut want: Vec<Name> = Vec::new();
            for one in list {
                let clock = one.clock.map(|clock| clock.0);
                let name = (one.kind, one.source_id.clone(), one.side, clock);
                let is_gone = one.source_id.as_ref().is_some_and(|id| gone.contains(id));
                if !is_gone && (one.source_id.is_none() || !want.contains(&name)) {
                    want.push(name);
                }
            }
            let mut want: Vec<_> = want.into_iter().map(|(kind, _, side, clock)| (kind, side, clock)).collect();
            let standing = rig.standing();
            let mut told: Vec<_> = standing.iter().map(|event| (event.kind, event.side, event.clock)).collect();
            want.sort();
            told.sort();
            prop_assert_eq!(told, want);
            let rows: HashSet<_> = rig.all.iter().filter(|e| e.retracts.is_none()).map(|e| (e.id, e.revision)).collect();
            prop_assert_eq!(rows.len(), rig.all.iter().filter(|e| e.retracts.is_none()).count(), "each row is another");
            let mut by_order = rig.standing();
            by_order.sort_by_key(|event| event.order);
            prop_assert!(by_order.is_sorted_by(|one, other| one.order < other.order));
            let mut score = (0, 0);
            for goal in by_order.iter().filter(|event| event.kind == EventType::Goal) {
                if goal.side == Some(Side::Home) { score.0 += 1 } else { score.1 += 1 }
                prop_assert_eq!(goal.score, Some(score));
            }
        }

        /// Whatever the score was and the source stated before: as many goals stand as the registers say, and the n-th of a
        /// side says what the whole list's n-th states.
        #[test]
        fn goals_are_the_registers_and_say_what_the_list_states(
            steps in prop::collection::vec((step(), 0i64..5, any::<bool>()), 0..12),
            list in prop::collection::vec(happening(), 0..8),
            score in (0i64..5, 0i64..5),
        ) {
            let named = |one: &Incident| one.source_id.is_some();
            let list: Vec<Incident> = list.into_iter().filter(named).collect();
            let mut rig = Rig::soccer();
            rig.stated(&[]);
            for (step, value, home) in steps {
                match step {
                    Step::State(listing, all) => _ = rig.state(listing, &all, &[]),
                    Step::Delete(id) => _ = rig.state(Listing::Single, &[], &[&(id + 10).to_string()]),
                    Step::Wait => _ = rig.wait(Duration::from_secs(10)),
                    Step::Restart => {
                        rig.restart(Owner::Alive);
                        rig.attach(W1);
                    }
                }
                rig.obs(1, &[(if home { HOME } else { AWAY }, value)]);
            }
            rig.state(Listing::Whole, &list, &[]).obs(1, &[(HOME, score.0), (AWAY, score.1)]);
            rig.wait(Duration::from_secs(10));
            let standing = rig.standing();
            let goals: Vec<_> = standing.iter().filter(|event| event.kind == EventType::Goal).collect();
            for (side, count) in [(Side::Home, score.0), (Side::Away, score.1)] {
                let of: BTreeMap<i64, &NewEvent> = goals
                    .iter()
                    .filter(|goal| goal.side == Some(side))
                    .map(|goal| match &goal.payload {
                        Payload::Count { n } | Payload::Detailed { n: Some(n), .. } => (*n, **goal),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                prop_assert_eq!(goals.iter().filter(|goal| goal.side == Some(side)).count() as i64, count);
                prop_assert_eq!(of.keys().copied().collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
                let mut stated: Vec<&Incident> = list
                    .iter()
                    .filter(|one| one.kind == EventType::Goal && one.side == Some(side))
                    .collect();
                stated.sort_by_key(|one| one.clock);
                stated.dedup_by_key(|one| one.clock);
                for (n, one) in (1..).zip(stated).take_while(|(n, _)| *n <= count) {
                    prop_assert_eq!(of[&n].clock, one.clock.map(|clock| clock.0));
                }
            }
            let rows: HashSet<_> = rig.all.iter().map(|event| (event.id, event.revision)).collect();
            prop_assert_eq!(rows.len(), rig.all.len(), "each row is another");
        }

        /// However registers and incidents come in between each other, there are as many goals as the registers say, and
        /// each says what the incident of its number states.
        #[test]
        fn each_goal_is_told_once(
            sides in prop::collection::vec(any::<bool>(), 1..8),
            keys in prop::collection::vec(any::<u16>(), 8),
            restart in 0usize..8,
        ) {
            let side = |home: &bool| if *home { Side::Home } else { Side::Away };
            let mut all: Vec<(u16, Incident)> = sides.iter().zip(1u16..).zip(&keys)
                .map(|((home, n), key)| (*key, goal(&n.to_string(), side(home), 10 * n, &format!("p{n}")))).collect();
            all.sort_by_key(|(key, _)| *key);
            let mut rig = Rig::soccer();
            rig.stated(&[]);
            for (place, (home, (key, incident))) in sides.iter().zip(&all).enumerate() {
                if restart == place {
                    rig.restart(Owner::Alive);
                    rig.attach(W1);
                }
                if key % 2 == 0 {
                    rig.stated(std::slice::from_ref(incident));
                }
                let register = Register::Score(side(home));
                let value = sides[..=place].iter().filter(|other| *other == home).count() as i64;
                rig.obs(1, &[(register, value)]);
                if key % 2 == 1 {
                    rig.stated(std::slice::from_ref(incident));
                }
            }
            let told: Vec<(Option<Side>, Option<&str>)> =
                rig.standing().into_iter().map(|event| (event.side, player(event))).collect();
            let names: Vec<String> = (1..=sides.len()).map(|n| format!("p{n}")).collect();
            let want: Vec<_> = sides.iter().zip(&names).map(|(home, name)| (Some(side(home)), Some(name.as_str()))).collect();
            prop_assert_eq!(told, want);
        }
    }
}

#[test]
fn a_restart_in_the_middle() {
    let foul = |player: &str| foul(Some(player));
    let mut rig = Rig::soccer();
    rig.stated(&[foul("Bold")]).wait(Duration::from_secs(10)).stated(&[foul("Short")]);
    let [before] = &rig.standing()[..] else { panic!("{:?}", rig.standing()) };
    let (id, order) = (before.id, before.order);
    rig.restart(Owner::Alive);
    rig.attach(W1);
    assert!(rig.stated(&[foul("Short")]).last.is_empty(), "a copy");
    rig.stated(&[foul("Long")]);
    assert_eq!((rig.last[0].id, rig.last[0].revision, rig.last[0].order), (id, 2, order));
    rig.state(Listing::Whole, &[], &[]);
    assert_eq!(rig.last[0].retracts, Some(id), "what a whole list lacks");
    rig.restart(Owner::Alive);
    rig.attach(W1).stated(&[foul("Long")]).wait(Duration::from_secs(10));
    assert_eq!((rig.kinds(), rig.last[0].revision), (vec!["foul"], 0));
    assert_ne!(rig.last[0].id, id, "it was taken back before");
}

#[test]
fn what_is_held_outlives_a_restart() {
    let mut rig = Rig::soccer();
    assert!(rig.stated(&[foul(None)]).last.is_empty());
    rig.restart(Owner::Alive);
    rig.attach(W1).wait(Duration::from_secs(20));
    assert_eq!(rig.kinds(), ["foul"]);
}

#[test]
fn a_deletion_before_its_incident_is_remembered() {
    let mut rig = Rig::soccer();
    rig.state(Listing::Single, &[], &["7"]);
    rig.restart(Owner::Alive);
    rig.attach(W1).stated(&[foul(None)]).wait(Duration::from_secs(20));
    assert!(rig.standing().is_empty());
    let later: Vec<String> = (0..MAX_DELETED).map(|n| format!("other {n}")).collect();
    rig.state(Listing::Single, &[], &later.iter().map(String::as_str).collect::<Vec<_>>());
    rig.stated(&[foul(None)]).wait(Duration::from_secs(20));
    assert_eq!(rig.standing().len(), 1, "a bounded number");
}

fn mismatches(rig: &Rig) -> Vec<Payload> {
    rig.of(EventType::Mismatch).into_iter().map(|event| event.payload.clone()).collect()
}

fn differs(value: i64, incidents: i64, healed: bool) -> Payload {
    Payload::Differs { register: "Score(Home)".to_owned(), value, incidents, healed }
}

#[test]
fn a_difference_is_told_once_and_once_more_when_it_heals() {
    let mut rig = Rig::soccer();
    rig.stated(&[goal("a", Side::Home, 12, "Bold")]).obs(1, &[(HOME, 1)]).obs(1, &[(HOME, 2)]);
    assert!(rig.wait(Duration::from_secs(29)).last.is_empty(), "an incident may be behind");
    assert!(rig.ledger.deadline().is_some());
    rig.wait(Duration::from_secs(2)).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), [differs(2, 1, false)]);
    rig.restart(Owner::Alive);
    rig.attach(W1).wait(Duration::from_secs(60)).obs(1, &[(HOME, 3)]).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig).len(), 1, "it was told");
    rig.stated(&[goal("b", Side::Home, 20, "Short"), goal("c", Side::Home, 30, "Long")]);
    assert_eq!(mismatches(&rig)[1..], [differs(3, 3, true)]);
    rig.state(Listing::Single, &[], &["a", "b", "c"])
        .wait(Duration::from_secs(1))
        .wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig)[2..], [differs(3, 0, false)]);
    let ids: HashSet<_> = rig.of(EventType::Mismatch).iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn nothing_is_compared_that_is_behind_or_cannot_be_counted() {
    let mut rig = Rig::soccer();
    rig.stated(&[goal("a", Side::Home, 12, "Bold")]).wait(Duration::from_secs(20)).obs(1, &[(HOME, 1)]);
    rig.wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), [], "it came in time");
    // In a gap, and while a lower score waits to be believed.
    rig.give(&Input::End { epoch: Epoch(1), why: EndReason::ConnectionLost, at: 6 });
    rig.wait(Duration::from_secs(60));
    rig.base(1, W1, &[(HOME, 0), (AWAY, 0), (Register::Phase, 1)]).wait(Duration::from_secs(1));
    assert_eq!(mismatches(&rig), []);
    rig.obs(1, &[(HOME, 1)]).wait(Duration::from_secs(60)).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), []);
    let whose = Incident { side: None, ..goal("b", Side::Home, 20, "Short") };
    rig.stated(&[whose]).wait(Duration::from_secs(1)).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), [], "whose goal it was is not known");
}

#[test]
fn types_that_no_incident_states_are_not_compared() {
    let corners = Register::Corners(Side::Home);
    let mut rig = Rig::soccer();
    rig.obs(1, &[(corners, 0)]).state(Listing::Whole, &[], &[]).obs(1, &[(corners, 3)]);
    rig.wait(Duration::from_secs(1)).wait(Duration::from_secs(60));
    assert_eq!(mismatches(&rig), []);
}

#[test]
fn what_a_candidate_states_is_told_once_it_is_adopted() {
    let unnamed =
        |minute| Incident { source_id: None, clock: Some(StatedClock::new(minute, 0)), ..foul(Some("Bold")) };
    let by_candidate = |rig: &mut Rig, listing, incidents: &[Incident]| {
        rig.n += 1;
        let report = Report { n: rig.n, epoch: Epoch(2), clock: None, at: rig.wall, version: 4 };
        let statement =
            Statement { listing, ordering: CLOCKED, most: MOST, incidents, deleted: &[], unknown: 0 };
        rig.give(&Input::Incidents { report, statement });
        assert!(rig.last.is_empty());
    };
    let mut rig = Rig::soccer();
    rig.state(Listing::Whole, &[unnamed(1), unnamed(2)], &[]).wait(Duration::from_secs(10));
    let base = START;
    rig.base(2, W2, &base);
    for _ in 0..100 {
        by_candidate(&mut rig, Listing::Single, &[unnamed(7)]);
    }
    by_candidate(&mut rig, Listing::Whole, &[unnamed(2), unnamed(3)]);
    by_candidate(&mut rig, Listing::Single, &[unnamed(4)]);
    rig.switch(2, Owner::Alive).gone(W1).wait(Duration::from_secs(10));
    assert_eq!(rig.switched, Some(Epoch(2)));
    let clocks: Vec<_> =
        rig.standing().iter().filter(|e| e.kind == EventType::Foul).map(|e| e.clock).collect();
    assert_eq!(clocks, [Some(120), Some(180), Some(240)]);
    assert_eq!(rig.refused, 0);
}

#[test]
fn the_feeds_bounds_hold_from_the_next_statement_on() {
    let mut rig = Rig::soccer();
    let foul = |id: &str, minute| Incident {
        source_id: Some(id.to_owned()),
        clock: Some(StatedClock::new(minute, 0)),
        ..foul(None)
    };
    assert!(rig.stated(&[foul("a", 1), foul("b", 2)]).last.is_empty(), "both wait");
    let report = Report { n: 99, epoch: Epoch(1), clock: None, at: rig.wall, version: 4 };
    let ordering = Ordering::ByClock { held: 1, wait: Duration::from_secs(5) };
    let incidents = [foul("c", 3), foul("d", 4)];
    let statement = Statement {
        listing: Listing::Single,
        ordering,
        most: 3,
        incidents: &incidents,
        deleted: &[],
        unknown: 0,
    };
    rig.give(&Input::Incidents { report, statement });
    let clocks: Vec<Option<u32>> = rig.last.iter().map(|event| event.clock).collect();
    assert_eq!(clocks, [Some(60), Some(120)], "one waits, and one is more than is kept");
}
