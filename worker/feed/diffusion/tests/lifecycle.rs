//! Handshakes and ends.

use super::*;
use touchline_common::config::Secret;

#[test]
fn the_request_carries_login_topics_and_the_earlier_session() {
    let login = Login { username: "guest".into(), password: Secret::new("Guest".into()) };
    assert!(!format!("{login:?}").contains("Guest"));
    let config =
        SessionConfig { login: Some(login), login_topics: vec!["base/".into(), "x".into()], ..quiet() };
    let bench = Bench::open(quiet()).again(config);
    assert_eq!(bench.session.output(), b"\x23\x04\x15\x06guest\x02Guest\x01base/,x\x02client-1\x00");
    assert!(bench.session.is_resuming());
    let plain = Bench::new(quiet());
    assert_eq!(plain.session.output(), b"\x23\x04\x15\x06\x00", "compressed and base64, never encrypted");
    assert!(plain.session.into_resume_state().is_none(), "never open");
}

#[test]
fn a_login_that_cannot_be_written_is_reported_and_nothing_is_sent() {
    let login = Login { username: "a\x01b".into(), password: Secret::default() };
    let mut bench = Bench::new(SessionConfig { login: Some(login), ..quiet() });
    bench.events();
    assert!(bench.session.output().is_empty());
    assert_eq!(bench.why(), &LostReason::Handshake(HandshakeError::Text { what: "user name" }));
    assert_eq!(bench.reported.len(), 1);
}

#[test]
fn a_trickled_handshake_opens_and_what_follows_at_once_is_reported() {
    let mut bench = Bench::new(quiet());
    for byte in &ACCEPTED[..ACCEPTED.len() - 1] {
        bench.receive(&[*byte]);
        assert!(bench.reported.is_empty());
    }
    bench.receive(&[&ACCEPTED[ACCEPTED.len() - 1..], &load("a", "1", "x")].concat());
    assert_eq!(bench.reported, ["opened client-1 Fresh", "load a x"]);
}

#[test]
fn trickling_does_not_move_the_deadline() {
    let mut bench = Bench::new(SessionConfig { handshake_deadline: Duration::from_secs(3), ..quiet() });
    bench.receive(b"\x23\x04\x64\x04").pass(Duration::from_secs(1));
    bench.receive(b"a").pass(Duration::from_secs(1));
    bench.receive(b"b");
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(1)));
    bench.pass(Duration::from_millis(999));
    assert!(bench.reported.is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.reported, ["lost: the server did not finish the handshake within 3s"]);
    bench.receive(b"\x00");
    assert_eq!(bench.reported.len(), 1, "nothing is reported after the end");
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn refusals_and_foreign_answers_end_the_session() {
    let cases: [(&[u8], LostReason); 6] = [
        (b"\x23\x04\x6f", LostReason::Refused(ResponseCode::Rejected)),
        (b"\x23\x04\x75\x04\x00", LostReason::Refused(ResponseCode::UnknownSession)),
        (b"\x23\x05\x64\x04id\x00", LostReason::Version { version: 5 }),
        (b"\x23\x04\x64\x02", LostReason::Handshake(HandshakeError::LengthBytes { bytes: 2 })),
        (b"HTTP/1.1 400", LostReason::Handshake(HandshakeError::Magic { byte: b'H' })),
        (
            &[&b"\x23\x04\x64\x04"[..], &[b'a'; 5000]].concat(),
            LostReason::Handshake(HandshakeError::TooLong { limit: 4096 }),
        ),
    ];
    for (answer, why) in cases {
        let mut bench = Bench::new(quiet());
        bench.receive(answer);
        assert_eq!(bench.reported, [format!("lost: {why}")]);
        assert!(!bench.why().is_resumable());
    }
}

#[test]
fn the_server_ends_a_session_in_two_ways_and_what_comes_after_is_ignored() {
    let close = bytes(diffusion::close);
    let abort = bytes(diffusion::abort);
    for (end, why) in [(close, LostReason::ClosedByServer), (abort, LostReason::Aborted)] {
        let mut bench = Bench::open(quiet());
        bench.receive(&[load("a", "1", "x"), end, delta("1", "y")].concat());
        assert_eq!(bench.reported, ["load a x".to_owned(), format!("lost: {why}")]);
        assert!(!bench.why().is_resumable());
        assert_eq!(bench.session.subscribe(b"b"), Err(FollowError::Closed));
    }
}

#[test]
fn the_end_of_the_stream_comes_after_what_was_read() {
    let mut bench = Bench::open(quiet());
    let both = [load("a", "1", "x"), delta("1", "y")].concat();
    bench.session.spare()[..both.len()].copy_from_slice(&both);
    bench.session.filled(both.len(), bench.now);
    bench.session.disconnected(LostReason::EndOfStream);
    bench.session.disconnected(LostReason::Socket(std::io::ErrorKind::BrokenPipe));
    bench.events();
    assert_eq!(bench.reported, ["load a x", "delta a y", "lost: the stream ended"]);
    let mut bench = Bench::new(quiet());
    bench.session.disconnected(LostReason::Socket(std::io::ErrorKind::ConnectionReset));
    bench.events();
    assert_eq!(bench.why(), &LostReason::Socket(std::io::ErrorKind::ConnectionReset));
    assert!(bench.why().is_resumable());
}

