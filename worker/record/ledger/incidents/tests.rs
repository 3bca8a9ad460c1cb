use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

const STEP: i64 = super::super::ORDER_STEP;

struct Rig {
    incidents: Incidents,
    now: Instant,
    order: i64,
    told: Vec<Telling>,
}

impl Rig {
    fn new(ordering: Ordering) -> Rig {
        let incidents = Incidents::new(Scope::new("feed", "match"), ordering, Registers::default());
        Rig { incidents, now: Instant::now(), order: 0, told: Vec::new() }
    }

    fn by_clock(held: usize) -> Rig {
        Rig::new(Ordering::ByClock { held, wait: Duration::from_secs(5) })
    }

    fn take(&mut self, listing: Listing, incidents: &[Incident]) -> Vec<Telling> {
        let mut out = Vec::new();
        self.incidents.take(incidents.to_vec(), listing, self.now, &mut self.order, &mut out);
        self.told.extend(out.iter().cloned());
        out
    }

    fn delete(&mut self, ids: &[&str]) -> Vec<Telling> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut out = Vec::new();
        self.incidents.delete(&ids, &mut out);
        self.told.extend(out.iter().cloned());
        out
    }

    fn wait(&mut self) {
        self.now += Duration::from_secs(60);
        let mut out = Vec::new();
        self.incidents.tick(self.now, &mut self.order, &mut out);
        self.told.append(&mut out);
    }

    /// What a reader of the events makes of them: the newest of each that stands, by (order, seq).
    fn read(&self) -> Vec<Telling> {
        let mut standing: BTreeMap<EventId, (usize, Telling)> = BTreeMap::new();
        for (seq, telling) in self.told.iter().enumerate() {
            match telling.what {
                What::Happened => {
                    assert!(standing.insert(telling.id, (seq, telling.clone())).is_none(), "told twice");
                }
                What::Revised { .. } => {
                    let (first, before) = &standing[&telling.id];
                    assert_eq!(before.order, telling.order, "an order never changes");
                    let first = *first;
                    standing.insert(telling.id, (first, telling.clone()));
                }
                What::Retracted { .. } => assert!(standing.remove(&telling.id).is_some(), "was not told"),
            }
        }
        let mut all: Vec<(usize, Telling)> = standing.into_values().collect();
        all.sort_by_key(|(seq, telling)| (telling.order, *seq));
        all.into_iter().map(|(_, telling)| telling).collect()
    }
}

fn incident(kind: EventType, side: Option<Side>, minute: u16) -> Incident {
    let (period, clock) = (Some(1), Some(StatedClock::new(minute, 0)));
    Incident { kind, source_id: None, side, period, clock, feed_at: None, details: BTreeMap::new() }
}

fn named(id: &str, kind: EventType, side: Side, minute: u16) -> Incident {
    Incident { source_id: Some(id.into()), ..incident(kind, Some(side), minute) }
}

fn of(player: &str, incident: Incident) -> Incident {
    Incident { details: BTreeMap::from([("player".to_owned(), player.to_owned())]), ..incident }
}

fn place(telling: &Telling) -> (Option<u8>, Option<StatedClock>) {
    (telling.incident.period, telling.incident.clock)
}

#[test]
fn a_copy_is_told_once_and_one_that_knows_more_is_a_revision() {
    let mut rig = Rig::new(Ordering::AsSent);
    let bare = incident(EventType::Corner, None, 43);
    let full = of("Bold", incident(EventType::Corner, Some(Side::Home), 43));
    assert_eq!(rig.take(Listing::Single, std::slice::from_ref(&bare)).len(), 1);
    let [revised] = &rig.take(Listing::Single, std::slice::from_ref(&full))[..] else { panic!() };
    assert_eq!((revised.what, &revised.incident), (What::Revised { revision: 1 }, &full));
    assert_eq!(rig.take(Listing::Single, &[bare]), []);
    assert_eq!(rig.take(Listing::Single, &[full]), []);
}

#[test]
fn only_what_registers_count_is_counted_again() {
    let mut rig = Rig::new(Ordering::AsSent);
    rig.incidents.set_made(BTreeSet::from([EventType::Corner]));
    rig.incidents.enrich(&[], &mut Vec::new());
    rig.take(Listing::Single, &[incident(EventType::Foul, Some(Side::Home), 3)]);
    assert!(!rig.incidents.recount && rig.incidents.take_touched());
    rig.take(Listing::Single, &[incident(EventType::Corner, Some(Side::Home), 4)]);
    assert!(rig.incidents.recount);
}

