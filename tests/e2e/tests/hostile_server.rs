//! Servers that send what they should not: a clear line, and the other feed unharmed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use touchline_e2e::Site;
use touchline_harness::wait;
use touchline_simulator::Options;

/// What a server does with each connection.
type Manners = fn(&mut TcpStream);

/// A server that ends with the test's process.
fn hostile(manners: Manners) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || manners(&mut stream));
        }
    });
    address
}

fn site_with(manners: Manners) -> Site {
    let options = Options { matches: 6, rate: 200.0, ..Options::default() };
    let second = format!(
        "[[feed]]\nname = \"bad\"\nkind = \"diffusion\"\nurl = \"dpt://{}\"\nlist_topic = \"L\"",
        hostile(manners)
    );
    Site::live(&options, &second)
}

/// The good feed goes on, the bad one is shown as down, and the log says why.
fn assert_only_the_bad_feed_suffers(site: &Site, why: &str) {
    site.daemon.wait_for_log(why, Duration::from_secs(15));
    wait::until("the bad feed shown as down or degraded", Duration::from_secs(10), || {
        let status = site.ask("status", json!({}));
        let bad = status["feeds"].as_array()?.iter().find(|feed| feed["name"] == "bad")?;
        (bad["state"] != "up").then_some(())
    });
    assert_eq!(site.count("/matches/live"), 6);
    assert_eq!(site.count("/workers/restarts"), 0, "no worker dies of it: {}", site.daemon.log());
    site.assert_documents_are_true();
}

/// The line of this event names the feed and says all of these.
fn assert_says(site: &Site, event: &str, parts: &[&str]) {
    let log = site.daemon.log();
    let line = log.lines().find(|line| line.contains(event) && line.contains("feed=bad")).unwrap();
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
}

fn greet(stream: &mut TcpStream) {
    let mut request = [0; 64];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(b"\x23\x04\x64\x04client-1\x00");
}

/// Until the list is asked for: what a server sends of a topic before that is dropped.
fn await_subscription(stream: &mut TcpStream) {
    let mut seen: Vec<u8> = Vec::new();
    let mut piece = [0; 64];
    while !seen.windows(4).any(|bytes| bytes == b"\x16\x00L\x01") {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => seen.extend(&piece[..read]),
            Ok(0) | Err(_) => return,
        }
    }
}

/// Until the other side gives up.
fn hold(stream: &mut TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn garbage_after_the_handshake() {
    let site = site_with(|stream| {
        greet(stream);
        let _ = stream.write_all(&[0xff; 4096]);
        hold(stream);
    });
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
}

#[test]
fn a_frame_of_two_gigabytes() {
    let site = site_with(|stream| {
        greet(stream);
        let _ = stream.write_all(b"\x7f\xff\xff\xff\x14\x00topic\x01body");
        hold(stream);
    });
    assert_only_the_bad_feed_suffers(&site, "2147483647");
    assert_says(&site, "worker.connection_lost", &["check `url` and `protocol`"]);
}

#[test]
fn an_answer_in_http() {
    let site = site_with(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        hold(stream);
    });
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
    assert_says(&site, "worker.connection_lost", &["answers in HTTP", "take ws:// or wss://"]);
}

#[test]
fn a_handshake_that_never_ends() {
    let site = site_with(|stream| {
        // What may become an answer, but never does: an idle limit alone would never notice.
        for byte in b"\x23\x04\x64\x04".iter().chain(std::iter::repeat(&b'i')) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    });
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
    assert_says(
        &site,
        "worker.connection_lost",
        &["did not finish the handshake within 5s", "check the port"],
    );
}

#[test]
fn a_server_that_throws_out_is_not_retried_at_once() {
    let site = site_with(|stream| {
        greet(stream);
        await_subscription(stream);
    });
    // Of several attempts in a row one is logged, but at this level.
    site.ask("log", json!({ "action": "level", "filter": "debug" }));
    let began = Instant::now();
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
    assert_says(&site, "worker.connection_lost", &["before anything was served", "`list_topic`"]);
    thread::sleep(Duration::from_secs(8).saturating_sub(began.elapsed()));
    // Waits of at most 0.25, 0.5, 1 … s, any of which may be nothing.
    let attempts = site.daemon.log().matches("worker.connection_lost feed=bad").count();
    assert!((2..40).contains(&attempts), "{attempts}: {}", site.daemon.log());
    let up = site.daemon.log().lines().filter(|line| line.contains("feed=bad state=up")).count();
    assert!(up <= 1, "{}", site.daemon.log());
}

