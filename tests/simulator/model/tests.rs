//! The model against a naive text model: what is written, applied as text, must give what is true.

use super::document::{Numbered, document, head};
use super::json::Digest;
use super::make::{Plan, make};
use super::naive::{Naive, parse_load, strip_order};
use super::random::Random;
use super::state::{Match, Sport};
use super::step::step;
use super::{Change, Channel, Moment, encode};
use proptest::prelude::*;
use serde_json::Value;

pub(super) const NOW: Moment = Moment { micros: 1_558_098_187_000_000, offset: 3_600 };

pub(super) fn invent(sport: Sport, seed: u64, course: usize) -> (Match, Random) {
    let mut random = Random::new(seed);
    let plan =
        Plan { number: 12, sport, bytes: 6_000, sparse: false, history: 100_000, changes: 100_000, course };
    let mut m = make(plan, &mut random, NOW);
    m.ledger.begun = true;
    (m, random)
}

fn text(m: &Match) -> String {
    let mut out = Vec::new();
    encode::load(m, NOW.offset, &mut out);
    String::from_utf8(out).unwrap()
}

/// The digest of a document as others would take it: from its JSON.
fn digest_of(document: &Value) -> Digest {
    let mut head = document.as_object().unwrap().clone();
    let markets = head.remove("markets").unwrap();
    head.get_mut("extra").unwrap().as_object_mut().unwrap().remove("ZC");
    let sum = markets.as_object().unwrap().iter().map(|(key, value)| Digest::member(key, Digest::of(value)));
    super::document::combined(Digest::of(&Value::Object(head)).0, sum.fold(0, u64::wrapping_add))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(15) })]
    #[test]
    fn what_is_written_and_applied_is_what_is_true(seed in any::<u64>(), sport in 0..5usize, course in 0..40usize) {
        let (mut m, mut random) = invent(Sport::ALL[sport], seed, course);
        let mut naive = Naive::load(&text(&m));
        let mut change = Change::default();
        let mut now = NOW;
        for step_number in 0..300 {
            now = now.after(3_000_000);
            change.clear();
            step(&mut m, &mut random, now, 4.0, &mut change);
            for message in change.messages().filter(|message| message.channel == Channel::Match) {
                naive.apply(str::from_utf8(message.topic).unwrap(), str::from_utf8(message.body).unwrap());
                // Every state on the way is one that is remembered under the number then visible.
                let shown = naive.document();
                let number = shown["extra"]["ZC"].as_str().unwrap().parse().unwrap();
                let known = m.history.knows(number, digest_of(&shown));
                prop_assert_eq!(known, super::history::Known::True, "{}", crate::oracle::difference(&document(&m), &shown));
            }
            // The dear comparisons are made now and then.
            if step_number % 10 != 0 {
                continue;
            }
            prop_assert_eq!(strip_order(parse_load(&text(&m))), strip_order(naive.root.clone()));
            let truth = document(&m);
            prop_assert_eq!(&naive.document(), &truth, "{}", crate::oracle::difference(&truth, &naive.document()));
            prop_assert_eq!(m.digest(), digest_of(&truth));
            let mut anew = m.clone();
            anew.redigest();
            prop_assert_eq!(m.digest(), anew.digest());
        }
    }
}

#[test]
fn a_seed_gives_one_stream_of_bytes() {
    let run = |seed| {
        let (mut m, mut random) = invent(Sport::Soccer, seed, 10);
        let mut all = text(&m).into_bytes();
        let mut change = Change::default();
        for n in 0..500 {
            step(&mut m, &mut random, NOW.after(n * 50_000), 4.0, &mut change);
        }
        for message in change.messages() {
            all.extend_from_slice(message.topic);
            all.extend_from_slice(message.body);
        }
        all
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn the_head_leaves_the_number_out_of_its_digest_only() {
    let (m, _) = invent(Sport::Tennis, 3, 5);
    let with: Value = head(&m, Numbered::Yes);
    let without: Value = head(&m, Numbered::No);
    assert_eq!(with["extra"]["ZC"], "1");
    assert!(without["extra"].get("ZC").is_none());
    assert_eq!(m.head_digest, Digest::of(&without).0);
}

#[test]
fn a_load_has_about_the_size_that_was_asked_for() {
    for bytes in [10_000, 30_000, 128_000] {
        for sport in Sport::ALL {
            let mut random = Random::new(1);
            let plan = Plan { number: 1, sport, bytes, sparse: false, history: 1, changes: 1, course: 3 };
            let size = text(&make(plan, &mut random, NOW)).len();
            assert!((bytes..bytes + 3_000).contains(&size), "{sport:?}: {size} for {bytes}");
        }
    }
}
