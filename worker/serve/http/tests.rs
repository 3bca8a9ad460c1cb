//! Heads that are refused, what is read of others, and that neither depends on how the bytes were cut.

use super::body::BodyLength;
use super::request::{HEAD_LIMIT, Method, Version};
use super::*;
use crate::serve::frame::Framing;
use proptest::prelude::*;

fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n").into_bytes()
}

fn read(bytes: &[u8]) -> Request {
    let (request, size) = parse(bytes).unwrap().unwrap();
    assert_eq!(size, bytes.len());
    request
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let malformed = [
        b"GET / HTTP/1.1\nHost: a\n\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\rHost: a\r\n\r\n".to_vec(),
        get("Host: a\r\nContent-Length: 5\r\nContent-Length: 6"),
        get("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
        get("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0"),
        get("Host: a\r\nTransfer-Encoding: identity"),
        get("Host: a\r\nTransfer-Encoding: gzip, chunked"),
        // Spaces that are none in HTTP: other servers do not call this chunked.
        get("Host: a\r\nTransfer-Encoding: chunked\u{a0}"),
        get("Host: a\r\nTransfer-Encoding: \u{85}chunked"),
        get("Host: a\r\nContent-Length: 5\u{a0}"),
        get("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        get("Host: a\r\nContent-Length: +0"),
        get("Host: a\r\nContent-Length: 0, 0"),
        get("Host: a\r\nContent-Length: -1"),
        get("Host: a\r\nContent-Length: 99999999999999999999"),
        get("Host: a\r\nContent-Length:"),
        get("Host: a\r\nX-Long: one\r\n two"),
        get("Host : a"),
        get(" Host: a"),
        get("Host: a\r\nNo colon"),
        get("Host: a\r\n: empty"),
        get("Host: a\0b"),
        get("Host: a\r\nHost: b"),
        get("Accept: */*"),
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /?a=%0a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n".to_vec(),
        get(&format!("Host: a\r\n{}", vec!["A: b"; 70].join("\r\n"))),
    ];
    for bytes in malformed {
        let found = parse(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(matches!(found, Err(BadRequest::Malformed { .. })), "{text:?}: {found:?}");
    }
    for (body, length) in [
        ("Content-Length: 5", BodyLength::Known(5)),
        ("Transfer-Encoding: chunked", BodyLength::Chunked),
        ("Content-Length: 0", BodyLength::None),
    ] {
        let request = read(&get(&format!("Host: a\r\n{body}")));
        assert_eq!(request.length, length, "{body}");
        assert_eq!(body_limit(Side::Readers, &request), None, "no body belongs here");
    }
    let long = get(&format!("Host: a\r\nX: {}", "y".repeat(HEAD_LIMIT)));
    assert_eq!(parse(&long), Err(BadRequest::TooLong));
    // It is refused before its end is there.
    assert_eq!(parse(&long[..HEAD_LIMIT + 1]), Err(BadRequest::TooLong));
}

#[test]
fn a_request_is_read_as_it_was_meant() {
    let request = read(
        b"\r\nGET /api/matches/inplay%2FA%20B/odds?market=1&since=7&x=a+b%2B HTTP/1.1\r\nHost: h:1\r\nAccept-Encoding: br, gzip;q=0.5\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!((request.method, request.version), (Method::Get, Version::Http11));
    assert_eq!(request.path, "/api/matches/inplay/A B/odds");
    assert_eq!((request.parameter("x"), request.parameter("none")), (Some("a b+"), None));
    assert!(request.keeps_alive() && request.takes_gzip());
    assert!(!read(&get("Host: a\r\nConnection: foo, Close")).keeps_alive());
    assert!(!read(&get("Host: a\r\nAccept-Encoding: gzip;q=0")).takes_gzip());
    assert!(!read(b"GET / HTTP/1.0\r\n\r\n").keeps_alive());
    assert_eq!(read(b"GET http://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n").path, "/healthz");
    // The host ends where anything else of the target begins.
    for (target, path) in [
        ("http://h", "/"),
        ("http://h/", "/"),
        ("http://h?x=/api/pool", "/"),
        ("http://h#/api/pool", "/"),
        ("https://h?x=1", "/"),
        ("http://h/api/pool?x=/a", "/api/pool"),
    ] {
        assert_eq!(
            read(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).path,
            path,
            "{target}"
        );
    }
    assert_eq!(read(b"GET http://h?x=/a HTTP/1.1\r\nHost: h\r\n\r\n").parameter("x"), Some("/a"));
    assert_eq!(read(b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n").method, Method::Other);
}

#[test]
fn requests_lead_where_they_should() {
    let to = |target: &str| route(&read(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()));
    let live = |framing, name: Option<&str>, had: Option<&str>, since| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Route::Live(Wanted { framing, name: owned(name), had: owned(had), since })
    };
    let stream = Framing::EventStream;
    for (target, expected) in [
        ("/", Route::Page(PageFile::Index)),
        ("/?q=a", Route::Page(PageFile::Index)),
        ("/api/matches", Route::Matches),
        ("/api/matches/A", Route::Match("A".into())),
        ("/api/matches/f/A", Route::Match("f/A".into())),
        (
            "/api/matches/A/odds?market=M&limit=5",
            Route::Odds { name: "A".into(), market: Some("M".into()), since: None, limit: 5 },
        ),
        (
            "/api/matches/rooms/7/chat?since=3",
            Route::Chat { name: "rooms/7".into(), since: Some(3), limit: 100 },
        ),
        ("/api/events?since=3&match=A", Route::Events { name: Some("A".into()), since: Some(3), limit: 100 }),
        ("/stream", live(stream, None, None, None)),
        ("/stream?match=A&last=3-17", live(stream, Some("A"), Some("3-17"), None)),
        ("/ws?match=A&since=9", live(Framing::WebSocket, Some("A"), None, Some(9))),
    ] {
        assert_eq!(to(target), Ok(expected), "{target}");
    }
    for (target, status) in [
        ("/nowhere", Status::NotFound),
        ("/pub", Status::NotFound),
        ("/api/matches/", Status::Bad),
        ("/api/events?since=x", Status::Bad),
        ("/api/events?since=-1", Status::Bad),
        ("/api/events?limit=0", Status::Bad),
        ("/api/events?limit=1000000", Status::Bad),
        ("/app.js/../style.css", Status::NotFound),
    ] {
        assert_eq!(to(target).unwrap_err().status, status, "{target}");
    }
    let post = read(b"POST /api/matches HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(route(&post).unwrap_err().status, Status::NotAllowed);
    let resumed = read(b"GET /stream HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 3-4\r\n\r\n");
    assert_eq!(route(&resumed), Ok(live(stream, None, Some("3-4"), None)));
}

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn written(answer: &Answer, request: &Request, origin: Option<&str>) -> (String, Vec<u8>) {
    let mut out = Vec::new();
    answer.write(&For::request(request, origin.map(str::to_owned)), DATE, &mut out);
    let end = memchr::memmem::find(&out, b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(out[..end].to_vec()).unwrap(), out[end..].to_vec())
}

#[test]
fn an_answer_that_the_client_has_is_not_sent_again() {
    let answer = Answer::json("[1]".into());
    let (head, body) = written(&answer, &read(&get("Host: h")), None);
    assert_eq!(body, b"[1]");
    assert!(head.contains(&format!("\r\nDate: {DATE}\r\n")), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let request = read(&get(&format!("Host: h\r\nIf-None-Match: {known}")));
        let (head, body) = written(&answer, &request, None);
        assert!(head.starts_with("HTTP/1.1 304 ") && !head.contains("Content-Length"), "{head}");
        assert!(body.is_empty());
    }
    let (head, _) = written(&answer, &read(&get("Host: h\r\nIf-None-Match: \"other\"")), None);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn a_large_answer_is_compressed_for_who_takes_it() {
    use std::io::Read;
    let text = "abc ".repeat(1_000);
    let answer = Answer::text(Status::Ok, text.clone());
    let (head, body) = written(&answer, &read(&get("Host: h\r\nAccept-Encoding: gzip")), None);
    assert!(
        head.contains("Content-Encoding: gzip")
            && head.contains(&format!("Content-Length: {}\r\n", body.len()))
    );
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    let tag = |head: &str| head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let packed = tag(&head);
    let (head, body) = written(&answer, &read(&get("Host: h")), None);
    assert!(!head.contains("Content-Encoding") && body.len() == 4_000);
    let plain = tag(&head);
    assert_ne!(packed, plain, "a tag names bytes");
    for known in [&packed, &plain] {
        let request = read(&get(&format!("Host: h\r\nAccept-Encoding: gzip\r\nIf-None-Match: {known}")));
        let (head, body) = written(&answer, &request, None);
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
        assert_eq!(tag(&head), packed, "of what it would have been sent");
    }
    let request = read(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, body) = written(&answer, &request, None);
    assert!(head.contains("Content-Length: 4000") && body.is_empty());
}

#[test]
fn another_origin_reads_only_where_it_may() {
    let request = read(&get("Host: h\r\nOrigin: https://a.example"));
    let (refused, _) = written(&Answer::json("1".into()), &request, None);
    assert!(!refused.contains("Access-Control-Allow-Origin"), "{refused}");
    let (allowed, _) = written(&Answer::json("1".into()), &request, Some("https://a.example"));
    assert!(allowed.contains("Access-Control-Allow-Origin: https://a.example\r\n"), "{allowed}");
    for header in ["X-Content-Type-Options: nosniff", "Content-Security-Policy: default-src 'none'", "Vary: "]
    {
        assert!(allowed.contains(header), "{header}");
    }
}

/// The requests that come of bytes in these pieces, and whether they end in an error.
fn all(pieces: &[&[u8]]) -> (Vec<Request>, bool) {
    let (mut inbox, mut found) = (Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            match parse(&inbox) {
                Ok(Some((request, size))) => {
                    assert!(size > 0 && size <= inbox.len());
                    inbox.drain(..size);
                    found.push(request);
                }
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        1 => Just(b"GET /stream HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1-2\r\n\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
        1 => Just(b"GET / HTTP/1.1\nHost: h\n\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => "[ -~\r\n]{0,60}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_requests(bytes in some_bytes(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(all(&pieces), all(&[&bytes]));
    }

    #[test]
    fn routing_takes_anything(path in "/[ -~]{0,40}", query in "[ -~]{0,40}") {
        let text = format!("GET {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
        if let Ok(Some((request, _))) = parse(text.as_bytes()) {
            let _ = route(&request);
        }
    }
}
