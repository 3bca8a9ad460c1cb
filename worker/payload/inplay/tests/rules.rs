//! `docs/documents.md`, rule by rule, on trees small enough to read.

use super::{Log, Single, at, encode, forest};
use crate::payload::Payload;
use crate::payload::{Forest, Limits, Mapping, MatchSlot, TreeError};
use serde_json::{Value, json};
use touchline_common::ipc::messages::data::{Section, SectionKey};
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Handle, Listing, MatchId, Phase, Register, Scoring, Side};

const EVENT: &str = "F|EV;IT=T;CL=1;FS=1;NA=A v B;SS=0-0;|TG;IT=g;|TE;IT=h;OR=0;|TE;IT=a;OR=1;|MG;IT=mg;NA=Main;|\
                     MA;IT=m;ID=1777;NA=Result;SU=0;|PA;IT=p;NA=A;OD=5/4;SU=0;|PA;IT=q;NA=B;OD=;|";

fn head(body: &str) -> Value {
    Single::loaded(&format!("F|{body}|")).document()
}

fn last(single: &Single) -> &super::Saw {
    &single.log.seen.last().expect("something was observed").1
}

fn registers(single: &Single) -> Vec<(Register, i64)> {
    last(single).registers.iter().map(|change| (change.register, change.value)).collect()
}

#[test]
fn a_load_nests_by_type() {
    let body = "F|CL;ID=18;IT=c;|CT;IT=t;NA=League;|EV;IT=e;NA=A @ B;|MG;IT=g;NA=G;|MA;IT=m;|CO;IT=k;NA=x;|PA;IT=p;|CO;IT=l;|\
                PA;IT=q;|PA;IT=r;|MA;IT=n;|PA;IT=s;|XX;IT=x;|XX;IT=y;|PA;IT=u;|EV;IT=f;|MA;IT=o;|";
    let mut single = Single::loaded(body);
    let document = single.document();
    assert_eq!((&document["sport"], &document["competition"]), (&json!("basketball"), &json!("League")));
    assert_eq!((&document["home"], &document["away"]), (&json!("B"), &json!("A")));
    assert_eq!(document["market_order"], json!(["m", "n", "o"]));
    let market = &document["markets"]["m"];
    assert_eq!((&market["columns"], &market["group"]), (&json!(["x", ""]), &json!("G")));
    let places =
        |key: &str| (market["selections"][key]["column"].clone(), market["selections"][key]["order"].clone());
    assert_eq!(places("p"), (json!(0), json!(0)));
    assert_eq!(places("r"), (json!(1), json!(1)));
    assert_eq!(document["markets"]["n"]["selections"]["u"]["order"], 1);
    assert_eq!(document["markets"]["o"].get("group"), None);
    let node = |id: &str| json!({"type": "XX", "id": id, "parent": "s", "extra": {}});
    assert_eq!(document["extra"]["nodes"], json!([node("x"), node("y")]));
}

#[test]
fn status_and_period_by_the_table() {
    let shown = |attributes: &str| {
        let document = head(&format!("EV;IT=T;{attributes}"));
        (document["status"].clone(), document.get("period").cloned())
    };
    assert_eq!(shown(""), (json!("unknown"), None));
    assert_eq!(shown("FS=2;"), (json!("unknown"), None));
    assert_eq!(shown("FS=0;"), (json!("not_started"), None));
    assert_eq!(shown("FS=1;SU=x;CP=FT;"), (json!("suspended"), Some(json!("FT"))));
    assert_eq!(shown("FS=1;CP=Full Time;"), (json!("finished"), Some(json!("Full Time"))));
    assert_eq!(shown("FS=1;CP=odd;"), (json!("in_play"), Some(json!("odd"))));
    assert_eq!(shown("CL=1;FS=1;MD=0;TT=1;"), (json!("in_play"), Some(json!("first_half"))));
    assert_eq!(shown("CL=1;FS=1;MD=0;TT=0;TM=45;"), (json!("break"), Some(json!("half_time"))));
    assert_eq!(shown("CL=1;FS=1;MD=1;TT=0;TM=45;TS=0;"), (json!("break"), Some(json!("half_time"))));
    assert_eq!(shown("CL=1;FS=1;MD=1;TT=0;TM=46;"), (json!("in_play"), Some(json!("second_half"))));
    assert_eq!(shown("CL=1;FS=1;MD=0;TT=0;TM=44;"), (json!("in_play"), None));
    assert_eq!(shown("CL=18;FS=1;MD=1;TT=1;"), (json!("in_play"), None));
}

