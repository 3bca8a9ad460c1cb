//! Logins, sessions that go on, encodings, pieces, queues.

use super::*;
use crate::options::{BodyEncoding, OnResume};
use touchline_worker::wire::diffusion::{BodyDecoder, Encoding};

const MATCH: &str = "6V90000001C1A_1_3";

fn again(address: SocketAddr, id: &str) -> (Client, u8, String) {
    let mut client = Client::ask(address, &format!("\u{2}{id}"));
    let (code, id) = client.answer();
    (client, code, id)
}

fn left(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).is_ok()
}

#[test]
fn only_the_right_login_comes_in() {
    let login = Some("user:secret".parse().unwrap());
    let server = Simulator::start(&Options { login, ..options() }).unwrap();
    for (shown, code) in [
        ("", 111),
        ("user\u{2}wrong\u{1}", 116),
        ("other\u{2}secret\u{1}", 116),
        ("user\u{2}secret\u{1}", 100),
    ] {
        let mut client = Client::ask(server.address(), shown);
        assert_eq!(client.answer().0, code, "{shown:?}");
        if code != 100 {
            assert!(left(&mut client));
            continue;
        }
        client.send(0x1a, "user\u{2}secret");
        assert!(client.settle().is_empty(), "no news is good news");
        client.send(0x1a, "user\u{2}wrong");
        assert_eq!(client.settle(), [(0x1b, "user\u{2}wrong".to_owned(), String::new())]);
    }
    assert_eq!(server.stop().refused, 3);
}

#[test]
fn a_session_goes_on_with_what_was_queued_meanwhile() {
    let keep_alive = Duration::from_secs(20);
    let server = Simulator::start(&Options { keep_alive, ..options() }).unwrap();
    let (mut client, id) = Client::connect(server.address(), "");
    client.send(0x16, MATCH);
    assert_eq!(client.next().0, 0x14);
    drop(client);
    let begun = Instant::now();
    // Kept, and its queue grows.
    while !server.report().connections.iter().any(|one| !one.open && one.depth > 50) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", server.report());
        std::thread::sleep(Duration::from_millis(10));
    }
    let (mut client, code, same) = again(server.address(), &id);
    assert_eq!((code, &same), (105, &id));
    for _ in 0..200 {
        assert_eq!(client.next().0, 0x15, "no load, whole messages from the first on");
    }
    assert_eq!(server.stop().resumed, 1);
}

#[test]
fn where_it_is_wanted_loads_come_again() {
    let on_resume = OnResume::Reload;
    let server =
        Simulator::start(&Options { keep_alive: Duration::from_secs(20), on_resume, ..options() }).unwrap();
    let (client, id) = Client::connect(server.address(), &format!("{MATCH},__time"));
    drop(client);
    let (mut client, code, _) = again(server.address(), &id);
    assert_eq!(code, 105);
    let mut loads = std::collections::HashSet::new();
    while loads.len() < 2 {
        let (kind, headers, _) = client.next();
        if kind == 0x14 {
            loads.insert(headers);
        }
    }
}

#[test]
fn a_session_may_be_taken_over_before_its_loss_was_seen() {
    let keep_alive = Duration::from_secs(20);
    let server = Simulator::start(&Options { keep_alive, rate: 10.0, ..options() }).unwrap();
    let (mut first, id) = Client::connect(server.address(), MATCH);
    let (mut second, code, _) = again(server.address(), &id);
    assert_eq!(code, 105);
    assert!(left(&mut first), "the first connection ends");
    assert!(second.settle().iter().all(|(kind, ..)| *kind == 0x15 || *kind == 0x14));
    let open =
        |server: &super::super::Handle| server.report().connections.iter().filter(|one| one.open).count();
    let begun = Instant::now();
    while open(&server) != 1 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_not_kept_is_unknown() {
    let server = Simulator::start(&Options { keep_alive: Duration::from_millis(300), ..options() }).unwrap();
    let (mut client, code, _) = again(server.address(), "unknown");
    assert_eq!(code, 117);
    assert!(left(&mut client));
    // Whoever says goodbye is not kept.
    let (mut client, id) = Client::connect(server.address(), MATCH);
    client.stream.write_all(b"\0\0\0\x06\x1d\0").unwrap();
    assert!(left(&mut client));
    assert_eq!(again(server.address(), &id).1, 117);
    // And who comes too late.
    let (client, id) = Client::connect(server.address(), MATCH);
    drop(client);
    let begun = Instant::now();
    while server.report().expired == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", server.report());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(again(server.address(), &id).1, 117);
}

#[test]
fn bodies_are_encoded_for_those_who_can_take_it() {
    for (encoding, byte) in [(BodyEncoding::Zlib, 0x12), (BodyEncoding::Base64, 0x13)] {
        let server = Simulator::start(&Options { encoding, ..options() }).unwrap();
        let (mut client, _) = Client::connect(server.address(), MATCH);
        let mut decoder = BodyDecoder::new(1_000_000, 200);
        for number in 0..50 {
            let (kind, encoding, _, body) = client.next_raw();
            assert_eq!((kind, encoding), (if number == 0 { 0x14 } else { 0x15 }, byte));
            let mut text = Vec::new();
            decoder.decode(Encoding::from_byte(byte), &body, &mut text).unwrap();
            assert!([b"F|", b"U|", b"I|", b"D|"].contains(&text[..2].try_into().unwrap()));
        }
        let mut plain = TcpStream::connect(server.address()).unwrap();
        plain.write_all(format!("#\u{4}\u{15}\u{1}{MATCH}\0").as_bytes()).unwrap();
        plain.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut plain = Client { stream: plain, held: Vec::new() };
        plain.answer();
        assert!(plain.next().2.starts_with("F|EV;"), "who cannot gets it as it is");
    }
}

#[test]
fn long_bodies_come_in_pieces() {
    let server = Simulator::start(&Options { fragment_above: Some(10_000), ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), MATCH);
    let mut body = String::new();
    let (kind, headers, chunk) = client.next();
    let headers: Vec<&str> = headers.split('\u{2}').collect();
    assert_eq!((kind, headers[0]), (0x54, "6V90000001C1A_1_3!m1"));
    let total: usize = headers[2].strip_prefix("1/").unwrap().parse().unwrap();
    let size: usize = headers[3].parse().unwrap();
    assert!(total > 1 && chunk.len() == 10_000);
    body.push_str(&chunk);
    for number in 2..=total {
        let (kind, later, chunk) = client.next();
        assert_eq!((kind, later), (0x54, format!("{}\u{2}{}\u{2}{number}", headers[0], headers[1])));
        body.push_str(&chunk);
    }
    assert!(body.len() == size && body.starts_with("F|EV;") && body.ends_with('|'));
    assert_eq!(client.next().0, 0x15);
}

#[test]
fn the_depth_of_the_queue_is_reported_and_bounded() {
    let server = Simulator::start(&Options { max_depth: Some(500), rate: 50_000.0, ..options() }).unwrap();
    let (mut client, _) = Client::connect(server.address(), MATCH);
    client.send(0x18, "1\u{2}0");
    let depth = loop {
        let (kind, headers, _) = client.next();
        if kind == 0x18 {
            break headers.strip_prefix("1\u{2}").unwrap().parse::<u64>().unwrap();
        }
    };
    assert!(depth <= 500);
    let begun = Instant::now();
    while server.report().slow == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", server.report());
        std::thread::sleep(Duration::from_millis(20));
    }
}
