//! What an open session makes of messages.

use super::*;

#[test]
fn aliases_are_resolved_until_the_topic_is_removed() {
    let mut bench = Bench::open(quiet());
    let removed = |topic| bytes(|out| diffusion::topic_status(out, topic, b"R").unwrap());
    bench.receive(&[load("a/b", "1", "x"), load("c", "2", "y"), delta("1", "1"), delta("2", "2")].concat());
    assert_eq!(bench.take_reported(), ["load a/b x", "load c y", "delta a/b 1", "delta c 2"]);
    bench.receive(&removed(TopicRef::Named { name: b"a/b", alias: Some(b"1") }));
    bench.receive(&[delta("1", "late"), removed(TopicRef::Alias(b"2")), delta("2", "late")].concat());
    assert_eq!(bench.take_reported(), ["removed a/b", "removed c"]);
    assert_eq!(bench.skipped, [Skip::UnknownAlias; 2]);
    bench.receive(&[load("c", "1", "z"), delta("1", "3")].concat());
    assert_eq!(bench.take_reported(), ["load c z", "delta c 3"], "an alias may be given again");
    bench.receive(&removed(TopicRef::named(b"c")));
    bench.receive(&delta("1", "late"));
    assert_eq!(bench.take_reported(), ["removed c"]);
}

#[test]
fn what_was_framed_ahead_and_not_taken_is_read_again_when_the_buffer_moves() {
    let mut bench = Bench::open(quiet());
    let named =
        |name: &str| bytes(|out| diffusion::delta(out, TopicRef::named(name.as_bytes()), b"x").unwrap());
    let all = [named("a"), load("b", "1", "y"), delta("1", "z"), named("c")].concat();
    let spare = bench.session.spare();
    spare[..all.len()].copy_from_slice(&all);
    bench.session.filled(all.len(), bench.now);
    let upcoming: Vec<String> = bench.session.look_ahead().unwrap().map(text).collect();
    assert_eq!((upcoming, bench.session.unread()), (vec!["a".to_owned(), "c".to_owned()], all.len()));
    assert_eq!(reported(&bench.session.next_event(bench.now).unwrap()), "delta a x");
    assert_eq!(bench.session.unread(), all.len() - named("a").len());
    bench.receive(&named("d"));
    assert_eq!(bench.reported, ["load b y", "delta b z", "delta c x", "delta d x"]);
    assert_eq!(bench.session.unread(), 0);
}

#[test]
fn a_delta_without_a_load_or_with_an_unknown_alias_never_ends_the_session() {
    let mut bench = Bench::open(quiet());
    bench.receive(&delta("nobody", "x"));
    bench.receive(&bytes(|out| diffusion::delta(out, TopicRef::named(b"bare"), b"y").unwrap()));
    bench.receive(&bytes(|out| diffusion::load(out, TopicRef::Alias(b"nobody"), b"z").unwrap()));
    assert_eq!(bench.reported, ["delta bare y"]);
    assert_eq!(bench.skipped, [Skip::UnknownAlias; 2]);
    assert_eq!(bench.session.errors(), 2);
}

#[test]
fn more_aliases_than_the_limit_are_counted_and_their_loads_still_reported() {
    let mut bench = Bench::open(SessionConfig { max_aliases: 1, ..quiet() });
    bench.receive(&[load("a", "1", "x"), load("b", "2", "y"), delta("2", "lost"), delta("1", "z")].concat());
    assert_eq!(bench.reported, ["load a x", "load b y", "delta a z"]);
    assert_eq!(
        (&bench.skipped[..], bench.session.errors()),
        (&[Skip::UnknownAlias][..], 2),
        "one alias was refused"
    );
}

#[test]
fn what_wants_an_ack_gets_one_even_when_it_cannot_be_used() {
    let mut bench = Bench::open(quiet());
    let topic = TopicRef::Named { name: b"a", alias: Some(b"1") };
    for (kind, topic, id, body) in [
        (MessageType::TopicLoadAck, topic, b"1n", b"x"),
        (MessageType::DeltaAck, TopicRef::Alias(b"1"), b"1o", b"y"),
        (MessageType::DeltaAck, TopicRef::Alias(b"?"), b"1p", b"y"),
    ] {
        bench.receive(&bytes(|out| {
            FrameWriter::dpt(out, kind).topic(topic).header(id).body(body).unwrap();
        }));
    }
    assert_eq!(bench.reported, ["load a x", "delta a y"]);
    let ids = ["1n", "1o", "1p"].map(|id| (MessageType::Ack, id.to_owned()));
    assert_eq!(bench.sent(), ids);
    let before = bench.session.errors();
    // An ack is wanted, but its id is missing: the message counts all the same.
    bench.receive(&bytes(|out| {
        FrameWriter::dpt(out, MessageType::DeltaAck).topic(TopicRef::Alias(b"1")).body(b"z").unwrap();
    }));
    assert_eq!(bench.reported.last().unwrap(), "delta a z");
    assert_eq!((bench.session.errors() - before, bench.sent().len()), (1, 0));
}

#[test]
fn the_servers_pings_are_echoed_unchanged() {
    let mut bench = Bench::open(quiet());
    let ping = b"\0\0\0\x17\x19\x001398507630055\x02ab\x01";
    bench.receive(ping);
    assert_eq!(bench.output(), ping);
    assert!(bench.reported.is_empty());
}