#[test]
fn phases_depend_on_the_sport() {
    let phase = |attributes: &str| {
        let mut single = Single::loaded(&format!("F|EV;IT=T;{attributes}|"));
        single.forest.report(single.slot, at(0), &mut single.log);
        let (_, base) = single.log.bases.pop().unwrap();
        base.registers.get(&Register::Phase).copied().map(Phase)
    };
    assert_eq!(phase("CL=1;CP=HT;"), Some(Phase::after(1)));
    assert_eq!(phase("CL=18;CP=HT;"), Some(Phase::after(2)));
    assert_eq!(phase("CL=18;CP=OT;"), Some(Phase::playing(5)));
    assert_eq!(phase("CL=17;CP=OT;"), Some(Phase::playing(4)));
    assert_eq!(phase("CL=13;CP=set 3;"), Some(Phase::playing(1)));
    assert_eq!(phase("CL=13;CP=finished;"), Some(Phase::FINISHED));
    assert_eq!(phase("CL=1;CP=2nd half;SU=1;"), Some(Phase::playing(2)), "suspended, and still in it");
    assert_eq!(phase("CL=1;FS=0;"), Some(Phase::NOT_STARTED));
    assert_eq!(phase("CL=1;CP=odd;FS=1;"), Some(Phase::playing(1)));
    assert_eq!(phase("CL=1;"), None);
}

#[test]
fn scores_by_sport() {
    let score = |attributes: &str| head(&format!("EV;IT=T;{attributes}")).get("score").cloned();
    assert_eq!(score("CL=1;SS=;XP=;"), None);
    let tennis = json!({"text": "6-4,5-5", "home": 1, "away": 0, "points": "40-0", "serving": "away",
        "periods": [{"home": 6, "away": 4}, {"home": 5, "away": 5}]});
    assert_eq!(score("CL=13;SS=6-4,5-5;XP=40-0;PI=0,1;"), Some(tennis));
    let table = json!({"text": "3-1", "home": 1, "away": 1, "points": "3-1",
        "periods": [{"home": 13, "away": 11}, {"home": 8, "away": 11}, {"home": 3, "away": 1}]});
    assert_eq!(score("CL=92;SS=3-1;XP=13-11,8-11;"), Some(table));
    let cricket = json!({"text": "296 & 136/6,210 & 469", "home": 432, "away": 679});
    assert_eq!(score("CL=3;SS=296 & 136/6,210 & 469;"), Some(cricket));
    assert_eq!(score("CL=2;SS=a;XP=b;"), Some(json!({"text": "a", "points": "b"})));
    for sport in ["14", "15", "151"] {
        let frames = json!({"text": "4-3", "home": 4, "away": 3, "points": "56-12"});
        assert_eq!(score(&format!("CL={sport};SS=4-3;XP=56-12;")), Some(frames), "{sport}");
    }
    assert_eq!(score("CL=1;SS=x-1;XP=b;"), Some(json!({"text": "x-1", "away": 1})));
}

#[test]
fn a_sport_may_be_given_another_scoring() {
    let mapping =
        Mapping::overlaid("[scoring]\nsnooker = \"text\"\ncurling = \"goals\"\n77 = \"frames\"").unwrap();
    let forest = Forest::new(mapping, Limits::default(), jiff::tz::TimeZone::UTC);
    let mut single = Single::with("T", Listing::default(), forest);
    let mut shown = |sport: &str| {
        single.load(&format!("F|EV;IT=T;CL={sport};SS=4-3;XP=5;|"));
        let facts = single.log.bases.last().unwrap().1.facts.clone();
        (facts.sport, facts.scoring, single.document()["score"].get("home").cloned())
    };
    assert_eq!(shown("14"), (Some("snooker".to_owned()), Scoring::Text, None));
    assert_eq!(shown("98"), (Some("curling".to_owned()), Scoring::Goals, Some(json!(4))));
    assert_eq!(shown("77"), (None, Scoring::Frames, Some(json!(4))));
    assert_eq!(shown("15"), (Some("darts".to_owned()), Scoring::Frames, Some(json!(4))));
    assert_eq!(shown("78"), (Some("handball".to_owned()), Scoring::Goals, Some(json!(4))));
    assert_eq!(shown("79"), (None, Scoring::Text, None));
    let message = |text: &str| Mapping::overlaid(text).unwrap_err().to_string();
    let unknown = message("[scoring]\nquidditch = \"goals\"");
    assert!(unknown.contains("scoring.quidditch") && unknown.contains("snooker, darts"), "{unknown}");
    let unknown = message("[scoring]\ndarts = \"legs\"");
    assert!(unknown.contains("scoring.darts") && unknown.contains("\"frames\""), "{unknown}");
    assert!(message("[scoring]\ndarts = 3").contains("scoring.darts"));
    assert!(message("[scoring]\ndarts = \"text\"\n15 = \"goals\"").contains("twice"));
}

