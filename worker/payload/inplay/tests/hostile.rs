//! Nothing that a server sends may panic, loop, grow without bound or be published as anything but JSON.

use super::{Log, Single, at, encode, forest, unaddressable};
use crate::payload::Payload;
use proptest::prelude::*;
use proptest::sample::select;
use touchline_common::ipc::messages::data::Section;
use touchline_common::model::Listing;

fn odd_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"F|",
        b"U|",
        b"I|",
        b"D|",
        b"|",
        b";",
        b"=",
        b"EV;",
        b"MA;",
        b"PA;",
        b"TE;OR=0;",
        b"IT=",
        b"IT=a;",
        b"IT=b;",
        b"OD=1/0;",
        b"SS=1-0;",
        b"\xff",
        b"\xc3",
        b"\"",
        b"\\",
        b"\0",
        b"OR=0;",
        b"S1=x;",
        b"CL;ID=13;",
        b"TU=99991399999999;",
        b"CO;",
        b"EMPTY",
        b"T",
    ];
    prop::collection::vec(select(pieces), 0..25).prop_map(|pieces| pieces.concat())
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(select(vec![&b"a"[..], b"b", b"T", b"", b"\xff", b"L"]), 0..4)
        .prop_map(|parts| parts.join(&b'/'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_are_applied_or_refused(messages in prop::collection::vec((path(), odd_bytes(), any::<bool>()), 1..30)) {
        let mut forest = forest();
        let mut log = Log::default();
        let slot = forest.add_match(&["T".to_owned(), "b".to_owned()], Listing::default()).unwrap();
        let id = "{ID}".parse().unwrap();
        forest.add_list("L", id, &[]).unwrap();
        let mut document = super::Document::default();
        for (path, body, load) in messages {
            let _ = match load {
                true => forest.load(&path, &body, at(0), &mut log),
                false => forest.delta(&path, &body, at(0), &mut log),
            };
            let mut sections: Vec<Section<'static>> = Vec::new();
            forest.render(slot, &mut log, &mut sections);
            document.apply(sections);
            forest.drain_lists(&mut Vec::new());
            if forest.is_live(slot) {
                super::check_odds(&mut forest, slot, &mut log);
                let mut whole = Vec::new();
                forest.render_whole(slot, &mut log, &mut whole);
                let mut fresh = super::Document::default();
                fresh.apply(whole);
                prop_assert_eq!(&fresh, &document);
            }
            let encoded = encode(&forest, "T");
            let mut again = Single::new("T");
            again.forest.load(b"T", &encoded, at(0), &mut log).unwrap();
            prop_assert_eq!(encode(&again.forest, "T"), encoded);
        }
    }

    #[test]
    fn pure_noise_is_harmless(noise in prop::collection::vec(any::<u8>(), 0..200), topic in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut single = Single::loaded("F|EV;IT=T;|");
        let _ = single.forest.load(b"T", &[b"F|", &noise[..]].concat(), at(0), &mut single.log);
        let _ = single.forest.delta(&topic, &noise, at(0), &mut single.log);
        let _ = single.forest.delta(b"T", &[b"U|", &noise[..]].concat(), at(0), &mut single.log);
        if single.forest.is_live(single.slot) {
            single.document();
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_kept_and_shown_with_replacements() {
    let mut single = Single::new("T");
    let body = b"F|EV;IT=T;NA=a\xffb;XX=\xc3;|MA;IT=\xfe;|";
    single.forest.load(b"T", body, at(0), &mut single.log).unwrap();
    assert_eq!(encode(&single.forest, "T"), body);
    let shown = single.document();
    assert_eq!(shown["name"], "a\u{fffd}b");
    assert_eq!(shown["market_order"][0], "\u{fffd}");
    single.forest.delta(b"\xfe", b"U|SU=1;|", at(0), &mut single.log).unwrap();
}

#[test]
fn of_two_attributes_with_one_name_the_first_counts() {
    let mut single =
        Single::loaded("F|EV;IT=T;X=1;X=2;|MA;IT=m;ID=1;ID=2;SU=1;SU=0;|PA;IT=p;OD=1/1;OD=2/1;FI=3;FI=4;|");
    let mut sections = Vec::new();
    single.forest.render_whole(single.slot, &mut single.log, &mut sections);
    let text = sections[2].body.clone().unwrap();
    assert_eq!(
        text.matches("\"id\"").count() + text.matches("\"odds\"").count() + text.matches("\"FI\"").count(),
        3
    );
    assert!(
        text.contains("\"id\":\"1\"") && text.contains("\"suspended\":true") && text.contains("\"odds\":2,")
    );
    assert!(single.whole()["extra"]["X"] == "1");
}

#[test]
fn many_siblings_and_many_updates_take_no_more_than_they_should() {
    let mut single = Single::loaded("F|EV;IT=T;|MA;IT=m;|");
    for n in 0..50_000 {
        single.delta(&format!("m/p{n}"), &format!("I|PA;IT=p{n};OR={n};|")).unwrap();
    }
    let before = single.forest.footprint();
    for n in 0..100_000 {
        single.delta(&format!("p{}", n % 100), &format!("U|OD={}/1;|", 1 + n % 1_000)).unwrap();
        single.log.seen.clear();
        single.log.touched.clear();
    }
    assert!(single.forest.footprint() < before + 100_000, "updates replace");
    // Markets that come and go unseen leave nothing behind.
    for _ in 0..20_000 {
        single.delta("T/x", "I|MA;IT=x;|").unwrap();
        single.delta("T/x", "D||").unwrap();
        single.log.seen.clear();
    }
    assert!(single.forest.footprint() < before + 200_000);
    let mut sections = Vec::new();
    single.forest.render(single.slot, &mut single.log, &mut sections);
    assert_eq!(sections.len(), 3, "head, tail and the market");
}

#[test]
fn a_load_of_one_id_a_hundred_thousand_times_is_no_trap() {
    let body = format!("F|{}", "PA;IT=a;|".repeat(99_000));
    let mut single = Single::new("T");
    single.forest.load(b"T", body.as_bytes(), at(0), &mut single.log).unwrap();
    assert_eq!((single.forest.nodes("T"), unaddressable(&single.forest, "T")), (Some(99_000), 98_999));
    single.delta("a", "U|OD=1/1;|").unwrap();
    assert_eq!(encode(&single.forest, "T").windows(6).filter(|part| *part == b"OD=1/1").count(), 1);
    single.delta("T/a", "D||").unwrap();
    single.document();
}