#[test]
fn equals_in_one_list_are_as_many_happenings() {
    let mut rig = Rig::new(Ordering::AsSent);
    let corner = incident(EventType::Corner, Some(Side::Home), 43);
    let told = rig.take(Listing::Whole, &[corner.clone(), corner.clone()]);
    assert_eq!(told.iter().map(|t| t.id).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(rig.take(Listing::Whole, &[corner.clone(), corner.clone()]), []);
    assert!(matches!(
        rig.take(Listing::Whole, &[corner])[..],
        [Telling { what: What::Retracted { .. }, .. }]
    ));
}

#[test]
fn an_edit_in_a_whole_list_is_a_revision() {
    let mut rig = Rig::new(Ordering::AsSent);
    let card = incident(EventType::Card, Some(Side::Away), 12);
    rig.take(Listing::Whole, &[of("Bold", card.clone())]);
    let told = rig.take(Listing::Whole, &[of("Short", card)]);
    assert!(matches!(told[..], [Telling { what: What::Revised { revision: 1 }, .. }]));
}

#[test]
fn a_window_takes_back_only_what_is_missing_between_two() {
    let mut rig = Rig::new(Ordering::AsSent);
    let all: Vec<Incident> =
        (1..=5).map(|minute| incident(EventType::Foul, Some(Side::Home), minute)).collect();
    rig.take(Listing::Window, &all[..4]);
    assert_eq!(rig.take(Listing::Window, &all[2..]).len(), 1, "the first have left the window");
    assert_eq!(rig.take(Listing::Window, &all[4..]), []);
    assert_eq!(rig.take(Listing::Window, &[]), []);
    let [gone] = &rig.take(Listing::Window, &[all[2].clone(), all[4].clone()])[..] else { panic!() };
    assert_eq!(gone.incident, all[3]);
    assert!(matches!(gone.what, What::Retracted { .. }));
}

#[test]
fn the_same_after_a_retraction_is_another_happening() {
    let mut rig = Rig::new(Ordering::AsSent);
    let goal = named("7", EventType::Goal, Side::Home, 10);
    let shot = named("7", EventType::Shot, Side::Home, 10);
    assert_eq!(rig.delete(&["8"]), [], "an id that never came");
    let first = rig.take(Listing::Single, &[goal.clone(), shot]);
    assert_eq!(first.len(), 2, "an id names a happening of each type");
    assert_eq!(rig.delete(&["7"]).len(), 2);
    assert_eq!(rig.delete(&["7"]), []);
    let [again] = &rig.take(Listing::Single, &[goal])[..] else { panic!() };
    assert_eq!(again.what, What::Happened);
    assert_ne!(again.id, first[0].id);
    rig.read();
}

#[test]
fn a_late_goal_stands_between_its_neighbours_and_moves_the_scores_behind_it() {
    let mut rig = Rig::by_clock(0);
    rig.take(Listing::Single, &[named("a", EventType::Goal, Side::Home, 10)]);
    rig.take(Listing::Single, &[named("c", EventType::Goal, Side::Home, 30)]);
    let told = rig.take(Listing::Single, &[named("b", EventType::Goal, Side::Away, 20)]);
    let seen: Vec<_> = told.iter().map(|t| (t.what, t.order, t.late, t.score)).collect();
    assert_eq!(
        seen,
        [
            (What::Happened, STEP + STEP / 2, true, Some((1, 1))),
            (What::Revised { revision: 1 }, 2 * STEP, false, Some((2, 1))),
        ]
    );
    let told = rig.delete(&["a"]);
    let scores: Vec<_> = told.iter().map(|t| t.score).collect();
    assert_eq!(scores, [Some((0, 0)), Some((0, 1)), Some((1, 1))], "a retraction has the score without it");
}

#[test]
fn where_no_integer_is_left_neighbours_are_told_again() {
    let mut rig = Rig::by_clock(0);
    rig.take(Listing::Single, &[incident(EventType::Goal, Some(Side::Home), 0)]);
    for minute in (1..500).rev() {
        let kind = if minute % 7 == 0 { EventType::Goal } else { EventType::Foul };
        rig.take(Listing::Single, &[incident(kind, Some(Side::Home), minute)]);
        let read = rig.read();
        assert!(read.is_sorted_by_key(place), "minute {minute}");
        assert!(read.is_sorted_by(|one, other| one.order < other.order), "minute {minute}");
    }
    assert_eq!(rig.read().len(), 500);
    let goals = rig.read().into_iter().filter(|t| t.incident.kind == EventType::Goal);
    assert!(goals.zip(1..).all(|(goal, n)| goal.score == Some((n, 0))));
    let retracted = rig.told.iter().filter(|t| matches!(t.what, What::Retracted { .. })).count();
    assert!((1..10_000).contains(&retracted), "a few each, at the worst: {retracted}");
}

#[test]
fn an_impossible_time_is_not_stated() {
    let mut rig = Rig::by_clock(0);
    rig.take(
        Listing::Single,
        &[Incident { period: Some(255), ..named("a", EventType::Foul, Side::Home, 9_999) }],
    );
    rig.take(Listing::Single, &[named("b", EventType::Foul, Side::Home, 10)]);
    rig.take(
        Listing::Single,
        &[Incident { period: None, clock: None, ..named("c", EventType::Foul, Side::Home, 0) }],
    );
    rig.take(Listing::Single, &[named("d", EventType::Foul, Side::Home, 11)]);
    let read = rig.read();
    let ids: Vec<_> = read.iter().map(|t| t.incident.source_id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!((read[0].incident.period, read[0].incident.clock), (None, None));
}

#[test]
fn what_a_false_time_moved_comes_right_once_that_is_gone() {
    let mut rig = Rig::by_clock(0);
    rig.take(Listing::Single, &[named("false", EventType::Foul, Side::Home, 300)]);
    rig.delete(&["false"]);
    rig.take(Listing::Single, &[named("b", EventType::Foul, Side::Home, 10)]);
    let untimed = Incident { clock: None, ..named("c", EventType::Foul, Side::Home, 0) };
    rig.take(Listing::Single, &[untimed]);
    let [late] = &rig.take(Listing::Single, &[named("d", EventType::Foul, Side::Home, 11)])[..] else {
        panic!()
    };
    assert!(!late.late);
}

#[test]
fn a_long_id_is_kept_as_a_hash() {
    let mut rig = Rig::new(Ordering::AsSent);
    let long = "x".repeat(1 << 20);
    let goal = named(&long, EventType::Goal, Side::Home, 1);
    assert_eq!(rig.take(Listing::Single, std::slice::from_ref(&goal)).len(), 1);
    assert_eq!(rig.take(Listing::Single, &[goal]), []);
    assert!(rig.incidents.by_source.keys().all(|id| id.len() <= MAX_SOURCE_ID));
    assert!(rig.told.iter().all(|t| t.incident.source_id.as_ref().unwrap().len() <= MAX_SOURCE_ID));
    assert_eq!(rig.delete(&[&long]).len(), 1);
}

#[test]
fn details_are_bounded_over_all_copies() {
    let mut rig = Rig::new(Ordering::AsSent);
    for round in 0..5 {
        let details = (0..10).map(|one| (format!("{round}.{one}"), String::new())).collect();
        rig.take(Listing::Single, &[Incident { details, ..named("a", EventType::Foul, Side::Home, 1) }]);
    }
    assert_eq!(rig.read()[0].incident.details.len(), MAX_DETAILS);
}

#[test]
fn the_one_that_says_more_is_matched_first() {
    let mut rig = Rig::new(Ordering::AsSent);
    let foul = incident(EventType::Foul, Some(Side::Home), 5);
    rig.take(Listing::Whole, &[of("A", foul.clone()), of("B", foul.clone())]);
    assert_eq!(rig.take(Listing::Whole, &[foul.clone(), of("A", foul)]), []);
}

#[test]
fn what_is_held_is_told_in_order_when_the_time_is_over() {
    let mut rig = Rig::by_clock(4);
    for minute in [3, 1, 2] {
        assert_eq!(rig.take(Listing::Single, &[incident(EventType::Foul, None, minute)]), []);
    }
    assert!(rig.incidents.deadline().is_some());
    rig.wait();
    assert_eq!(rig.told.iter().map(|t| t.order).collect::<Vec<_>>(), [STEP, 2 * STEP, 3 * STEP]);
    assert!(rig.told.iter().all(|t| !t.late));
    assert_eq!(rig.incidents.deadline(), None);
}

#[test]
fn bounds_hold() {
    let mut rig = Rig::new(Ordering::AsSent);
    let foul = incident(EventType::Foul, None, 1);
    let told = rig.take(Listing::Single, &vec![foul.clone(); MAX_EQUALS + 3]);
    assert_eq!((told.len(), rig.incidents.refused()), (MAX_EQUALS, 3));
    let [long] =
        &rig.take(Listing::Single, &[of(&"é".repeat(MAX_TEXT), incident(EventType::Foul, None, 2))])[..]
    else {
        panic!()
    };
    let text = &long.incident.details["player"];
    assert!(text.len() <= MAX_TEXT && text.ends_with(CUT));
}

fn matches() -> impl Strategy<Value = Vec<Incident>> {
    let kind = prop::sample::select(vec![EventType::Goal, EventType::Corner, EventType::Card]);
    let one = (kind, any::<bool>(), 0u16..60, any::<bool>());
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let named_one = |(index, (kind, home, minute, second_half))| {
            let side = if home { Side::Home } else { Side::Away };
            let half = if second_half { 2 } else { 1 };
            Incident { period: Some(half), ..named(&format!("{index}"), kind, side, minute) }
        };
        all.into_iter().enumerate().map(named_one).collect()
    })
}