#[test]
fn a_time_in_the_hour_that_comes_twice_is_the_one_nearest_to_when_it_came() {
    let mut forest = forest();
    let mut log = Log::default();
    let slot = forest.add_match(&["A".to_owned()], Listing::default()).unwrap();
    let mut document = super::Document::default();
    let mut clock = |forest: &mut Forest, log: &mut Log| {
        let mut sections = Vec::new();
        forest.render(slot, log, &mut sections);
        document.apply(sections);
        document.to_value(log)["clock"]["at"].clone()
    };
    // 2019-10-27 00:30:02 UTC, half an hour before clocks go back from 02:00 to 01:00.
    let came = 1_572_136_202;
    let load = b"F|EV;IT=e;CL=1;SS=0-0;TM=10;TS=0;TT=1;TU=20191027013000;|";
    forest.load(b"A", load, at(came), &mut log).unwrap();
    assert_eq!(clock(&mut forest, &mut log), json!("2019-10-27T00:30:00Z"));
    // It stays what it was taken for, however late something else changes, or it is loaded again.
    forest.delta(b"A/e", b"U|SS=1-0;|", at(came + 3_600), &mut log).unwrap();
    assert_eq!(clock(&mut forest, &mut log), json!("2019-10-27T00:30:00Z"));
    assert_eq!(log.seen[0].1.clock.unwrap().seconds, 600 + 3_602);
    forest.load(b"A", load, at(came + 3_600), &mut log).unwrap();
    assert_eq!(clock(&mut forest, &mut log), json!("2019-10-27T00:30:00Z"));
    forest.delta(b"A/e", b"U|TU=20191027013001;|", at(came + 3_600), &mut log).unwrap();
    assert_eq!(clock(&mut forest, &mut log), json!("2019-10-27T01:30:01Z"));
    // The server's time counts where it is known: it is two hours behind ours.
    assert!(forest.server_time(b"F|IN;TI=20191027005959;|", at(came + 1_797 + 3_600)));
    forest.delta(b"A/e", b"U|TU=20191027013002;|", at(came + 3_600 + 60), &mut log).unwrap();
    assert_eq!(clock(&mut forest, &mut log), json!("2019-10-27T00:30:02Z"));
}

#[test]
fn an_update_tells_each_step() {
    let mut single = Single::loaded(EVENT);
    single.delta("T", "U|SS=1-0;|").unwrap();
    assert_eq!(registers(&single), [(Register::Score(Side::Home), 1)]);
    single.delta("T", "U|EV;SS=;|").unwrap();
    assert_eq!(single.log.seen.len(), 1, "unknown moves nothing");
    single.delta("T", "U|SS=2-1;SU=1;UC=Goal;|").unwrap();
    let (home, away) = (Register::Score(Side::Home), Register::Score(Side::Away));
    assert_eq!(registers(&single), [(home, 2), (away, 1), (Register::Suspended, 1)]);
    assert_eq!(last(&single).changes, ["comment Goal"]);
    single.delta("T", "U|SS=2-1;XY=1,2;|").unwrap();
    assert_eq!(single.log.seen.len(), 2);
    assert_eq!(single.document()["extra"], json!({"UC": "Goal", "XY": "1,2"}));
}

#[test]
fn statistics_are_registers_or_changes() {
    let mut single = Single::loaded(EVENT);
    single.delta("T", "U|S1=Corners;S2=Fouls;S3= Yellow ;|").unwrap();
    single.delta("h", "U|S1=3;S2=4;|").unwrap();
    assert_eq!(registers(&single), [(Register::Corners(Side::Home), 3)]);
    assert_eq!(last(&single).changes, ["Fouls home 4"]);
    single.delta("h", "U|S1=many;|").unwrap();
    assert_eq!(
        (registers(&single), &last(&single).changes[..]),
        (vec![], &["corners home many".to_owned()][..])
    );
    single.delta("a", "U|S3=1;|").unwrap();
    assert_eq!(registers(&single), [(Register::YellowCards(Side::Away), 1)]);
    let stats = json!({"corners": {"home": "many"}, "Fouls": {"home": 4}, "yellow_cards": {"away": 1}});
    assert_eq!(single.document()["stats"], stats);
}

