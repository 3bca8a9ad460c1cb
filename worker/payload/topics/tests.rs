//! Messages of the shape that scoreboards send, and what becomes of them.

use super::{Branches, Brought, QUIET_NS, Table};
use crate::payload::{Limits, MatchSlot, Names, Payload, Received, Seen, Sink, TreeError};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};
use touchline_common::ipc::messages::data::{MatchBase, Section, SectionKey};
use touchline_common::model::{
    Change, Clock, Facts, Handle, Listing, MarketValue, OddsChange, Phase, Register, RegisterChange,
    Registers, Scoring, SelectionValue, Side,
};

const TOP: &str = "sportsbook/football/7310/";

#[derive(Default)]
struct Reported {
    bases: Vec<Based>,
    seen: Vec<Saw>,
    touched: usize,
}

/// All values.
struct Based {
    facts: Facts,
    teams: Option<(String, String)>,
    registers: Registers,
    values: Vec<String>,
    clock: Option<Clock>,
}

/// What one message changed.
#[derive(Debug, PartialEq)]
struct Saw {
    registers: Vec<RegisterChange>,
    changes: Vec<String>,
    clock: Option<Clock>,
}

fn change(change: &Change<'_>) -> String {
    match change {
        Change::Comment { text } => format!("comment {text}"),
        Change::Stat { key, side, text } => format!("{key} {} {text}", side.map_or("-", Side::as_str)),
    }
}

impl Names for Reported {
    fn name_market(&mut self, _: MatchSlot, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no markets");
    }

    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        panic!("there are no selections");
    }
}

impl Sink for Reported {
    fn base(&mut self, _: MatchSlot, base: MatchBase<'_>) {
        let values = base.values.iter().map(change).collect();
        let MatchBase { facts, teams, registers, clock, .. } = base;
        self.bases.push(Based { facts, teams, registers, values, clock });
    }

    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {
        panic!("there are no odds");
    }

    fn observed(&mut self, _: MatchSlot, seen: &Seen<'_>) {
        let changes = seen.changes.iter().map(change).collect();
        self.seen.push(Saw { registers: seen.registers.to_vec(), changes, clock: seen.clock });
    }

    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {
        panic!("there are no odds");
    }

    fn touched(&mut self, _: MatchSlot) {
        self.touched += 1;
    }
}

/// Branches with one match, and a clock.
struct Bed {
    branches: Branches,
    slot: MatchSlot,
    reported: Reported,
    now: u64,
    /// Head and tail.
    shown: [Value; 2],
}

impl Bed {
    fn new() -> Bed {
        Bed::of(Some(Table::builtin().unwrap()), &["sportsbook/football/7310//"], Limits::default())
    }

    fn of(table: Option<Table>, topics: &[&str], limits: Limits) -> Bed {
        let mut branches = Branches::new(table, limits, TimeZone::UTC);
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let slot = branches.add_match(&topics, Listing::default()).unwrap();
        Bed { branches, slot, reported: Reported::default(), now: 1, shown: Default::default() }
    }

    fn received(&self) -> Received {
        Received { wall_us: 1_000_000, mono_ns: self.now }
    }

    fn take(&mut self, topic: &str, body: &str, brought: Brought) -> Result<(), TreeError> {
        let received = self.received();
        let taken =
            self.branches.value(topic.as_bytes(), body.as_bytes(), brought, received, &mut self.reported);
        taken.map(drop)
    }

    fn load(&mut self, key: &str, body: &str) {
        self.take(&format!("{TOP}{key}"), body, Brought::Load).unwrap();
    }

    fn delta(&mut self, key: &str, body: &str) {
        self.take(&format!("{TOP}{key}"), body, Brought::Delta).unwrap();
    }

    fn quiet(&mut self) {
        self.now += QUIET_NS;
        let received = self.received();
        self.branches.settle(received, &mut self.reported);
    }

    /// A match in its first half, reported.
    fn playing() -> Bed {
        let mut bed = Bed::new();
        for (key, body) in [
            ("stats/home/goals", "g\x02754\x02A. Player\x01"),
            ("stats/away/goals", ""),
            ("stats/home/corners", "c\x0260\x02\x01c\x02300\x02\x01"),
            ("stats/away/corners", ""),
            ("stats/home/cards/yellow", ""),
            ("stats/away/cards/yellow", "y\x021000\x02B. Player"),
            ("stats/home/throwIns", "t\x0210\x02"),
            ("stats/homeTeamPossesion", "61"),
            ("stats/period", "H1"),
            ("stats/time", "1211"),
            ("i18n/en-gb/home", "Town"),
            ("i18n/en-gb/away", "Rovers"),
            ("i18n/en-gb/commentary", "1\x02a\x02b\x021200\x02HOME_ATTACK\x0210,20"),
            ("stats/unheard/of", "x\x02y"),
        ] {
            bed.load(key, body);
        }
        bed.quiet();
        bed
    }