proptest! {
    #[test]
    fn any_order_of_arrival_ends_in_the_same_match(
        all in matches(),
        arrivals in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..60),
        held in 0usize..6,
    ) {
        let mut rig = Rig::by_clock(held);
        let some = arrivals.iter().map(|(index, wait)| (index.get(&all), *wait));
        for (one, wait) in some.chain(all.iter().rev().map(|one| (one, false))) {
            rig.take(Listing::Single, std::slice::from_ref(one));
            if wait {
                rig.wait();
            }
        }
        rig.wait();
        let read = rig.read();
        let ids: BTreeSet<_> = read.iter().filter_map(|t| t.incident.source_id.clone()).collect();
        prop_assert_eq!(ids.len(), all.len());
        prop_assert_eq!(read.len(), all.len());
        prop_assert!(read.is_sorted_by_key(place));
        let mut in_order = Rig::by_clock(0);
        in_order.take(Listing::Whole, &all);
        let names = |read: Vec<Telling>| read.into_iter().map(|t| t.incident.source_id).collect::<Vec<_>>();
        prop_assert_eq!(names(read.clone()), names(in_order.read()), "equal clocks as well");
        let mut score = (0, 0);
        for goal in read.iter().filter(|t| t.incident.kind == EventType::Goal) {
            if goal.incident.side == Some(Side::Home) { score.0 += 1 } else { score.1 += 1 }
            prop_assert_eq!(goal.score, Some(score));
        }
    }
}

