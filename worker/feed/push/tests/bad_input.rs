//! What no server should send: it costs that message, and is counted.

use super::*;

#[test]
fn messages_that_cannot_be_used_are_counted_and_left_out() {
    let mut bench = Bench::new("", &["a"]);
    bench.seen();
    for (text, why) in [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("<html>", "no JSON"),
        ("[]", "without a topic"),
        ("7", "without a topic"),
        (r#"{"t":{"a":1},"d":1}"#, "without a topic"),
        (r#"{"t":null,"d":1}"#, "without a topic"),
        (r#"{"t":"","d":1}"#, "without a topic"),
        (r#"{"t":"a"}"#, "without a body"),
        (r#"{"t":"b","d":1}"#, "not asked for"),
        (r#"{"t":"a\u0000","d":1}"#, "not asked for"),
    ] {
        bench.take(text);
        let seen = bench.seen();
        assert!(
            seen.len() == 1 && seen[0].starts_with("skipped ") && seen[0].contains(why),
            "{text}: {seen:?}"
        );
    }
    assert_eq!(bench.session.errors(), 11);
    bench.take(r#"{"t":"x","t":"a","d":0,"d":12345678901234567890123.000000000000000001}"#);
    assert_eq!(bench.seen(), ["snapshot a 12345678901234567890123.000000000000000001"]);
    assert_eq!(bench.session.why(), None);
}

#[test]
fn items_of_another_type_and_depth_are_no_danger() {
    let mut bench = Bench::new("items = \"/m\"\n", &["a"]);
    bench.seen();
    bench.take(r#"{"x":1}"#);
    assert!(bench.seen()[0].contains("without items"));
    bench.take(r#"{"m":7}"#);
    bench.take(r#"{"m":[1,null,[]]}"#);
    assert_eq!(bench.seen().len(), 3);
    let deep =
        format!("{{\"m\":[{{\"t\":\"a\",\"d\":{}{}}}]}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    bench.take(&deep);
    let seen = bench.seen();
    assert!(seen.len() == 1 && seen[0].starts_with("snapshot a [["), "the payload has its limit of depth");
    bench.take(&format!("{{\"m\":{}", "[".repeat(1_000_000)));
    assert!(bench.seen()[0].contains("no JSON"));
}

#[test]
fn binary_frames_are_unpacked_and_must_be_utf8() {
    let mut bench = Bench::new("", &["a"]);
    bench.seen();
    let now = bench.now;
    for frame in [&b"\xff\xfe{}"[..], b"\x1f\x8b\x08 broken", b"{\"t\":\"a\xff\",\"d\":1}"] {
        bench.session.take(frame, Form::Binary, now);
        bench.drain();
        assert!(bench.seen()[0].starts_with("skipped "), "{frame:?}");
    }
    bench.session.take(br#"{"t":"a","d":1}"#, Form::Binary, now);
    bench.drain();
    assert_eq!(bench.seen(), ["snapshot a 1"]);
}

#[test]
fn numbers_of_another_type_are_a_hole() {
    let mut bench = Bench::new(&format!("{SNAPSHOTS}sequence = {{ at = \"/n\" }}\n"), &["a"]);
    bench.take(r#"{"t":"a","k":"s","n":"18446744073709551614","d":1}"#);
    bench.take(r#"{"t":"a","n":18446744073709551615,"d":2}"#);
    bench.seen();
    for number in ["18446744073709551616", "-1", "1.5", "null", "[1]", "\"x\""] {
        bench.take(&format!("{{\"t\":\"a\",\"n\":{number},\"d\":3}}"));
        bench.take(r#"{"t":"a","k":"s","n":1,"d":1}"#);
        let seen = bench.seen();
        assert!(seen[0].starts_with("interrupted a ") && seen[1] == "snapshot a 1", "{number}: {seen:?}");
    }
}

#[test]
fn more_deltas_before_a_snapshot_than_may_wait_are_left_out_and_show() {
    let mut bench =
        Bench::new(&format!("{SNAPSHOTS}sequence = {{ at = \"/n\" }}\nheld_deltas = 2\n"), &["a"]);
    bench.seen();
    for n in 2..=5 {
        bench.take(&format!("{{\"t\":\"a\",\"n\":{n},\"d\":{n}}}"));
    }
    assert_eq!(bench.seen().len(), 1, "one was too many");
    bench.take(r#"{"t":"a","k":"s","n":1,"d":1}"#);
    let seen = bench.seen();
    assert!(seen[0] == "snapshot a 1" && seen[1].starts_with("interrupted a "), "{seen:?}");
}