#[test]
fn prices_move() {
    let mut single = Single::loaded(EVENT);
    let selection =
        |single: &mut Single, key: &str| single.document()["markets"]["m"]["selections"][key].clone();
    assert_eq!(selection(&mut single, "q").get("open"), None);
    single.delta("p", "U|OD=6/4;SU=1;|").unwrap();
    assert_eq!(last(&single).changes, ["m/p 2.5 6/4", "m/p suspended"]);
    let shown = selection(&mut single, "p");
    assert_eq!((&shown["odds"], &shown["open"], &shown["move"]), (&json!(2.5), &json!(2.25), &json!(1)));
    single.delta("p", "U|OD=12/8;|").unwrap();
    assert_eq!(single.log.seen.len(), 1, "the same price in other words");
    single.delta("p", "U|OD=0/0;|").unwrap();
    assert_eq!(last(&single).changes, ["m/p - 0/0"]);
    let shown = selection(&mut single, "p");
    assert_eq!((shown.get("odds"), &shown["open"], &shown["move"]), (None, &json!(2.25), &json!(1)));
    single.delta("q", "U|OD=3/1;|").unwrap();
    let shown = selection(&mut single, "q");
    assert_eq!((&shown["odds"], &shown["open"], &shown["move"]), (&json!(4), &json!(4), &json!(0)));
    single.delta("m/p", "I|PA;IT=p;NA=Z;OD=1/1;|").unwrap();
    let shown = selection(&mut single, "p");
    assert_eq!((&shown["name"], &shown["open"], &shown["order"]), (&json!("Z"), &json!(2.25), &json!(1)));
    let (_, all) = single.log.odds_bases.last().unwrap();
    assert_eq!(all, &["m", "m/q 4", "m/p 2"], "another name is another handle, so everything is reported");
}

#[test]
fn markets_open_and_close() {
    let mut single = Single::loaded(EVENT);
    single.document();
    single.delta("mg/n", "I|MA;IT=n;NA=Next;OR=0;|").unwrap();
    assert_eq!(last(&single).changes, ["n open"]);
    assert_eq!(single.log.names.last().unwrap(), &("n".to_owned(), "Next".to_owned()));
    assert_eq!(single.document()["market_order"], json!(["n", "m"]));
    single.delta("m", "U|SU=1;|").unwrap();
    assert_eq!(last(&single).changes, ["m suspended"]);
    single.delta("T/mg", "D||").unwrap();
    assert_eq!(last(&single).changes, ["n closed", "m closed"]);
    let mut sections = Vec::new();
    single.forest.render(single.slot, &mut single.log, &mut sections);
    let gone = |section: &Section<'_>| match section {
        Section { key: SectionKey::Market(handle), body: None } => single.log.key(*handle).to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(sections[..2].iter().map(gone).collect::<Vec<_>>(), ["m", "n"]);
    assert_eq!(sections[2..].iter().map(|section| section.key).collect::<Vec<_>>(), [SectionKey::Tail]);
    assert_eq!(single.delta("m", "U|SU=0;|"), Err(TreeError::MissingTarget { path: "m".to_owned() }));
}

#[test]
fn what_did_not_change_is_not_published() {
    let mut single = Single::loaded(EVENT);
    single.document();
    let mut sections = Vec::new();
    single.delta("p", "U|OD=6/4;|").unwrap();
    single.delta("T/mg/m/q", "D||").unwrap();
    single.delta("m/q", "I|PA;IT=q;NA=B;OD=;|").unwrap();
    single.delta("T", "U|SS=1-0;|").unwrap();
    single.delta("T", "U|SS=0-0;|").unwrap();
    assert_eq!(single.forest.oldest_dirty().map(|(slot, _)| slot), Some(single.slot));
    single.forest.render(single.slot, &mut single.log, &mut sections);
    let keys: Vec<_> = sections.iter().map(|section| section.key).collect();
    assert_eq!(keys, [SectionKey::Market(Handle(1))]);
    assert_eq!(single.forest.oldest_dirty(), None);
    // The same load again changes only what the updates had changed.
    single.load(EVENT);
    sections.clear();
    single.forest.render(single.slot, &mut single.log, &mut sections);
    assert_eq!(sections.iter().map(|section| section.key).collect::<Vec<_>>(), keys);
}

