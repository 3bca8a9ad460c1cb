//! Gateways that meet in a Redis, beside a server and an emitter of Socket.IO that others wrote: rooms across all of them, what publishers are
//! told, retries, what is retained, a Redis that is away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use touchline_e2e::BACK;
use touchline_e2e::brokers::Redis;
use touchline_e2e::served::{Peer, Served, authorized};
use touchline_harness::process::Reaper;
use touchline_harness::wait;

/// How long what must not come is waited for.
const NEVER: Duration = Duration::from_millis(700);

fn gateway(redis: &Redis) -> Served {
    let served = Served::start(0.0, &format!("redis = \"{}\"\n", redis.url()));
    served.wait_published();
    served
}

trait Publishes {
    fn wait_published(&self);
    fn bid(&self, price: u64, key: &str, target: &str) -> (u16, String);
}

impl Publishes for Served {
    /// Until Redis takes what is published.
    fn wait_published(&self) {
        wait::until("Redis", BACK, || {
            (self.publish_as(&json!({ "itemId": "warm", "channel": "up", "message": 1 })).0 == 200)
                .then_some(())
        });
    }

    fn bid(&self, price: u64, key: &str, target: &str) -> (u16, String) {
        let body = json!({ "itemId": "100", "channel": "bid", "message": { "price": price } });
        let key = if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") };
        self.publish(target, &authorized(&key), &body.to_string())
    }
}

fn client(served: &Served, room: &str) -> Option<Peer> {
    let peer = served.peer(&format!("?itemId={room}"), "websocket", "")?;
    peer.connected();
    Some(peer)
}

fn price(peer: &Peer) -> u64 {
    peer.event("bid")[0]["price"].as_u64().unwrap()
}

fn hears_nothing(peer: &Peer) {
    let until = Instant::now() + NEVER;
    while let Ok(line) = peer.printed.recv_timeout(until.saturating_duration_since(Instant::now())) {
        assert_ne!(line["event"], "event", "{line}");
    }
}

/// What others print once they have done something.
fn done(others: &mut Peer, act: &Value) -> Value {
    others.say(act);
    let line = others.next("what was asked", |line| line["event"] == "done" || line["event"] == "failed");
    assert_eq!(line["event"], "done", "{line}");
    line["result"].clone()
}

#[test]
fn rooms_are_those_of_all_gateways_and_of_servers_and_emitters_that_others_wrote() {
    let _reaper = Reaper::new();
    let Some(redis) = Redis::start() else { return };
    let (one, two) = (gateway(&redis), gateway(&redis));
    let Some(here) = client(&one, "100") else { return };
    let (there, elsewhere) = (client(&two, "100").unwrap(), client(&two, "200").unwrap());
    let mut others = Peer::run("server.cjs", &[&redis.url()]).unwrap();
    let port = others.next("the server", |line| line["event"] == "listening")["port"].as_u64().unwrap();
    let theirs = Peer::start(&format!("http://127.0.0.1:{port}?itemId=100"), "websocket", "").unwrap();
    theirs.connected();
    assert_eq!(one.bid(5, "", "/pub").0, 200);
    assert_eq!(
        (price(&here), price(&there), price(&theirs)),
        (5, 5, 5),
        "once it is accepted, everybody has it"
    );
    // Each by a connection of its own, so one after the other.
    for (by, number) in [("emitter", 6), ("server", 7)] {
        done(&mut others, &json!([by, "100", "bid", { "price": number }]));
        assert_eq!((price(&here), price(&there), price(&theirs)), (number, number, number), "{by}");
    }
    done(&mut others, &json!(["binary", "100", "picture"]));
    assert_eq!(here.event("picture")[0], json!({ "type": "Buffer", "data": [1, 2, 3] }));
    // A question that we do not answer would fail after its time limit.
    assert_eq!(done(&mut others, &json!(["fetch"])), json!(1), "their own");
    assert_eq!(done(&mut others, &json!(["rooms"])), json!(["100", "200"]));
    hears_nothing(&elsewhere);
    done(&mut others, &json!(["join", "200", "100"]));
    wait::until("the room", BACK, || {
        let _ = one.bid(8, "", "/pub");
        elsewhere.printed.try_iter().any(|line| line["name"] == "bid").then_some(())
    });
    done(&mut others, &json!(["disconnect", "200"]));
    elsewhere.next("the end", |line| line["event"] == "disconnect");
}

#[test]
fn a_retry_at_another_gateway_is_not_published_twice_and_what_is_retained_is_everywhere() {
    let _reaper = Reaper::new();
    let Some(redis) = Redis::start() else { return };
    let (one, two) = (gateway(&redis), gateway(&redis));
    let Some(here) = client(&one, "100") else { return };
    assert_eq!(one.bid(5, "first", "/pub").0, 200);
    assert_eq!(two.bid(5, "first", "/pub"), (200, "ok".to_owned()), "it was accepted before");
    assert_eq!(two.bid(6, "second", "/pub?retain=1").0, 200);
    assert_eq!((price(&here), price(&here)), (5, 6));
    // Who joins later, at any gateway, also at one that was not there then.
    assert_eq!(price(&client(&one, "100").unwrap()), 6);
    let three = gateway(&redis);
    let late = client(&three, "100").unwrap();
    assert_eq!(price(&late), 6);
    hears_nothing(&late);
}

#[test]
fn without_redis_nothing_is_accepted_and_all_goes_on_by_itself() {
    let _reaper = Reaper::new();
    let Some(mut redis) = Redis::start() else { return };
    let (one, two) = (gateway(&redis), gateway(&redis));
    let Some(here) = client(&one, "100") else { return };
    assert_eq!(two.bid(5, "", "/pub?retain=1").0, 200);
    assert_eq!(price(&here), 5);
    redis.kill();
    let refused = wait::until("a refusal", BACK, || {
        Some(one.bid(6, "sixth", "/pub")).filter(|(status, _)| *status != 200)
    });
    assert_eq!(refused.0, 503, "{refused:?}");
    let began = Instant::now();
    let (status, why) = one.bid(6, "sixth", "/pub");
    assert!(status == 503 && why.contains("Redis") && why.contains("try again"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(1), "once it is known to be away, at once");
    // Who is here goes on being served.
    assert_eq!(price(&client(&one, "100").unwrap()), 5);
    assert!(one.site.daemon.log().contains("gateway.redis_down"));
    redis.start_again();
    wait::until("the publisher's retry", BACK, || (one.bid(6, "sixth", "/pub").0 == 200).then_some(()));
    assert_eq!(price(&here), 6, "once");
    hears_nothing(&here);
    let downs = one.site.daemon.log().matches("gateway.redis_down").count();
    assert_eq!(downs, 1, "an outage is one line");
}
