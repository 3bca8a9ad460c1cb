//! Servers that send what they should not: a clear line, and the other feed unharmed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
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

fn greet(stream: &mut TcpStream) {
    let mut request = [0; 64];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(b"\x23\x04\x64\x04client-1\x00");
}

/// Until the list is asked for: what a server sends of a topic before that is nobody's.
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
}

#[test]
fn an_answer_in_http() {
    let site = site_with(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        hold(stream);
    });
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
}

#[test]
fn a_handshake_that_never_ends() {
    let site = site_with(|stream| {
        while stream.write_all(b"\x23").is_ok() {
            // A byte now and then: an idle limit alone would never notice.
            thread::sleep(Duration::from_millis(500));
        }
    });
    assert_only_the_bad_feed_suffers(&site, "worker.connection_lost feed=bad");
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
            frame(0x15, b"!nobody\x01U|SS=1-0;|"),
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