/// A load of the list, for the list's subscription.
fn list_load(encoding: u8, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let kind = if headers.is_empty() { 0x14 } else { 0x54 };
    let rest = [b"L", headers, b"\x01", body].concat();
    let mut bytes = ((rest.len() + 6) as u32).to_be_bytes().to_vec();
    bytes.extend([kind, encoding]);
    bytes.extend(rest);
    bytes
}

/// Such messages are skipped: the connection stays, nothing is loaded, a line says why.
fn assert_skipped(site: &Site, parts: &[&str]) {
    assert_only_the_bad_feed_suffers(site, "worker.unusable feed=bad");
    assert_says(site, "worker.unusable", parts);
    thread::sleep(Duration::from_secs(2));
    let log = site.daemon.log();
    assert_eq!(log.matches("worker.unusable").count(), 1, "once a minute, not for each: {log}");
    assert!(!log.contains("worker.connection_lost feed=bad"), "{log}");
}

#[test]
fn bodies_that_become_too_much() {
    let site = site_with(|stream| {
        greet(stream);
        await_subscription(stream);
        // 48 kB of zlib that stand for 33 MB.
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let _ = zlib.write_all(&vec![b'x'; 33_000_000]);
        let bomb = list_load(0x12, b"", &zlib.finish().unwrap());
        while stream.write_all(&bomb).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_skipped(&site, &["200 times", "raise `inflate_ratio` in [limits]"]);
    let rss = worker_rss(&site);
    assert!(rss < 60_000_000, "{rss} bytes");
}

#[test]
fn messages_in_pieces_that_never_end() {
    let site = site_with(|stream| {
        greet(stream);
        await_subscription(stream);
        for number in 0.. {
            let headers = format!("\x02c{number}\x021/3\x02900000");
            if stream.write_all(&list_load(0, headers.as_bytes(), &[b'x'; 300_000])).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_skipped(&site, &["more than 16 messages in pieces at once"]);
    let rss = worker_rss(&site);
    assert!(rss < 60_000_000, "{rss} bytes");
}

/// The most memory that a worker of the bad feed holds.
fn worker_rss(site: &Site) -> u64 {
    let workers = site.ask("workers", json!({}));
    let bad = workers.as_array().unwrap().iter().filter(|worker| worker["feed"] == "bad");
    bad.filter_map(|worker| worker["rss_bytes"].as_u64()).max().unwrap()
}

#[test]
fn a_load_and_deltas_full_of_nonsense() {
    let site = site_with(|stream| {
        greet(stream);
        await_subscription(stream);
        let frame = |kind: u8, rest: &[u8]| {
            let mut bytes = ((rest.len() + 6) as u32).to_be_bytes().to_vec();
            bytes.extend([kind, 0]);
            bytes.extend(rest);
            bytes
        };
        for bytes in [
            frame(0x14, b"L\x01F|CL;ID=1;IT=OV_1;NA=x;|EV;ID=E1;IT=OVE1;NA=A v B;FS=1;SS=\xff\xfe-9999999999;TU=99999999999999;|"),
            frame(0x15, b"!unused\x01U|SS=1-0;|"),
            frame(0x15, b"L/absent/child\x01D||"),
            frame(0x15, b"OVE1/OVE1\x01I|EV;IT=OVE1;|"),
            frame(0x15, b"OVE1\x01U|OD=1/0;SS=;=;;;|"),
            frame(0x77, b"what\x01ever"),
            frame(0x23, b""),
        ] {
            let _ = stream.write_all(&bytes);
        }
        hold(stream);
    });
    // The match of the list stays without a load of its own; nothing else happens.
    wait::until("the nonsense counted", Duration::from_secs(10), || {
        let matches = site.ask("matches", json!({ "feed": "bad" }));
        let first = matches.as_array()?.first()?;
        (first["state"] == "subscribing").then_some(())
    });
    assert_eq!(site.count("/workers/restarts"), 0, "{}", site.daemon.log());
    assert_eq!(site.count("/matches/live"), 6);
    site.assert_documents_are_true();
}