proptest! {
    /// It is counted again only when something of its types has changed.
    #[test]
    fn what_registers_count_is_as_if_counted_anew(
        all in matches(),
        inputs in prop::collection::vec((any::<prop::sample::Index>(), 0u8..6), 0..60),
        held in 0usize..6,
    ) {
        let mut rig = Rig::by_clock(held);
        for (index, input) in inputs {
            let one = index.get(&all);
            match input {
                0 => _ = rig.delete(&[one.source_id.as_deref().unwrap()]),
                1 => rig.wait(),
                2 => rig.incidents.set_made(BTreeSet::from([EventType::Goal, one.kind])),
                _ => _ = rig.take(Listing::Single, std::slice::from_ref(one)),
            }
            rig.incidents.enrich(&[], &mut Vec::new());
            let counts = rig.incidents.verification.counts.clone();
            rig.incidents.count_steps();
            prop_assert_eq!(&counts, &rig.incidents.verification.counts);
            let Incidents { told, countable, slots, .. } = &rig.incidents;
            let kind = |index: &usize| slots.get(*index).unwrap().incident.kind;
            prop_assert!(told.iter().filter(|(_, index)| registers::is_countable(kind(index))).eq(countable));
        }
    }
}

/// A generator of its own, so that a printed seed says everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn new() -> Dice {
        let seed = std::env::var("TOUCHLINE_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
        let seed = seed.unwrap_or_else(clock).max(1);
        eprintln!("TOUCHLINE_SEED={seed}");
        Dice(seed)
    }

    /// Each once or twice, each copy up to `delay` places later.
    fn disorder<T: Clone>(&mut self, all: &[T], delay: u64) -> Vec<T> {
        let mut placed: Vec<(u64, T)> = Vec::new();
        for (index, one) in all.iter().enumerate() {
            for _ in 0..=self.roll(2) {
                placed.push((index as u64 + self.roll(delay + 1), one.clone()));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, one)| one).collect()
    }
}