#[test]
fn the_oldest_change_comes_first() {
    let mut forest = forest();
    let mut log = Log::default();
    let slots: Vec<_> =
        (0..3).map(|n| forest.add_match(&[format!("T{n}")], Listing::default()).unwrap()).collect();
    let read = |mono_ns| super::Received { wall_us: 0, mono_ns };
    for (n, place) in [2, 0, 1].into_iter().enumerate() {
        forest.load(format!("T{place}").as_bytes(), b"F|EV;IT=e;|", read(n as u64), &mut log).unwrap();
    }
    forest.delta(b"T2/e", b"U|SS=1-0;|", read(9), &mut log).unwrap();
    let waiting = |forest: &Forest| -> Vec<_> {
        let since = |slot: &u32| forest.matches[*slot as usize].dirty_since.unwrap();
        forest.dirty.iter().map(|slot| (MatchSlot(*slot), since(slot))).collect()
    };
    assert_eq!(waiting(&forest), [(slots[2], 0), (slots[0], 1), (slots[1], 2)]);
    forest.render(slots[0], &mut log, &mut Vec::new());
    forest.remove_match(slots[2]);
    assert_eq!(waiting(&forest), [(slots[1], 2)]);
}

#[test]
fn a_running_clock_is_displayed_by_the_servers_time_and_received_by_ours() {
    let mut forest = forest();
    let mut log = Log::default();
    forest.add_match(&["A".to_owned()], Listing::default()).unwrap();
    let load = b"F|EV;IT=e;CL=1;SS=0-0;TM=10;TS=0;TT=1;TU=20190517140000;|MA;IT=m;|PA;IT=p;OD=1/1;|";
    // 13:00:30 UTC is 14:00:30 where the feed is.
    let half_past = at(1_558_098_030);
    forest.load(b"A", load, half_past, &mut log).unwrap();
    assert_eq!(log.bases[0].1.clock.unwrap().seconds, 630, "without a stated time our clock is all there is");
    // The server is a minute behind us.
    assert!(forest.server_time(b"F|IN;TI=20190517135930500;UF=15;|", half_past));
    assert!(!forest.server_time(b"U|IN;UF=15;|", half_past), "what states none changes nothing");
    forest.delta(b"A/e", b"U|UC=Goal;|", at(1_558_098_100), &mut log).unwrap();
    let (_, seen) = &log.seen[0];
    assert_eq!((seen.clock.unwrap().seconds, seen.received_at), (640, 1_558_098_100_000_000));
}

