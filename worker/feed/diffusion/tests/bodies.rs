//! Bodies that are decoded, and messages in pieces.

use super::*;
use crate::wire::diffusion::{BodyEncoder, BodyError, Encoding, FragmentOf, HeadError, write_fragments};

fn encoded(kind: MessageType, encoding: Encoding, topic: TopicRef<'_>, body: &[u8]) -> Vec<u8> {
    let mut there = Vec::new();
    BodyEncoder::default().encode(encoding, body, &mut there);
    bytes(|out| {
        FrameWriter::dpt_with(out, kind, Part::Whole, encoding).topic(topic).body(&there).unwrap();
    })
}

/// The pieces of a message, each a frame.
fn pieces(
    kind: MessageType,
    topic: TopicRef<'_>,
    correlation: &str,
    body: &[u8],
    piece: usize,
) -> Vec<Vec<u8>> {
    pieces_of(kind, Encoding::Plain, topic, correlation, body, piece)
}

fn pieces_of(
    kind: MessageType,
    encoding: Encoding,
    topic: TopicRef<'_>,
    correlation: &str,
    body: &[u8],
    piece: usize,
) -> Vec<Vec<u8>> {
    let (mut out, mut ends) = (Vec::new(), vec![0]);
    let of = FragmentOf { kind, encoding, topic, correlation: correlation.as_bytes() };
    write_fragments(&mut out, &of, body, piece, |out| ends.push(out.len())).unwrap();
    ends.windows(2).map(|ends| out[ends[0]..ends[1]].to_vec()).collect()
}

/// A piece with headers as given, blanks between.
fn piece(kind: MessageType, headers: &str, body: &str) -> Vec<u8> {
    bytes(|out| {
        let mut writer = FrameWriter::dpt_with(out, kind, Part::Fragment, Encoding::Plain);
        for header in headers.split(' ') {
            writer = writer.header(header.as_bytes());
        }
        writer.body(body.as_bytes()).unwrap();
    })
}

const NAMED: TopicRef<'static> = TopicRef::Named { name: b"topic", alias: Some(b"1") };

#[test]
fn compressed_and_base64_bodies_are_reported_as_if_they_were_plain() {
    let mut bench = Bench::open(quiet());
    for encoding in [Encoding::Compressed, Encoding::Base64] {
        bench.receive(&encoded(MessageType::TopicLoad, encoding, NAMED, b"F|EV;|"));
        bench.receive(&encoded(MessageType::Delta, encoding, TopicRef::Alias(b"1"), b"U|SS=1-0;|"));
        bench.receive(&delta("1", "plain"));
        assert_eq!(
            bench.take_reported(),
            ["load topic F|EV;|", "delta topic U|SS=1-0;|", "delta topic plain"]
        );
    }
    assert_eq!(bench.session.errors(), 0);
}

#[test]
fn a_bad_body_hurts_its_own_message_only() {
    let mut bench = Bench::open(SessionConfig { body_limit: 10_000, body_ratio: 20, ..quiet() });
    let zeros = encoded(MessageType::TopicLoad, Encoding::Compressed, NAMED, &[0; 10_001]);
    let long = encoded(MessageType::TopicLoad, Encoding::Base64, NAMED, &[0; 10_001]);
    let mut broken = encoded(MessageType::TopicLoad, Encoding::Compressed, NAMED, b"text");
    *broken.last_mut().unwrap() ^= 1;
    let marked = |byte| {
        let mut frame = load("topic", "1", "x");
        frame[5] = byte;
        frame
    };
    for (frame, why) in [
        (zeros, BodyError::TooDense { ratio: 20 }),
        (long, BodyError::TooLong { limit: 10_000 }),
        (broken, BodyError::Zlib),
        (marked(0x11), BodyError::Encrypted),
        (marked(0x12), BodyError::CutOff),
        (marked(0x13), BodyError::Base64),
        (marked(0x7f), BodyError::Unknown { byte: 0x7f }),
    ] {
        bench.receive(&[frame, delta("1", "next")].concat());
        assert_eq!(bench.take_reported(), ["delta topic next"], "the alias of a load counts all the same");
        assert_eq!(std::mem::take(&mut bench.skipped), [Skip::Body(why)]);
    }
    assert_eq!(bench.session.errors(), 7);
}