#[test]
fn our_close_is_sent_and_reported_once() {
    let mut bench = Bench::open(quiet());
    bench.session.close();
    bench.session.close();
    bench.events();
    bench.events();
    assert_eq!(bench.output(), b"\0\0\0\x06\x1d\0");
    assert_eq!(bench.reported, ["lost: closed by us"]);
    let mut bench = Bench::new(quiet());
    bench.output();
    bench.session.close();
    assert!(bench.session.output().is_empty(), "a server does not expect messages before it answered");
}

#[test]
fn oversized_messages_and_garbage_end_the_session() {
    let mut bench = Bench::open(SessionConfig { frame_limit: 100, ..quiet() });
    bench.receive(&[&delta("1", "y")[..], &101u32.to_be_bytes()].concat());
    assert_eq!(bench.why(), &LostReason::Wire(WireError::Oversize { length: 101, limit: 100 }));
    let mut bench = Bench::open(quiet());
    bench.receive(b"\0\0\0\x02rubbish");
    assert_eq!(bench.why(), &LostReason::Wire(WireError::Undersize { length: 2 }));
    let mut bench = Bench::open(quiet());
    bench.receive(b"garbage");
    assert!(matches!(bench.why(), LostReason::Wire(WireError::Oversize { .. })));
    assert_eq!(bench.reported.len(), 1);
}

fn watched() -> SessionConfig {
    SessionConfig {
        idle_limit: Duration::from_secs(10),
        probe_deadline: Duration::from_secs(2),
        wall_ms: 1_000_000,
        ..quiet()
    }
}

#[test]
fn a_silent_server_is_probed_and_given_up_if_it_says_nothing() {
    let mut bench = Bench::open(watched());
    bench.pass(Duration::from_secs(9)).receive(b"\0");
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(10)));
    bench.pass(Duration::from_millis(9_999));
    assert!(bench.output().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.sent(), [(MessageType::PingServer, "1019000".to_owned())], "asked for a word");
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(2)));
    bench.pass(Duration::from_millis(1_999));
    assert!(bench.reported.is_empty() && bench.output().is_empty(), "once");
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.reported, ["lost: nothing came for 12s, nor an answer to a probe"]);
    assert!(bench.why().is_resumable());
}

#[test]
fn any_byte_answers_a_probe() {
    let mut bench = Bench::open(watched());
    bench.pass(Duration::from_secs(10)).pass(Duration::from_secs(1));
    bench.receive(b"\0").pass(Duration::from_secs(9));
    assert!(bench.reported.is_empty());
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(1)));
}

#[test]
fn who_was_stopped_asks_before_judging() {
    let mut bench = Bench::open(watched());
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.session.state(), &State::Open);
    let echo = bytes(|out| diffusion::ping_server(out, b"1", 0).unwrap());
    bench.receive(&echo).pass(Duration::from_secs(2));
    assert_eq!(bench.session.state(), &State::Open);
}

#[test]
fn a_server_that_asks_and_never_reads_is_given_up() {
    let mut bench = Bench::open(SessionConfig { out_limit: 1000, ..quiet() });
    let ping = bytes(|out| diffusion::ping_client(out, b"1398507630055").unwrap());
    for _ in 0..50 {
        bench.receive(&ping);
    }
    assert_eq!((bench.session.state(), bench.session.output().len()), (&State::Open, 1000));
    bench.receive(&ping);
    assert_eq!(bench.why(), &LostReason::OutputFull { limit: 1000 });
}

#[test]
fn where_nobody_pings_the_servers_rhythm_says_when_it_is_silent() {
    let mut bench = Bench::open(SessionConfig { idle_limit: Duration::from_secs(120), ..quiet() });
    bench.session.heartbeat(Duration::from_secs(40));
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(60)));
    bench.session.heartbeat(Duration::from_secs(1));
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(10)), "not at each hiccup");
    bench.session.heartbeat(Duration::from_secs(9999));
    assert_eq!(bench.session.deadline(), Some(bench.now + Duration::from_secs(600)), "not never");
    bench.session.heartbeat(Duration::from_secs(40));
    bench.pass(Duration::from_secs(61)).pass(Duration::from_secs(6));
    assert_eq!(bench.reported, ["lost: nothing came for 67s, nor an answer to a probe"]);
    // Who pings judges by the answers.
    let mut bench = Bench::open(SessionConfig { ping_interval: Some(Duration::from_secs(10)), ..quiet() });
    let before = bench.session.deadline();
    bench.session.heartbeat(Duration::from_secs(1));
    assert_eq!(bench.session.deadline(), before);
}
