//! Socket.IO and `POST /pub` of the gateway, with a client that others wrote and with bare requests: polling and upgrade, rooms, a match's
//! changes, what publishers send, slow clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::{Map, Value, json};
use std::time::Instant;
use touchline_e2e::BACK;
use touchline_e2e::served::{Served, ask, authorized};
use touchline_harness::wait;

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// A match's document as the events `match` make it.
#[derive(Default)]
struct Copy {
    document: Value,
    snapshots: usize,
    patches: usize,
    conflated: u64,
}

impl Copy {
    fn take(&mut self, change: &Value) {
        match change["type"].as_str().unwrap() {
            "snapshot" => {
                self.snapshots += 1;
                self.document = change["document"].clone();
            }
            "patch" => {
                self.patches += 1;
                self.conflated += change["conflated"].as_u64().unwrap_or(0);
                merge(&mut self.document, &change["patch"]);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_client_polls_goes_over_and_follows_a_match() {
    let served = Served::start(600.0, "");
    let id = served.a_match();
    let Some(peer) = served.peer(&format!("?itemId={id}"), "polling,websocket", "") else { return };
    let open = peer.next("the session", |line| line["event"] == "open");
    assert_eq!(open["transport"], "polling");
    let mut copy = Copy::default();
    let mut is_upgraded = false;
    let until = Instant::now() + BACK;
    let mut paused = false;
    while !paused || served.site.document(&id).as_ref() != Some(&copy.document) {
        assert!(Instant::now() < until, "{} snapshots, {} patches", copy.snapshots, copy.patches);
        if !paused && is_upgraded && copy.patches >= 20 {
            served.site.simulator.pause();
            paused = true;
        }
        let Ok(line) = peer.printed.recv_timeout(std::time::Duration::from_millis(200)) else { continue };
        is_upgraded |= line["event"] == "upgrade" && line["transport"] == "websocket";
        if line["name"] == "match" {
            assert_eq!((&line["args"][0]["match"], &line["args"][0]["feed"]), (&json!(id), &json!("inplay")));
            copy.take(&line["args"][0]);
        }
    }
    assert_eq!(copy.snapshots, 1, "nothing was missed on the way over");
}

#[test]
fn committed_events_of_a_match_come_too() {
    let served = Served::start(2_000.0, "");
    let ids = served.site.simulator.truth().matches().join(",");
    let Some(peer) = served.peer(&format!("?itemId={ids}"), "websocket", "") else { return };
    let event = &peer.event("event")[0];
    let known = wait::until("the event in the store", BACK, || {
        served.site.events().into_iter().find(|known| known["seq"] == event["seq"])
    });
    assert_eq!(&known, event);
}

#[test]
fn what_is_published_reaches_the_room_and_nobody_else() {
    let served = Served::start(10.0, "");
    let Some(polling) = served.peer("?itemId=100", "polling", "") else { return };
    let websocket = served.peer("?itemId=100,200", "websocket", "").unwrap();
    let other = served.peer("?itemId=300", "websocket", "").unwrap();
    for peer in [&polling, &websocket, &other] {
        peer.connected();
    }
    let bid = json!({"itemId": 100, "channel": "auction", "message": {"price": 5.5, "by": "<b>"}});
    assert_eq!(served.publish_as(&bid), (200, "ok".to_owned()));
    for peer in [&polling, &websocket] {
        assert_eq!(peer.event("auction"), [bid["message"].clone()]);
    }
    let several = json!([
        {"itemId": "200", "channel": "auction", "message": 2},
        {"itemId": "300", "channel": "auction", "message": 3},
    ]);
    assert_eq!(served.publish_as(&several).0, 200);
    assert_eq!((websocket.event("auction"), other.event("auction")), (vec![json!(2)], vec![json!(3)]));
    let form = "itemId=100&channel=auction&message%5Bprice%5D=6";
    let headers = authorized("Content-Type: application/x-www-form-urlencoded\r\n");
    assert_eq!(served.publish("/pub", &headers, form), (200, "ok".to_owned()));
    assert_eq!(polling.event("auction"), [json!({"price": "6"})]);
    assert!(served.metric("touchline_gateway_publish_age_seconds_count") >= 6.0);
    assert_eq!(served.metric("touchline_gateway_published_total"), 4.0);
}

#[test]
fn a_retry_is_not_sent_twice_and_the_last_message_is_kept() {
    let served = Served::start(10.0, "");
    let Some(first) = served.peer("?itemId=100", "websocket", "") else { return };
    first.connected();
    let bid = |price: u32| json!({"itemId": 100, "channel": "auction", "message": price}).to_string();
    let headers = authorized("Idempotency-Key: bid-1\r\n");
    for _ in 0..3 {
        assert_eq!(served.publish("/pub?retain=true", &headers, &bid(1)), (200, "ok".to_owned()));
    }
    let headers = authorized("Idempotency-Key: bid-2\r\n");
    assert_eq!(served.publish("/pub?retain=true", &headers, &bid(2)).0, 200);
    assert_eq!((first.event("auction"), first.event("auction")), (vec![json!(1)], vec![json!(2)]));
    let late = served.peer("?itemId=100", "polling", "").unwrap();
    assert_eq!(late.event("auction"), [json!(2)]);
}

#[test]
fn who_may_not_publish_is_refused() {
    let served = Served::start(10.0, "");
    let bid = json!({"itemId": 100, "channel": "auction", "message": 1}).to_string();
    assert_eq!(served.publish("/pub", "", &bid).0, 401);
    assert_eq!(served.publish("/pub", "Authorization: Bearer other\r\n", &bid).0, 401);
    assert_eq!(served.publish("/pub", &authorized("Origin: https://example.org\r\n"), &bid).0, 403);
    for bad in ["", "{}", "[1]", r#"{"itemId":1,"channel":"a"}"#] {
        assert_eq!(served.publish("/pub", &authorized(""), bad).0, 400, "{bad}");
    }
    assert_eq!(served.publish("/nowhere", &authorized(""), "").0, 404);
    let large = "x".repeat(1_000_001);
    assert_eq!(served.publish("/pub", &authorized(""), &large).0, 413);
    let (status, _) = ask(served.publishers, "GET /pub HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 405);
    let (status, _) = ask(served.readers, "GET /pub HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 404, "where readers are nobody publishes");
    let chunked = format!(
        "POST /pub HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{}\r\n{:x}\r\n{bid}\r\n0\r\n\r\n",
        authorized(""),
        bid.len()
    );
    assert_eq!(ask(served.publishers, &chunked), (200, "ok".to_owned()));
}

#[test]
fn ten_rooms_are_ten_rooms() {
    let served = Served::start(10.0, "");
    let rooms: Vec<String> = (0..10).map(|n| format!("room-{n}")).collect();
    let Some(mut peer) = served.peer(&format!("?itemId={}", rooms.join(",")), "websocket", "") else {
        return;
    };
    peer.connected();
    for room in &rooms {
        assert_eq!(served.publish_as(&json!({"itemId": room, "channel": "c", "message": room})).0, 200);
    }
    for room in &rooms {
        assert_eq!(peer.event("c"), [json!(room)]);
    }
    assert_eq!(served.metric("touchline_gateway_rooms "), 10.0);
    peer.say(&json!(["hello-ack", 1]));
    let ack = peer.next("the acknowledgement", |line| line["event"] == "ack");
    assert!(ack["error"].is_null() && ack["answer"][0]["error"].is_string(), "{ack}");
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let query = format!("?itemId={}", many.join(","));
    let refused = served.peer(&query, "websocket", "").unwrap();
    let error = refused.next("the refusal", |line| line["event"] == "connect_error");
    assert!(error["message"].as_str().unwrap().contains("at most 64"), "{error}");
}

#[test]
fn with_a_token_only_who_has_it_takes_part() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "letmein\n").unwrap();
    let served = Served::start(10.0, &format!("read_token_file = \"{}\"\n", token.display()));
    let Some(without) = served.peer("?itemId=1", "websocket", "") else { return };
    let error = without.next("the refusal", |line| line["event"] == "connect_error");
    assert!(error["message"].as_str().unwrap().contains("token"), "{error}");
    served.peer("?itemId=1&token=letmein", "polling", "").unwrap().connected();
    served.peer("?itemId=1", "websocket", r#"{"token":"letmein"}"#).unwrap().connected();
    let target = "/socket.io/?EIO=4&transport=polling&token=wrong";
    let (status, body) =
        ask(served.readers, &format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    assert_eq!((status, body.as_str()), (403, r#"{"code":4,"message":"Forbidden"}"#));
}

#[test]
fn a_client_that_does_not_ask_is_left_out_and_ends_at_the_newest_state() {
    let served = Served::start(3_000.0, "");
    let id = served.a_match();
    let get = |query: &str| {
        let head = "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
        ask(served.readers, &format!("GET /socket.io/?EIO=4&transport=polling{query} {head}\r\n"))
    };
    let (status, hello) = get(&format!("&itemId={id}"));
    assert_eq!(status, 200, "{hello}");
    let hello: Value = serde_json::from_str(hello.strip_prefix('0').unwrap()).unwrap();
    let sid = format!("&sid={}", hello["sid"].as_str().unwrap());
    let push = |body: &str| {
        let length = body.len();
        ask(
            served.readers,
            &format!(
                "POST /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    assert_eq!(push("40"), (200, "ok".to_owned()));
    let mut copy = Copy::default();
    let take = |copy: &mut Copy| {
        let (status, body) = get(&sid);
        assert_eq!(status, 200, "{body}");
        assert!(body.len() < 400_000, "what waited is bounded: {}", body.len());
        for packet in body.split('\u{1e}') {
            match packet.strip_prefix("42") {
                Some(event) => {
                    let event: Value = serde_json::from_str(event).unwrap();
                    if event[0] == "match" {
                        copy.take(&event[1]);
                    }
                }
                None if packet == "2" => _ = push("3"),
                None => assert!(packet.starts_with("40"), "{packet}"),
            }
        }
    };
    take(&mut copy);
    // Others see that much happens meanwhile.
    let mut seen = 0;
    let until = Instant::now() + 3 * BACK;
    while copy.conflated == 0 {
        assert!(Instant::now() < until, "{} patches", copy.patches);
        let version = served.site.document(&id).unwrap()["version"].as_u64().unwrap();
        if version >= seen + 600 {
            seen = version;
            // What waited, and then what was left out.
            take(&mut copy);
            take(&mut copy);
        }
    }
    served.site.simulator.pause();
    while served.site.document(&id).as_ref() != Some(&copy.document) {
        assert!(Instant::now() < until, "{:#?}\n{:#?}", copy.document, served.site.document(&id));
        take(&mut copy);
    }
    assert_eq!(copy.snapshots, 1);
    assert!(served.metric("touchline_gateway_conflated_total") >= 1.0);
}