#[test]
fn pieces_are_put_together_whatever_stands_between() {
    let mut bench = Bench::open(quiet());
    let one = pieces(MessageType::TopicLoad, NAMED, "c1", b"the whole of it", 4);
    let two = pieces(MessageType::Delta, TopicRef::named(b"other"), "c2", b"abc", 1);
    assert_eq!((one.len(), two.len()), (4, 3));
    let mixed = [&one[0], &two[0], &one[1], &delta("?", "x"), &two[1], &one[2], &two[2], &one[3]];
    for frame in mixed {
        bench.receive(frame);
    }
    bench.receive(&delta("1", "after"));
    assert_eq!(bench.reported, ["delta other abc", "load topic the whole of it", "delta topic after"]);
    assert_eq!(bench.skipped, [Skip::UnknownAlias]);
    assert_eq!(bench.session.errors(), 1);
}

#[test]
fn an_encoded_message_is_put_together_and_then_decoded() {
    let body = b"compressed, then cut ".repeat(100);
    for encoding in [Encoding::Compressed, Encoding::Base64] {
        let mut there = Vec::new();
        BodyEncoder::default().encode(encoding, &body, &mut there);
        let mut bench = Bench::open(quiet());
        for frame in pieces_of(MessageType::TopicLoad, encoding, NAMED, "c", &there, 7) {
            bench.receive(&frame);
        }
        assert_eq!(bench.reported, [format!("load topic {}", text(&body))]);
    }
}

#[test]
fn the_ack_of_pieces_is_found_wherever_it_stands() {
    use MessageType::{Ack, DeltaAck, TopicLoadAck};
    for (frames, id) in [
        // Before the correlation, and the later ones with the correlation alone or with both.
        ([piece(TopicLoadAck, "topic!1 1n c7 1/2 4", "ab"), piece(TopicLoadAck, "topic!1 c7 2", "cd")], "1n"),
        ([piece(TopicLoadAck, "topic 1n c7 1/2 4", "ab"), piece(TopicLoadAck, "topic 1n c7 2", "cd")], "1n"),
        // After it: only a later piece with the correlation alone shows that.
        ([piece(TopicLoadAck, "topic c7 1n 1/2 4", "ab"), piece(TopicLoadAck, "topic c7 2", "cd")], "1n"),
        // Behind the size.
        ([piece(TopicLoadAck, "topic c7 1/2 4 1n", "ab"), piece(TopicLoadAck, "topic c7 2", "cd")], "1n"),
    ] {
        let mut bench = Bench::open(quiet());
        bench.receive(&frames.concat());
        assert_eq!(bench.reported, ["load topic abcd"], "{:?}", bench.skipped);
        assert_eq!(bench.sent(), [(Ack, id.to_owned())]);
    }
    let mut bench = Bench::open(quiet());
    bench.receive(&[piece(DeltaAck, "topic c7 1/2 4", "ab"), piece(DeltaAck, "topic c7 2", "cd")].concat());
    assert_eq!(bench.reported, ["delta topic abcd"]);
    assert_eq!((bench.sent().len(), bench.session.errors()), (0, 1), "no id at all");
}

/// What pieces do to a session: the frames' headers and chunks, what is reported, what is skipped.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], Vec<FragmentError>);

#[test]
fn pieces_that_do_not_fit_are_counted_and_skipped() {
    use FragmentError::*;
    let cases: [Case; 9] = [
        (&[("t c 2", "b"), ("t c 3", "c")], &[], vec![Stray, Stray]),
        (
            &[("t c 1/3 3", "a"), ("t c 2", "b"), ("t c 2", "b"), ("t c 3", "c")],
            &["load t abc"],
            vec![Again { number: 2 }],
        ),
        (&[("t c 1/3 3", "a"), ("t c 3", "c"), ("t c 2", "b")], &[], vec![Missing { number: 2 }, Stray]),
        (&[("t c 1/2 2", "a"), ("t c 3", "c"), ("t c 2", "b")], &[], vec![Beyond { total: 2 }, Stray]),
        (&[("t c 1/3 3", "a"), ("t c 1/2 2", "x"), ("t c 2", "y")], &["load t xy"], vec![Restarted]),
        (&[("t c 1/10001 9", "a")], &[], vec![Parts { total: 10_001 }]),
        (&[("t c 1/2 17000000", "a"), ("t c 2", "b")], &[], vec![TooLong { limit: 16_000_000 }, Stray]),
        (&[("t c 1/1 1", "a")], &["load t a"], vec![]),
        // The size is a hint.
        (&[("t c 1/2 99", "a"), ("t c 2", "b")], &["load t ab"], vec![]),
    ];
    for (frames, reported, skipped) in cases {
        let mut bench = Bench::open(quiet());
        for (headers, chunk) in frames {
            bench.receive(&piece(MessageType::TopicLoad, headers, chunk));
        }
        assert_eq!(bench.reported, reported, "{frames:?}");
        let skipped: Vec<Skip> = skipped.into_iter().map(Skip::Fragment).collect();
        assert_eq!(bench.skipped, skipped, "{frames:?}");
        assert_eq!(bench.session.errors(), skipped.len() as u64);
    }
}