fn json(relative: &str) -> Option<Value> {
    Some(serde_json::from_slice(&touchline_harness::data::bytes(relative)?).unwrap())
}

fn clock_of(minute: &Value, second: &Value) -> Option<StatedClock> {
    let (minute, second) = (minute.as_u64()?, second.as_u64().unwrap_or(0));
    Some(StatedClock::new(u16::try_from(minute).unwrap(), u8::try_from(second).unwrap()))
}

/// The incidents of a match whose lists name them, by type.
fn named_lists(root: &Value) -> Vec<Incident> {
    let home = &root["match"]["homeTeamId"];
    let mut all = Vec::new();
    for (list, kind) in [
        ("goals", EventType::Goal),
        ("shots", EventType::Shot),
        ("cornerKicks", EventType::Corner),
        ("substitutions", EventType::Substitution),
        ("fouls", EventType::Foul),
        ("yellowCards", EventType::Card),
        ("throwIn", EventType::ThrowIn),
    ] {
        for (id, one) in root["incidences"][list].as_object().unwrap() {
            let side = if one["team"] == *home { Side::Home } else { Side::Away };
            let clock = clock_of(&one["t"]["m"], &one["t"]["s"]);
            let period = one["t"]["half"].as_u64().map(|half| half as u8);
            let details = BTreeMap::from([("player".to_owned(), one["plyrId"].to_string())]);
            let (source_id, side) = (Some(id.clone()), Some(side));
            all.push(Incident { kind, source_id, side, period, clock, feed_at: None, details });
        }
    }
    all.sort_by_key(|one| (one.period, one.clock));
    all
}