    fn document(&mut self) -> Option<Value> {
        let mut out: Vec<Section<'static>> = Vec::new();
        self.branches.render(self.slot, &mut self.reported, &mut out);
        if out.is_empty() {
            return None;
        }
        for section in out {
            let value = serde_json::from_str(&section.body.unwrap()).unwrap();
            match section.key {
                SectionKey::Head => self.shown[0] = value,
                SectionKey::Tail => self.shown[1] = value,
                SectionKey::Market(handle) => panic!("market {handle}"),
            }
        }
        let mut whole = self.shown[0].as_object()?.clone();
        whole.extend(self.shown[1].as_object()?.clone());
        Some(Value::Object(whole))
    }

    fn newest(&mut self) -> Saw {
        let mut seen = std::mem::take(&mut self.reported.seen);
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

fn moved(observation: &Saw) -> Vec<(Register, i64)> {
    observation.registers.iter().map(|change| (change.register, change.value)).collect()
}

#[test]
fn a_first_load_is_reported_as_one_once_it_is_quiet() {
    let mut bed = Bed::new();
    bed.load("stats/period", "H1");
    bed.load("stats/home/goals", "g\x0254\x02");
    assert!(!bed.branches.is_live(bed.slot));
    assert_eq!(bed.document(), None, "half of a load is no document");
    assert_eq!(bed.branches.oldest_dirty(), None);
    bed.now += QUIET_NS / 2;
    bed.load("stats/away/goals", "");
    assert_eq!(bed.branches.settles_at(), Some(bed.now + QUIET_NS));
    assert!(bed.reported.bases.is_empty());
    bed.quiet();
    let mut complete = Vec::new();
    bed.branches.drain_complete(&mut complete);
    assert_eq!(complete, [bed.slot]);
    assert!(bed.branches.is_live(bed.slot));
    let base = &bed.reported.bases[0];
    assert_eq!((bed.reported.bases.len(), base.facts.scoring), (1, Scoring::Goals));
    let registers: Vec<_> = base.registers.iter().map(|(register, value)| (*register, *value)).collect();
    let goals = |side, n| (Register::Score(side), n);
    assert_eq!(
        registers,
        [goals(Side::Home, 1), goals(Side::Away, 0), (Register::Phase, Phase::playing(1).0)]
    );
    assert!(bed.reported.seen.is_empty());
    assert!(bed.branches.oldest_dirty().is_some());
    assert!(bed.document().is_some());
    assert_eq!(bed.branches.settles_at(), None);
}

#[test]
fn a_delta_ends_the_first_load_and_is_reported_after_it() {
    let mut bed = Bed::new();
    bed.load("stats/home/goals", "");
    bed.load("stats/period", "H1");
    bed.delta("stats/home/goals", "g\x0254\x02");
    assert_eq!(bed.reported.bases.len(), 1);
    assert_eq!(bed.reported.bases[0].registers[&Register::Score(Side::Home)], 0);
    assert_eq!(moved(&bed.newest()), [(Register::Score(Side::Home), 1)]);
}

#[test]
fn loads_without_an_end_are_reported_after_a_while() {
    let mut bed = Bed::new();
    for n in 0..100 {
        bed.load("stats/time", &n.to_string());
        bed.now += QUIET_NS / 2;
        let received = bed.received();
        bed.branches.settle(received, &mut bed.reported);
    }
    assert_eq!(bed.reported.bases.len(), 1);
}

#[test]
fn the_document_has_what_the_topics_say() {
    let mut bed = Bed::playing();
    let document = bed.document().unwrap();
    assert_eq!(
        document,
        json!({
            "sport_id": "1", "sport": "soccer", "name": "Town v Rovers", "home": "Town", "away": "Rovers",
            "status": "in_play", "period": "H1",
            "clock": {"seconds": 1211, "running": true, "down": false},
            "score": {"text": "1-0", "home": 1, "away": 0},
            "stats": {"corners": {"home": 2, "away": 0}, "yellow_cards": {"home": 0, "away": 1},
                      "throw_ins": {"home": 1}, "possession": {"home": 61, "away": 39}},
            "market_order": [],
            "extra": {"stats/unheard/of": "x\u{2}y",
                      "i18n/en-gb/commentary": "1\u{2}a\u{2}b\u{2}1200\u{2}HOME_ATTACK\u{2}10,20"},
        })
    );
    assert_eq!(bed.document(), None, "unchanged");
    bed.delta("stats/home/goals", "g\x02754\x02Another Player");
    assert_eq!(bed.document(), None, "who scored is not in the document");
    let mut whole = Vec::new();
    bed.branches.render_whole(bed.slot, &mut bed.reported, &mut whole);
    assert_eq!(whole.len(), 2);
}

#[test]
fn happenings_are_reported_with_the_clock_of_their_moment() {
    let mut bed = Bed::playing();
    bed.delta("stats/time", "1260");
    assert!(bed.reported.seen.is_empty(), "time alone is no happening");
    bed.delta("stats/away/goals", "g\x021258\x02C. Player");
    let goal = bed.newest();
    assert_eq!(moved(&goal), [(Register::Score(Side::Away), 1)]);
    assert_eq!(goal.clock, Some(Clock { seconds: 1260 }));
    bed.delta("stats/home/corners", "c\x0260\x02\x01c\x02300\x02\x01c\x021261\x02");
    assert_eq!(moved(&bed.newest()), [(Register::Corners(Side::Home), 3)]);
    bed.delta("stats/period", "HT");
    assert_eq!(moved(&bed.newest()), [(Register::Phase, Phase::after(1).0)]);
    let document = bed.document().unwrap();
    assert_eq!((&document["status"], &document["clock"]["running"]), (&json!("break"), &json!(false)));
    bed.delta("stats/period", "FT");
    assert_eq!(moved(&bed.newest()), [(Register::Phase, Phase::FINISHED.0)]);
    bed.delta("stats/away/goals", "");
    assert_eq!(moved(&bed.newest()), [(Register::Score(Side::Away), 0)], "taken back");
}

#[test]
fn comments_and_other_statistics_are_reported() {
    let mut bed = Bed::playing();
    bed.delta("i18n/en-gb/commentary", "2\x02a\x02b\x021215\x02CORNER_HOME\x02");
    assert_eq!(bed.newest().changes, ["comment CORNER_HOME"]);
    bed.delta("i18n/en-gb/commentary", "2\x02a\x02b\x021215\x02CORNER_HOME\x02");
    assert!(bed.reported.seen.is_empty(), "a copy is none");
    bed.delta("stats/home/throwIns", "t\x0210\x02\x01t\x021220\x02");
    assert_eq!(bed.newest().changes, ["throw_ins home 2"]);
    bed.delta("stats/homeTeamPossesion", "55");
    assert_eq!(bed.newest().changes, ["possession home 55", "possession away 45"]);
    let now = bed.received();
    bed.branches.report(bed.slot, now, &mut bed.reported);
    let base = bed.reported.bases.pop().unwrap();
    assert_eq!(
        base.values,
        ["comment CORNER_HOME", "possession home 55", "possession away 45", "throw_ins home 2"]
    );
    assert_eq!(base.teams, Some(("Town".to_owned(), "Rovers".to_owned())));
    assert_eq!(base.clock, Some(Clock { seconds: 1211 }));
}

#[test]
fn what_does_not_parse_is_unknown_and_moves_nothing() {
    let mut bed = Bed::playing();
    bed.document();
    for (key, body) in [
        ("stats/home/goals", "two"),
        ("stats/away/cards/yellow", "y\x02soon"),
        ("stats/homeTeamPossesion", "101"),
        ("stats/period", "H9"),
        ("stats/time", "noon"),
    ] {
        bed.delta(key, body);
    }
    assert_eq!(bed.reported.seen, []);
    let document = bed.document().unwrap();
    assert_eq!(document["score"], json!({"away": 0}));
    assert_eq!(document["stats"]["yellow_cards"], json!({"home": 0}));
    assert_eq!(document["stats"].get("possession"), None);
    assert_eq!((&document["period"], &document["status"]), (&json!("H9"), &json!("unknown")));
    assert_eq!(document.get("clock"), None);
    bed.delta("stats/home/goals", "g\x02754\x02A. Player");
    assert_eq!(bed.reported.seen, [], "as it was before");
}

#[test]
fn after_a_lost_connection_the_loads_are_one_again() {
    let mut bed = Bed::playing();
    bed.branches.connection_lost();
    bed.load("stats/home/goals", "g\x02754\x02\x01g\x021300\x02");
    bed.load("stats/period", "H2");
    assert!(bed.reported.seen.is_empty());
    bed.quiet();
    assert_eq!(bed.reported.bases.len(), 2);
    let registers = &bed.reported.bases[1].registers;
    assert_eq!(registers[&Register::Score(Side::Home)], 2);
    assert_eq!(registers[&Register::Phase], Phase::playing(2).0);
}

#[test]
fn a_delta_on_its_way_while_a_match_is_asked_for_anew_is_reported() {
    let mut bed = Bed::playing();
    bed.reported.seen.clear();
    bed.branches.await_load(bed.slot);
    bed.delta("stats/home/goals", "g\x02754\x02A. Player\x01g\x02900\x02");
    assert_eq!(moved(&bed.newest()), [(Register::Score(Side::Home), 2)]);
    bed.load("stats/home/goals", "g\x02754\x02A. Player\x01g\x02900\x02");
    assert_eq!(bed.reported.bases.len(), 1, "its load is coming in");
    bed.quiet();
    assert_eq!(bed.reported.bases.len(), 2);
}

#[test]
fn asked_for_anew_an_unchanged_match_is_reported_again_all_the_same() {
    let mut bed = Bed::playing();
    bed.document();
    bed.branches.await_load(bed.slot);
    bed.load("stats/period", "H1");
    bed.quiet();
    assert_eq!((bed.reported.bases.len(), bed.reported.seen.len()), (2, 0), "a gap may wait for that");
    assert_eq!(bed.document(), None);
}

#[test]
fn what_is_asked_for_while_a_load_comes_in_is_shown_when_it_is_complete() {
    let mut bed = Bed::new();
    bed.load("stats/period", "H1");
    let mut out = Vec::new();
    bed.branches.render_whole(bed.slot, &mut bed.reported, &mut out);
    assert_eq!(out, []);
    bed.quiet();
    assert_eq!(bed.branches.oldest_dirty().map(|(slot, _)| slot), Some(bed.slot));
    assert!(bed.document().is_some());
    assert_eq!(bed.branches.oldest_dirty(), None);
}

#[test]
fn a_branch_without_topics_is_no_longer_live() {
    let mut bed = Bed::new();
    bed.load("stats/period", "H1");
    bed.load("stats/time", "5");
    bed.quiet();
    let received = bed.received();
    let mut remove = |topic: &str| {
        bed.branches.topic_removed(format!("{TOP}{topic}").as_bytes(), received, &mut bed.reported).unwrap();
        bed.branches.is_live(bed.slot)
    };
    assert!(remove("stats/time"));
    assert!(!remove("stats/period"));
    assert!(!bed.branches.is_loaded(b"sportsbook/football/7310//"));
    assert_eq!(bed.branches.oldest_dirty(), None);
    assert_eq!(bed.document(), None);
    bed.load("stats/period", "H2");
    bed.quiet();
    assert_eq!(bed.reported.bases.len(), 2);
}

#[test]
fn topics_belong_to_the_match_with_the_longest_top() {
    let mut bed = Bed::new();
    let nested = ["sportsbook/football/7310/inner//".to_owned(), "alone".to_owned()];
    let other = bed.branches.add_match(&nested, Listing::default()).unwrap();
    let owner = |topic: &str| bed.branches.owner(topic.as_bytes());
    assert_eq!(owner("sportsbook/football/7310/stats/time"), Some(bed.slot));
    assert_eq!(owner("sportsbook/football/7310"), Some(bed.slot));
    assert_eq!(owner("sportsbook/football/7310/inner/x"), Some(other));
    assert_eq!(owner("alone"), Some(other));
    for strange in ["", "/", "alone/x", "sportsbook/football/73101/stats/time", "sportsbook/football"] {
        assert_eq!(owner(strange), None, "{strange}");
    }
    let long = "a/".repeat(100_000);
    assert_eq!(owner(&long), None);
    let subscription = bed.branches.subscription(b"sportsbook/football/7310/inner/x");
    assert_eq!(subscription, Some(&b"sportsbook/football/7310/inner//"[..]));
    let taken = bed.branches.add_match(&["alone//".to_owned()], Listing::default());
    assert!(matches!(taken, Err(TreeError::TopicTaken { .. })));
    bed.branches.remove_match(other);
    assert_eq!(bed.branches.owner(b"alone"), None);
    assert!(bed.branches.add_match(&["alone//".to_owned()], Listing::default()).is_ok());
}

#[test]
fn a_raw_payload_is_passed_on_and_means_nothing() {
    let mut bed = Bed::of(None, &["game/1", "game/2//"], Limits::default());
    bed.take("game/1", "stats/period", Brought::Load).unwrap();
    bed.take("game/2/a", "\x01\x02", Brought::Load).unwrap();
    bed.quiet();
    bed.take("game/2/a", "next", Brought::Delta).unwrap();
    assert_eq!(bed.reported.bases[0].registers.len(), 0);
    assert_eq!(bed.reported.seen, []);
    let document = bed.document().unwrap();
    assert_eq!(
        document,
        json!({"status": "unknown", "market_order": [], "extra": {"game/1": "stats/period", "a": "next"}})
    );
}

#[test]
fn the_list_fills_what_topics_lack() {
    let mut bed = Bed::of(Some(Table::builtin().unwrap()), &["x/7//"], Limits::default());
    bed.take("x/7/stats/home/goals", "", Brought::Load).unwrap();
    bed.quiet();
    let listing = Listing {
        name: Some("A v B".to_owned()),
        sport_id: Some("1".to_owned()),
        competition: Some("Cup".to_owned()),
        ..Listing::default()
    };
    let received = bed.received();
    bed.branches.set_listing(bed.slot, listing, received, &mut bed.reported);
    assert_eq!(bed.reported.bases.len(), 2, "the score means something else now");
    assert_eq!(bed.reported.bases[1].facts.scoring, Scoring::Goals);
    let document = bed.document().unwrap();
    assert_eq!((&document["home"], &document["competition"]), (&json!("A"), &json!("Cup")));
    assert_eq!(bed.branches.name(bed.slot).as_deref(), Some("A v B"));
}

#[test]
fn limits_hold_and_leave_what_is_held() {
    let limits = Limits { topics: 3, bytes: 40, ..Limits::default() };
    let mut bed = Bed::of(None, &["a//"], limits);
    for n in 0..3 {
        bed.take(&format!("a/{n}"), "v", Brought::Load).unwrap();
    }
    assert_eq!(bed.take("a/3", "v", Brought::Load), Err(TreeError::Topics { limit: 3 }));
    let long = "v".repeat(40);
    assert_eq!(bed.take("a/0", &long, Brought::Load), Err(TreeError::Bytes { limit: 40 }));
    assert!(matches!(bed.take("b/0", "v", Brought::Load), Err(TreeError::TopicNotHeld { .. })));
    for _ in 0..100 {
        bed.take("a/0", "0123456789", Brought::Delta).unwrap();
        bed.take("a/0", "v", Brought::Delta).unwrap();
    }
}

proptest! {
    /// Whatever comes: no panic, and what is reported moves registers to where a fresh reading has them.
    #[test]
    fn any_messages_leave_registers_as_a_fresh_reading_has_them(
        messages in prop::collection::vec(
            (0usize..9, "[a-z0-9\u{1}\u{2}]{0,12}|[gc]\u{2}[0-9]{1,4}(\u{1}g\u{2}[0-9]{1,3}){0,3}|H1|HT|H2|FT", 0u8..6),
            1..60,
        )
    ) {
        let keys = ["stats/home/goals", "stats/away/goals", "stats/period", "stats/time", "stats/home/corners",
            "stats/homeTeamPossesion", "i18n/en-gb/commentary", "other", "stats/away/throwIns"];
        let mut bed = Bed::new();
        for (place, body, how) in messages {
            let topic = format!("{TOP}{}", keys[place]);
            match how {
                0 => bed.quiet(),
                1 => bed.branches.connection_lost(),
                2 => {
                    let received = bed.received();
                    bed.branches.topic_removed(topic.as_bytes(), received, &mut bed.reported).unwrap();
                }
                3 => bed.take(&topic, &body, Brought::Load).unwrap(),
                _ => bed.take(&topic, &body, Brought::Delta).unwrap(),
            }
            bed.now += 1;
        }
        bed.quiet();
        for observation in &bed.reported.seen {
            prop_assert!(!observation.registers.is_empty() || !observation.changes.is_empty());
        }
        bed.document();
        let now = bed.received();
        let held = &bed.branches.matches[bed.slot.0 as usize];
        if held.reporting == super::Reporting::All {
            let reported = held.reported.clone();
            bed.branches.report(bed.slot, now, &mut bed.reported);
            for (register, value) in bed.reported.bases.pop().unwrap().registers {
                prop_assert!(reported.contains(&(register, value)), "{register:?} {value}");
            }
        }
    }
}