#[test]
fn the_first_topic_wins_and_one_id_in_two_is_changed_in_both() {
    let mut forest = forest();
    let mut log = Log::default();
    let slot = forest.add_match(&["A".to_owned(), "B".to_owned()], Listing::default()).unwrap();
    let first = b"F|EV;IT=e;CL=1;SS=1-0;|MA;IT=m;NA=first;|PA;IT=p;OD=1/1;|";
    let second = b"F|EV;IT=f;SS=9-9;CT=Cup;TM=4;|MA;IT=m;NA=second;|PA;IT=p;OD=1/1;|MA;IT=n;|";
    forest.load(b"B", second, at(0), &mut log).unwrap();
    forest.load(b"A", first, at(0), &mut log).unwrap();
    let mut document = super::Document::default();
    let mut show = |forest: &mut Forest, log: &mut Log| {
        let mut sections = Vec::new();
        forest.render(slot, log, &mut sections);
        document.apply(sections);
        super::check_odds(forest, slot, log);
        document.to_value(log)
    };
    let shown = show(&mut forest, &mut log);
    assert_eq!((&shown["score"]["text"], &shown["competition"]), (&json!("1-0"), &json!("Cup")));
    assert_eq!((&shown["clock"]["seconds"], &shown["market_order"]), (&json!(240), &json!(["m", "n"])));
    assert_eq!(shown["markets"]["m"]["name"], "first");
    forest.delta(b"p", b"U|OD=2/1;|", at(0), &mut log).unwrap();
    for topic in ["A", "B"] {
        assert!(encode(&forest, topic).windows(6).any(|part| part == b"OD=2/1"), "{topic}");
    }
    assert_eq!(log.seen.len(), 1, "reported once");
    assert_eq!(log.touched, [slot; 3], "two loads, and one delta for both trees");
    forest.delta(b"A/e/m", b"D||", at(0), &mut log).unwrap();
    let shown = show(&mut forest, &mut log);
    assert_eq!(shown["markets"]["m"]["name"], "second");
    assert_eq!(shown["markets"]["m"]["selections"]["p"]["odds"], 3);
    forest.delta(b"e/m", b"I|MA;IT=m;NA=third;|", at(0), &mut log).unwrap();
    let shown = show(&mut forest, &mut log);
    assert_eq!(
        (&shown["markets"]["m"]["name"], &shown["market_order"]),
        (&json!("third"), &json!(["m", "n"]))
    );
    // A load of the first topic, in which the same id is no market, hides the other topic's market.
    forest.load(b"A", b"F|EV;IT=e;SS=1-0;|XX;IT=m;|", at(0), &mut log).unwrap();
    assert_eq!(show(&mut forest, &mut log)["markets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["n"]);
    forest.topic_removed(b"A", at(0), &mut log).unwrap();
    let shown = show(&mut forest, &mut log);
    assert_eq!((&shown["markets"]["m"]["name"], &shown["score"]["text"]), (&json!("second"), &json!("9-9")));
    assert!(forest.is_live(slot));
    forest.topic_removed(b"B", at(0), &mut log).unwrap();
    assert!(!forest.is_live(slot));
}

#[test]
fn an_empty_load_is_a_known_topic_without_content() {
    for body in ["EMPTY", "", "F|", "F||", "F"] {
        let mut single = Single::loaded(body);
        assert!(!single.forest.is_live(single.slot) && !single.forest.is_loaded(b"T"));
        assert_eq!((single.log.touched.len(), single.log.bases.len()), (1, 0));
        single.delta("T/e", "I|EV;IT=e;NA=late;|").unwrap();
        assert!(single.forest.is_live(single.slot));
        assert_eq!(single.log.touched.len(), 2, "one delta, also where it makes a match live");
        assert_eq!((single.document()["name"].as_str(), single.log.bases.len()), (Some("late"), 1));
    }
}

#[test]
fn the_list_fills_what_the_topic_lacks() {
    let listing = Listing {
        name: Some(" L v M ".to_owned()),
        sport_id: Some("1".to_owned()),
        competition: Some("Cup".to_owned()),
        ..Listing::default()
    };
    let mut single = Single::with("T", listing.clone(), forest());
    single.load("F|EV;IT=T;SS=1-0;|");
    let shown = single.document();
    assert_eq!(
        (&shown["sport"], &shown["home"], &shown["competition"]),
        (&json!("soccer"), &json!("L"), &json!("Cup"))
    );
    let listing = Listing { sport_id: Some("13".to_owned()), ..listing };
    single.forest.set_listing(single.slot, listing, at(1), &mut single.log);
    assert_eq!(single.document()["sport"], "tennis");
    assert_eq!(single.log.bases.len(), 2, "another sport is another meaning");
    assert_eq!(single.forest.name(single.slot).as_deref(), Some("L v M"));
}

#[test]
fn an_insert_has_its_place_among_its_like() {
    let mut single = Single::loaded("F|EV;IT=T;|TG;IT=g;|MA;IT=m0;|PA;IT=a;|PA;IT=b;|PA;IT=c;|");
    single.delta("m0/d", "I|PA;IT=d;OR=1;|").unwrap();
    single.delta("m0/e", "I|PA;IT=e;|").unwrap();
    single.delta("m0/f", "I|PA;OR=99;|").unwrap();
    single.delta("T/m0/a", "D||").unwrap();
    single.delta("m0/c", "I|PA;IT=c;OR=0;|").unwrap();
    single.delta("T/m1", "I|MA;IT=m1;OR=0;|").unwrap();
    let shown = single.document();
    let selections = shown["markets"]["m0"]["selections"].as_object().unwrap();
    let mut order: Vec<(u64, &str)> =
        selections.iter().map(|(k, v)| (v["order"].as_u64().unwrap(), &k[..])).collect();
    order.sort_unstable();
    assert_eq!(order, [(0, "c"), (1, "d"), (2, "b"), (3, "e"), (4, "f")]);
    assert_eq!(shown["market_order"], json!(["m1", "m0"]));
}

#[test]
fn a_line_of_statistics_has_its_place_among_its_like() {
    let mut single = Single::loaded("F|EV;IT=T;|SG;IT=s;|ST;IT=a;|ST;IT=b;|");
    single.delta("s/c", "I|ST;IT=c;OR=0;|").unwrap();
    single.delta("s/d", "I|ST;IT=d;OR=2;|").unwrap();
    let shown = single.document().to_string();
    let places = ["\"c\"", "\"a\"", "\"d\"", "\"b\""].map(|it| shown.find(it).unwrap());
    assert!(places.is_sorted(), "{shown}");
}

#[test]
fn a_node_of_an_unknown_kind_has_its_place_among_its_like() {
    let mut single = Single::loaded("F|EV;IT=T;|XX;IT=a;|YY;IT=b;|XX;IT=c;|");
    single.delta("T/d", "I|XX;IT=d;OR=1;|").unwrap();
    single.delta("T/e", "I|XX;IT=e;OR=0;|").unwrap();
    let shown = single.document().to_string();
    let places = ["e", "a", "b", "d", "c"].map(|it| shown.find(&format!("\"id\":\"{it}\"")).unwrap());
    assert!(places.is_sorted(), "{shown}");
}

#[test]
fn limits_refuse_and_keep_what_is_held() {
    let limits = Limits { nodes: 4, bytes: 200, depth: 3, topics: 1 };
    let forest = Forest::new(Mapping::builtin().unwrap(), limits, jiff::tz::TimeZone::UTC);
    let mut single = Single::with("T", Listing::default(), forest);
    single.load("F|EV;IT=e;|MA;IT=m;|PA;IT=p;|");
    let again = |single: &mut Single, body: &str| {
        single.forest.load(b"T", body.as_bytes(), at(0), &mut single.log).unwrap_err()
    };
    assert_eq!(again(&mut single, "F|A;|B;|C;|D;|E;|"), TreeError::Nodes { limit: 4 });
    assert_eq!(again(&mut single, &format!("F|A;N={};|", "x".repeat(200))), TreeError::Bytes { limit: 200 });
    assert_eq!(again(&mut single, "hello"), TreeError::NotALoad { topic: "T".to_owned() });
    assert_eq!(single.delta("p/x", "I|XX;|"), Err(TreeError::Depth { limit: 3 }));
    single.delta("m/x", "I|XX;|").unwrap();
    assert_eq!(single.delta("m/y", "I|XX;|"), Err(TreeError::Nodes { limit: 4 }));
    assert_eq!(
        single.delta("m", &format!("U|N={};|", "x".repeat(200))),
        Err(TreeError::Bytes { limit: 200 })
    );
    assert_eq!(single.delta("e/e", "I|EV;|"), Err(TreeError::Cycle { path: "e/e".to_owned() }));
    assert_eq!(single.delta("m", "Q|A=1;|"), Err(TreeError::UnknownOperation { topic: "m".to_owned() }));
    let second = single.forest.add_match(&["U".to_owned()], Listing::default());
    assert_eq!(second, Err(TreeError::Topics { limit: 1 }));
    let taken = single.forest.add_match(&["T".to_owned()], Listing::default());
    assert_eq!(taken, Err(TreeError::TopicTaken { topic: "T".to_owned() }));
    assert_eq!(single.document()["market_order"], json!(["m"]));
}

#[test]
fn a_long_list_is_reported_in_parts_and_whole() {
    let mut forest = forest();
    forest.add_list("L", "{ID}".parse().unwrap(), &[]).unwrap();
    let events: String = (0..1_300).map(|n| format!("EV;ID={n};IT=e{n};NA=A v B;|")).collect();
    for _ in 0..2 {
        forest.load(b"L", format!("F|{events}").as_bytes(), at(0), &mut Log::default()).unwrap();
        let (mut changes, mut calls) = (Vec::new(), 0);
        loop {
            let mut part = Vec::new();
            forest.drain_lists(&mut part);
            if part.is_empty() {
                break;
            }
            assert!(part.len() <= 600, "{} at once", part.len());
            changes.append(&mut part);
            calls += 1;
        }
        assert_eq!((calls, changes.len()), (3, 1_302));
        assert_eq!((&changes[0], &changes[1_301]), (&ListChange::LoadBegin, &ListChange::LoadEnd));
        assert!(changes[1..1_301].iter().all(|change| matches!(change, ListChange::Present { .. })));
    }
}

#[test]
fn a_list_tells_what_really_changed() {
    let mut forest = forest();
    let mut log = Log::default();
    forest.add_list("L", "{ID}".parse().unwrap(), &["6V{ID}".parse().unwrap()]).unwrap();
    let body = b"F|CL;ID=1;IT=c;|CT;IT=t;NA=Cup;|EV;ID=7;IT=e;NA=A v B;FS=1;SS=0-0;SM=99;|EV;IT=f;NA=no id;|";
    forest.load(b"L", body, at(0), &mut log).unwrap();
    let step = |forest: &mut Forest, path: &str, body: &str| {
        if !path.is_empty() {
            forest.delta(path.as_bytes(), body.as_bytes(), at(0), &mut Log::default()).unwrap();
        }
        let mut changes = Vec::new();
        forest.drain_lists(&mut changes);
        changes
    };
    let id = MatchId::from("7");
    let mut listing = Listing {
        name: Some("A v B".to_owned()),
        sport_id: Some("1".to_owned()),
        sport: Some("soccer".to_owned()),
        competition: Some("Cup".to_owned()),
        score: Some("0-0".to_owned()),
        period: None,
        in_play: true,
        starts_at: Some(99),
        attributes: vec![("ID".to_owned(), "7".to_owned())],
    };
    let present =
        |listing: &Listing| ListChange::Present { id: MatchId::from("7"), listing: listing.clone() };
    assert_eq!(step(&mut forest, "", ""), [ListChange::LoadBegin, present(&listing), ListChange::LoadEnd]);
    assert_eq!(step(&mut forest, "e", "U|XY=1;|"), []);
    forest.delta(b"e", b"U|SS=1-0;|", at(0), &mut log).unwrap();
    assert_eq!(step(&mut forest, "e", "U|SS=0-0;|"), [], "back again before anybody looked");
    listing.competition = Some("League".to_owned());
    assert_eq!(step(&mut forest, "t", "U|NA=League;|"), [present(&listing)]);
    assert_eq!(step(&mut forest, "L/c/t/e", "D||"), [ListChange::Gone { id: id.clone() }]);
    assert_eq!(step(&mut forest, "t/g", "I|EV;ID=7;IT=g;NA=A v B;FS=1;SS=0-0;SM=99;|"), [present(&listing)]);
    forest.delta(b"L/c/t/g", b"D||", at(0), &mut log).unwrap();
    let again = step(&mut forest, "t/h", "I|EV;ID=7;IT=h;NA=A v B;FS=1;SS=0-0;SM=99;|");
    assert_eq!(again, [present(&listing)], "a move is no end");
    forest.topic_removed(b"L", at(0), &mut log).unwrap();
    assert_eq!(step(&mut forest, "", ""), [ListChange::Lost]);
}

#[test]
fn a_selection_has_a_result_where_the_mapping_names_one() {
    let over = Mapping::overlaid("[selection]\nwon = \"WN\"").unwrap();
    let forest = Forest::new(over, Limits::default(), jiff::tz::TimeZone::UTC);
    let mut single = Single::with("T", Listing::default(), forest);
    single.load("F|EV;IT=T;CL=1;|MA;IT=m;|PA;IT=p;OD=1/1;WN=;|PA;IT=q;OD=1/1;WN=void;|");
    let selection =
        |single: &mut Single, key: &str| single.document()["markets"]["m"]["selections"][key].clone();
    assert_eq!(selection(&mut single, "p").get("won"), None);
    let other = selection(&mut single, "q");
    assert_eq!((other.get("won"), &other["extra"]), (None, &json!({"WN": "void"})), "it is no result");
    for (text, won) in [("1", json!(true)), ("0", json!(false))] {
        single.delta("p", &format!("U|WN={text};|")).unwrap();
        assert_eq!(selection(&mut single, "p")["won"], won);
    }
    let mut plain = Single::loaded("F|EV;IT=T;CL=1;|MA;IT=m;|PA;IT=p;OD=1/1;WN=1;|");
    assert_eq!(selection(&mut plain, "p").get("won"), None, "the built-in table names none");
}

#[test]
fn a_mapping_is_laid_over_the_built_in_one() {
    let over = Mapping::overlaid(
        "[event]\nscore = \"ZZ\"\n[[period]]\nnames=[\"HT\"]\nphase=\"after 3\"\nstatus=\"break\"",
    )
    .unwrap();
    let forest = Forest::new(over, Limits::default(), jiff::tz::TimeZone::UTC);
    let mut single = Single::with("T", Listing::default(), forest);
    single.load("F|EV;IT=T;CL=1;SS=9-9;ZZ=1-0;CP=HT;|");
    let shown = single.document();
    assert_eq!((&shown["score"]["text"], &shown["extra"]), (&json!("1-0"), &json!({"SS": "9-9"})));
    single.forest.report(single.slot, at(0), &mut single.log);
    let (_, base) = single.log.bases.pop().unwrap();
    assert_eq!(base.registers[&Register::Phase], Phase::after(3).0);
    let message = |text: &str| Mapping::overlaid(text).unwrap_err().to_string();
    assert!(message("[evnt]").contains("evnt"));
    assert!(message("[event]\nscore = \"TOOLONG\"").contains("event.score"));
    assert!(message("[event]\nscoer = \"SS\"").contains("event.scoer"));
    assert!(message("[event]\nscore = \"XP\"").contains("two roles"));
    assert!(
        message("[[period]]\nnames = [\"x\"]\nphase = \"during 3\"\nstatus = \"break\"")
            .contains("period 1.phase")
    );
    assert!(message("a = [").contains("line 1"));
}