#[test]
fn our_pings_go_out_at_their_interval_and_their_echo_tells_the_queue() {
    let interval = Some(Duration::from_secs(5));
    let mut bench = Bench::open(SessionConfig { ping_interval: interval, wall_ms: 1_000_000, ..quiet() });
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(5)));
    bench.pass(Duration::from_millis(4999));
    assert!(bench.session.output().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.output(), b"\0\0\0\x10\x18\x001005000\x020\x01");
    bench.receive(b"\0\0\0\x11\x18\x001005000\x0217\x01");
    assert_eq!(bench.take_reported(), ["queue 17"]);
    bench.receive(b"\0\0\0\x0f\x18\x001005000\x02\x01");
    assert_eq!((&bench.skipped[..], bench.session.errors()), (&[Skip::NoQueue][..], 1));
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.sent(), [(MessageType::PingServer, "1010000".to_owned())]);
}

#[test]
fn the_first_ping_comes_an_interval_after_the_handshake() {
    let mut bench =
        Bench::new(SessionConfig { ping_interval: Some(Duration::from_secs(5)), ..SessionConfig::default() });
    bench.output();
    bench.pass(Duration::from_secs(3)).receive(ACCEPTED).pass(Duration::from_secs(3));
    assert!(bench.session.output().is_empty());
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.sent(), [(MessageType::PingServer, "8000".to_owned())]);
}

#[test]
fn output_that_is_taken_in_pieces_stays_in_order() {
    let mut bench = Bench::open(quiet());
    let mut expected = Vec::new();
    for number in 0..10_000 {
        let ping = bytes(|out| diffusion::ping_client(out, format!("{number}").as_bytes()).unwrap());
        bench.receive(&ping);
        expected.extend_from_slice(&ping);
    }
    let mut taken = Vec::new();
    let mut piece = 1;
    while !bench.session.output().is_empty() {
        let count = piece.min(bench.session.output().len());
        taken.extend_from_slice(&bench.session.output()[..count]);
        bench.session.output_sent(count);
        piece += 1000;
    }
    assert!(expected.len() > diffusion::READ && taken == expected);
}

#[test]
fn texts_that_are_no_utf8_pass_unchanged() {
    let mut bench = Bench::open(quiet());
    let topic = TopicRef::named(b"\xff\xfe");
    bench.receive(&bytes(|out| diffusion::load(out, topic, b"\x80\x01\x00\x02\xc3").unwrap()));
    assert_eq!(bench.reported, ["load \\xff\\xfe \\x80\\x01\\x00\\x02\\xc3"]);
}

#[test]
fn a_recorded_server_gets_the_answers_that_the_recorded_client_gave() {
    for file in ["acknowledgements.pcap", "subscribeForMessages.pcap", "emptyFieldsAndRecords.pcap"] {
        let Some(conversations) = conversations(file) else { return };
        for conversation in conversations {
            let mut bench = Bench::new(quiet());
            bench.output();
            bench.receive(&conversation.server);
            assert_eq!(bench.session.errors(), 0, "{file}");
            assert!(bench.reported.len() > 1, "{file}");
            let (_, used) = ConnectRequest::parse(&conversation.client).unwrap().unwrap();
            let mut recorded = FrameBuffer::new(1000);
            let said = &conversation.client[used..];
            recorded.spare()[..said.len()].copy_from_slice(said);
            recorded.filled(said.len());
            let mut answers = Vec::new();
            while let Some(message) = recorded.next_message().unwrap() {
                if matches!(message.kind, MessageType::Ack | MessageType::PingClient) {
                    diffusion::message(&mut answers, &message).unwrap();
                }
            }
            assert_eq!(text(&bench.output()), text(&answers), "{file}");
        }
    }
}

proptest! {
    #[test]
    fn no_server_can_make_a_session_panic_or_loop(
        frames in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(prop_oneof![
            Just(1u8), Just(2), Just(b'!'), Just(b'a'), Just(b'R'), any::<u8>(),
        ], 0..20)), 0..30),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        step in 1usize..40,
    ) {
        let mut stream = ACCEPTED.to_vec();
        for (kind, encoding, content) in &frames {
            stream.extend_from_slice(&(content.len() as u32 + 6).to_be_bytes());
            stream.extend_from_slice(&[*kind, *encoding]);
            stream.extend_from_slice(content);
        }
        stream.extend_from_slice(&noise);
        let mut whole = Bench::new(SessionConfig { max_aliases: 2, out_limit: 200, ..quiet() });
        whole.output();
        whole.receive(&stream);
        prop_assert!(whole.reported.len() <= frames.len() + 2);
        // The same stream in pieces tells the same.
        let mut pieces = Bench::new(SessionConfig { max_aliases: 2, out_limit: 200, ..quiet() });
        pieces.output();
        for piece in stream.chunks(step) {
            pieces.receive(piece);
        }
        prop_assert_eq!(&pieces.reported, &whole.reported);
    }

    #[test]
    fn a_handshake_of_any_bytes_ends_or_waits(answer in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut bench = Bench::new(quiet());
        bench.receive(&answer);
        prop_assert!(bench.reported.len() <= 2);
        let _ = ConnectResponse::parse(&answer);
    }
}