#[test]
fn pieces_of_another_type_end_their_message() {
    let mut bench = Bench::open(quiet());
    bench.receive(&piece(MessageType::TopicLoad, "t c 1/2 2", "a"));
    bench.receive(&piece(MessageType::Delta, "t c 2", "b"));
    bench.receive(&piece(MessageType::FetchReply, "t c 1/2 2", "b"));
    let head = FragmentError::Head(HeadError::Kind(MessageType::FetchReply));
    assert_eq!(bench.skipped, [FragmentError::Mixed, head].map(Skip::Fragment));
    assert!(bench.reported.is_empty());
}

#[test]
fn either_code_cancels() {
    for code in [0x30, 0x2a] {
        let mut bench = Bench::open(quiet());
        let mut cancel = bytes(|out| {
            FrameWriter::dpt(out, MessageType::CancelFragments).header(b"c").end().unwrap();
        });
        cancel[4] = code;
        bench.receive(&piece(MessageType::TopicLoad, "t c 1/2 2", "a"));
        bench.receive(&cancel);
        assert!(bench.skipped.is_empty());
        bench.receive(&piece(MessageType::TopicLoad, "t c 2", "b")).receive(&cancel);
        assert_eq!(bench.skipped, [FragmentError::Stray; 2].map(Skip::Fragment));
        assert!(bench.reported.is_empty());
    }
}

#[test]
fn open_messages_are_bounded_in_number_bytes_and_age() {
    let mut bench = Bench::open(SessionConfig { body_limit: 100, ..quiet() });
    for number in 0..17 {
        bench.receive(&piece(MessageType::TopicLoad, &format!("t c{number} 1/2 2"), "a"));
    }
    assert_eq!(bench.skipped, [Skip::Fragment(FragmentError::Crowded)]);
    bench.receive(&piece(MessageType::TopicLoad, "t c0 2", "b"));
    bench.receive(&piece(MessageType::TopicLoad, "t c16 2", "b"));
    assert_eq!(bench.take_reported(), ["load t ab"], "the oldest had to go");
    bench.skipped.clear();
    bench.receive(&piece(MessageType::TopicLoad, "t long 1/3 3", &"x".repeat(90)));
    assert_eq!(
        bench.skipped,
        [Skip::Fragment(FragmentError::TooLong { limit: 100 })],
        "the oldest make room"
    );
    bench.receive(&piece(MessageType::TopicLoad, "t long 2", &"x".repeat(90)));
    bench.receive(&piece(MessageType::TopicLoad, "t long 3", "x"));
    assert!(bench.reported.is_empty());
    bench.skipped.clear();
    bench.receive(&piece(MessageType::TopicLoad, "t old 1/2 3", "x"));
    assert!(bench.session.deadline().is_some());
    let before = bench.session.errors();
    for _ in 0..31 {
        bench.receive(&delta("?", "")).pass(Duration::from_secs(1));
    }
    assert_eq!(bench.session.errors(), before + 31 + 1, "31 of an unknown alias, and the piece");
    let old = Skip::Fragment(FragmentError::Old);
    assert_eq!(bench.skipped.iter().filter(|skip| **skip == old).count(), 1, "and it is reported");
    bench.skipped.clear();
    bench.receive(&piece(MessageType::TopicLoad, "t old 2", "x"));
    assert_eq!(bench.skipped, [Skip::Fragment(FragmentError::Stray)]);
}

proptest! {
    #[test]
    fn what_is_cut_is_put_together(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        size in 1usize..80,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..1000),
    ) {
        let mut streams: Vec<_> = bodies.iter().enumerate().map(|(number, body)| {
            let topic = format!("t{number}");
            let topic = TopicRef::named(topic.as_bytes());
            pieces(MessageType::Delta, topic, &format!("c{number}"), body, size).into_iter()
        }).collect();
        let mut bench = Bench::open(quiet());
        for index in order {
            if let Some(frame) = index.get_mut(&mut streams).next() {
                bench.receive(&frame);
            }
        }
        for frame in streams.into_iter().flatten() {
            bench.receive(&frame);
        }
        let mut expected: Vec<String> =
            bodies.iter().enumerate().map(|(n, body)| format!("delta t{n} {}", text(body))).collect();
        expected.sort();
        bench.reported.sort();
        prop_assert_eq!(&bench.reported, &expected);
        prop_assert_eq!(bench.session.errors(), 0);
    }
}