#[test]
fn a_real_match_with_ids_in_any_disorder() {
    let Some(root) = json("matches/datafactory_events.json") else { return };
    let all = named_lists(&root);
    let deleted: Vec<&str> =
        root["deletedIncidences"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(deleted.len(), 5);
    let mut dice = Dice::new();
    let mut rig = Rig::by_clock(8);
    let (mut to_state, mut to_delete) = (deleted.clone(), deleted.clone());
    // Each false one comes once, and so does its deletion, whichever is first.
    for one in dice.disorder(&all, 24) {
        rig.take(Listing::Single, &[one]);
        match dice.roll(20) {
            0 => {
                let id = to_state.pop();
                let one = id
                    .map(|id| [EventType::Goal, EventType::Shot].map(|kind| named(id, kind, Side::Home, 20)));
                rig.take(Listing::Single, &one.into_iter().flatten().collect::<Vec<_>>());
            }
            1 => _ = rig.delete(&to_delete.pop().into_iter().collect::<Vec<_>>()),
            _ => {}
        }
    }
    for id in to_state {
        rig.take(Listing::Single, &[named(id, EventType::Goal, Side::Home, 20)]);
    }
    rig.delete(&to_delete);
    rig.wait();
    let read = rig.read();
    let name = |one: &Incident| (one.kind, one.source_id.clone());
    let want: BTreeSet<_> = all.iter().map(name).collect();
    assert_eq!(read.iter().map(|t| name(&t.incident)).collect::<BTreeSet<_>>(), want);
    assert_eq!(read.len(), want.len());
    assert!(read.is_sorted_by_key(place), "the first half's added time stands before the second half");
    let goals: Vec<_> = read.iter().filter(|t| t.incident.kind == EventType::Goal).collect();
    let (home, away) = goals.last().and_then(|goal| goal.score).unwrap();
    assert_eq!(home + away, goals.len() as i64);
}

#[test]
fn substitutions_of_one_minute_without_ids() {
    let Some(root) = json("matches/statsbomb_15986_event.json") else { return };
    let substitutions =
        root.as_array().unwrap().iter().filter(|one| one["type"]["name"] == "Substitution").map(|one| {
            let home = one["team"]["name"] == "Barcelona";
            let side = if home { Side::Home } else { Side::Away };
            let minute = one["minute"].as_u64().unwrap() as u16;
            let player = one["player"]["name"].as_str().unwrap();
            let period = one["period"].as_u64().map(|period| period as u8);
            Incident { period, ..of(player, incident(EventType::Substitution, Some(side), minute)) }
        });
    let all: Vec<Incident> = substitutions.collect();
    let mut dice = Dice::new();
    let mut rig = Rig::by_clock(3);
    for one in dice.disorder(&all, 6) {
        rig.take(Listing::Single, &[one]);
    }
    rig.wait();
    assert_eq!(rig.read().len(), all.len());
    assert!(rig.read().is_sorted_by_key(place));
    assert_eq!(rig.take(Listing::Whole, &all), []);
}

/// The windows of a recording, each with the oldest first.
fn windows(text: &str) -> Vec<Vec<Incident>> {
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut all = Vec::new();
    for message in messages {
        for change in message["cc"].as_array().into_iter().flatten() {
            let list = change["incidentListWrapper"]["incidentList"].as_array();
            let Some(list) = list else { continue };
            all.push(list.iter().rev().map(ball).collect());
        }
    }
    all
}

fn ball(one: &Value) -> Incident {
    let overs = one["overs"].as_str().and_then(|overs| overs.split_once('.'));
    let clock = overs.map(|(over, ball)| StatedClock::new(over.parse().unwrap(), ball.parse().unwrap()));
    let mut details = BTreeMap::new();
    for name in ["participantRef", "incidentType", "qualifierType", "value", "actualTime"] {
        if !one[name].is_null() {
            details.insert(name.to_owned(), one[name].to_string());
        }
    }
    let period = one["innings"].as_u64().map(|innings| innings as u8);
    Incident {
        kind: EventType::ScoreChange,
        source_id: None,
        side: None,
        period,
        clock,
        feed_at: None,
        details,
    }
}

/// Whether two may be the same ball.
fn agree(one: &Incident, other: &Incident) -> bool {
    one.clock == other.clock
        && (one.period.is_none() || other.period.is_none() || one.period == other.period)
        && one.details.iter().all(|(name, value)| other.details.get(name).is_none_or(|v| v == value))
}

/// What stands after the windows, in order, by the plainest means: all pairs, no index.
fn read_plainly(windows: &[Vec<Incident>]) -> Vec<Incident> {
    let mut known: Vec<Incident> = Vec::new();
    for window in windows {
        let mut used = BTreeSet::new();
        let before = known.len();
        for one in window {
            let free = |(index, other): &(usize, &Incident)| !used.contains(index) && agree(one, other);
            let found = known.iter().enumerate().find(free).map(|(index, _)| index);
            let index = found.unwrap_or(known.len());
            match known.get_mut(index) {
                Some(known) => {
                    known.period = known.period.or(one.period);
                    known.details.extend(one.details.clone());
                }
                None => known.push(one.clone()),
            }
            used.insert(index);
        }
        // What is missing between two that stood before and stand again is no more.
        let old = || used.iter().filter(|index| **index < before);
        if let (Some(first), Some(last)) = (old().min(), old().max()) {
            for index in (*first..*last).rev().filter(|index| !used.contains(index)) {
                known.remove(index);
            }
        }
    }
    known
}

#[test]
fn a_recorded_window_tells_each_once() {
    let Some(bytes) = touchline_harness::data::bytes("exchange/cricket-1.200806927.jsonl") else { return };
    let windows = windows(std::str::from_utf8(&bytes).unwrap());
    let mut dice = Dice::new();
    for delay in [0, 3] {
        let mut rig = Rig::new(Ordering::AsSent);
        let windows = dice.disorder(&windows, delay);
        for window in &windows {
            rig.take(Listing::Window, window);
        }
        let standing: Vec<Incident> = rig.read().into_iter().map(|t| t.incident).collect();
        assert!(standing.len() > 100, "{}", standing.len());
        // An old window that comes late takes back what it does not know: only the last word is sure.
        if delay == 0 {
            assert!(standing == read_plainly(&windows), "another sequence than by the plainest means");
        }
        let last = windows.last().unwrap();
        assert!(last.iter().all(|one| standing.iter().any(|known| agree(known, one))), "delay {delay}");
    }
}
