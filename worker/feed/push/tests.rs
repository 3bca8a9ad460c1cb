//! Sessions against a server that is written out: what they send, what they give.

mod bad_input;
mod loopback;
mod model;
mod several;

use super::lost::LostReason;
use super::session::{Form, Outgoing, ResumeState, Session, SessionConfig};
use crate::feed::{ConnectionEvent, Event, SessionKind};
use crate::wire::websocket::CloseCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::Config;

const FEED: &str = r#"
[[feed]]
kind = "push"
url = "ws://h:1/x"
topics = ["a"]
subscribe = '{"sub":{TOPICS},"id":{N}}'
unsubscribe = '{"unsub":{TOPICS}}'
messages_per_s = 1000.0
topic = "/t"
body = "/d"
"#;
const SNAPSHOTS: &str = "snapshot = { at = \"/k\", is = \"s\" }\n";

/// A session with all that it gave and sent since it was last looked at.
struct Bench {
    session: Session,
    now: Instant,
    seen: Vec<String>,
    sent: Vec<String>,
}

fn config(more: &str) -> Config {
    Config::parse(&format!("{FEED}{more}"), "t.toml").unwrap()
}

fn session_config(more: &str) -> Arc<SessionConfig> {
    let config = config(more);
    Arc::new(SessionConfig::new(&config, config.feed.first().unwrap()))
}

impl Bench {
    /// On an open WebSocket.
    fn new(more: &str, topics: &[&str]) -> Bench {
        Bench::after(ResumeState::default(), more, topics)
    }

    fn after(earlier: ResumeState, more: &str, topics: &[&str]) -> Bench {
        let now = Instant::now();
        let session = Session::new(session_config(more), earlier, now);
        let mut bench = Bench { session, now, seen: Vec::new(), sent: Vec::new() };
        for topic in topics {
            bench.session.keep(topic).unwrap();
        }
        bench.session.connected(now);
        bench.drain();
        bench
    }

    fn take(&mut self, text: &str) {
        self.session.take(text.as_bytes(), Form::Text, self.now);
        self.drain();
    }

    fn after_time(&mut self, passed: Duration) {
        self.now += passed;
        self.session.timer(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while self.session.next_step().is_some() {
            let line = line(&self.session.event().unwrap());
            self.seen.push(line);
        }
        while let Some(outgoing) = self.session.next_outgoing() {
            self.sent.push(match outgoing {
                Outgoing::Text(text) => text,
                Outgoing::Ping => "PING".to_owned(),
            });
        }
    }

    fn seen(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }
}

fn line(event: &Event<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Event::Connection(ConnectionEvent::Opened { session: SessionKind::Fresh, .. }) => "opened".to_owned(),
        Event::Connection(ConnectionEvent::Opened { session: SessionKind::Resumed, .. }) => {
            "resumed".to_owned()
        }
        Event::Snapshot { topic, body } => format!("snapshot {} {}", text(topic), text(body)),
        Event::Delta { topic, body } => format!("delta {} {}", text(topic), text(body)),
        Event::Removed { topic } => format!("removed {}", text(topic)),
        Event::Status { topic, status } => format!("status {} {}", text(topic), text(status)),
        Event::Interrupted { topic, why, .. } => format!("interrupted {} {why}", text(topic)),
        Event::Skipped(why) => format!("skipped {why}"),
        Event::Connection(
            ConnectionEvent::PermitNeeded
            | ConnectionEvent::Connected
            | ConnectionEvent::ConnectFailed(_)
            | ConnectionEvent::Up
            | ConnectionEvent::Lost(_),
        )
        | Event::Unchanged { .. }
        | Event::Refused { .. }
        | Event::RoundEnd { .. }
        | Event::QueueDepth(_) => format!("unexpected {event:?}"),
    }
}

const LOGIN: &str = r#"
username = "u\"x"
login = { greeting = { at = "/hello" }, send = '{"login":"{USERNAME}"}', accepted = { at = "/ok" }, refused = { at = "/error", why = "/error" } }
"#;

#[test]
fn a_greeting_and_a_login_come_before_subscriptions() {
    let mut bench = Bench::new(LOGIN, &["a", "b"]);
    assert!(bench.sent().is_empty());
    bench.take(r#"{"other":1}"#);
    bench.take(r#"{"hello":1}"#);
    assert_eq!(bench.sent(), [r#"{"login":"u\"x"}"#]);
    bench.take(r#"{"ok":true}"#);
    assert_eq!(bench.sent(), [r#"{"sub":["a","b"],"id":2}"#]);
    assert_eq!(bench.seen(), ["opened"]);
}

#[test]
fn a_refused_login_and_one_that_is_not_answered_end_the_session() {
    let mut bench = Bench::new(LOGIN, &["a"]);
    bench.take(r#"{"hello":1}"#);
    bench.take(r#"{"error":"no such user"}"#);
    assert_eq!(bench.session.why(), Some(&LostReason::LoginRefused { why: "no such user".to_owned() }));
    let mut bench = Bench::new(LOGIN, &["a"]);
    bench.after_time(Duration::from_secs(10));
    assert!(bench.session.why().unwrap().to_string().contains("greeting"));
}

#[test]
fn topics_go_out_in_batches_within_the_rates() {
    let rates = "batch = 2\neach = '{\"ch\":\"{TOPIC}\"}'\n";
    let mut bench = Bench::new(rates, &["a", "b", "c\""]);
    assert_eq!(
        bench.sent(),
        [r#"{"sub":[{"ch":"a"},{"ch":"b"}],"id":1}"#, r#"{"sub":[{"ch":"c\""}],"id":2}"#]
    );
    bench.session.unfollow("b");
    bench.after_time(Duration::from_secs(1));
    assert_eq!(bench.sent(), [r#"{"unsub":[{"ch":"b"}]}"#]);
}

#[test]
fn items_are_snapshots_deltas_removals_or_nothing() {
    let more = r#"
items = "/m"
snapshot = [{ at = "/k", is = "s" }, { at = "/img", is = true }, { at = "/all", of = "message" }]
removed = { at = "/k", is = "r" }
ignored = { at = "/k", is = "i" }
"#;
    let mut bench = Bench::new(more, &["a", "b", "7"]);
    bench.seen();
    bench.take(
        r#"{"m":[{"t":"a","k":"s","d":{"x":1}},{"t":"a","d":{"x":2}},{"t":"b","img":true,"d":[1]},{"t":"b","k":"r"},
        {"k":"i"},{"t":"zz","d":1},{"d":1},{"t":"a"}]}"#,
    );
    let seen = bench.seen();
    assert_eq!(seen[..4], [r#"snapshot a {"x":1}"#, r#"delta a {"x":2}"#, "snapshot b [1]", "removed b"]);
    assert!(seen[4].contains("'zz', which was not asked for"), "{seen:?}");
    assert!(seen[5].contains("without a topic") && seen[6].contains("'a' without a body"), "{seen:?}");
    assert_eq!((seen.len(), bench.session.errors()), (7, 3));
    bench.take(r#"{"all":1,"m":[{"t":7,"d":0.000000000000000001}]}"#);
    assert_eq!(bench.seen(), ["snapshot 7 0.000000000000000001"]);
    assert!(bench.session.is_loaded("a") && !bench.session.is_loaded("b"));
}

#[test]
fn items_may_be_an_object_by_topic_and_the_first_of_a_topic_its_snapshot() {
    let more = "items = \"/data\"\n";
    let text = format!("{FEED}{more}").replace("topic = \"/t\"\nbody = \"/d\"\n", "");
    let config = Config::parse(&text, "t.toml").unwrap();
    let now = Instant::now();
    let session_config = Arc::new(SessionConfig::new(&config, config.feed.first().unwrap()));
    let session = Session::new(session_config, ResumeState::default(), now);
    let mut bench = Bench { session, now, seen: Vec::new(), sent: Vec::new() };
    bench.session.follow("a b").unwrap();
    bench.session.connected(now);
    bench.drain();
    bench.seen();
    bench.take(r#"{"data":{"a b":{"x":1}}}"#);
    bench.take(r#"{"data":{"a b":{"x":2}}}"#);
    assert_eq!(bench.seen(), [r#"snapshot a b {"x":1}"#, r#"delta a b {"x":2}"#]);
}

#[test]
fn a_hole_interrupts_the_topic_until_its_snapshot_and_what_follows_is_held() {
    let mut bench = Bench::new(&format!("{SNAPSHOTS}sequence = {{ at = \"/n\" }}\n"), &["a", "b"]);
    bench.take(r#"{"t":"b","k":"s","n":9,"d":"b9"}"#);
    bench.take(r#"{"t":"a","n":1,"d":"held"}"#);
    bench.take(r#"{"t":"a","k":"s","n":1,"d":"s1"}"#);
    bench.take(r#"{"t":"a","n":2,"d":2}"#);
    bench.take(r#"{"t":"a","n":2,"d":2}"#);
    bench.seen();
    bench.sent();
    bench.take(r#"{"t":"a","n":4,"d":4}"#);
    assert_eq!(bench.seen(), ["interrupted a something is missing behind number 2"]);
    bench.take(r#"{"t":"a","n":5,"d":5}"#);
    bench.take(r#"{"t":"b","n":"10","d":10}"#);
    assert_eq!(bench.seen(), ["delta b 10"], "no other topic is concerned");
    bench.after_time(Duration::from_millis(1));
    assert_eq!(bench.sent(), [r#"{"unsub":["a"]}"#, r#"{"sub":["a"],"id":3}"#]);
    bench.take(r#"{"t":"a","k":"s","n":3,"d":"s3"}"#);
    assert_eq!(bench.seen(), [r#"snapshot a "s3""#, "delta a 4", "delta a 5"]);

    bench.take(r#"{"t":"a","n":9,"d":9}"#);
    bench.after_time(Duration::from_millis(1));
    assert!(bench.sent().is_empty(), "soon after the first the next waits");
    bench.after_time(Duration::from_millis(600));
    assert_eq!(bench.sent().len(), 2);
}

#[test]
fn refusals_name_a_topic_or_a_message() {
    let more = r#"refused = [{ at = "/err", topic = "/t", why = "/err" }, { at = "/bad", number = "/id", why = "/bad" }, { at = "/odd", why = "/odd" }]
"#;
    let mut bench = Bench::new(more, &["a", "b"]);
    bench.seen();
    bench.take(r#"{"err":"limit","t":["a","x"]}"#);
    assert_eq!(bench.seen(), ["status a limit"]);
    bench.take(r#"{"bad":"all","id":1}"#);
    let mut seen = bench.seen();
    seen.sort();
    assert_eq!(seen, ["status a all", "status b all"]);
    bench.take(r#"{"odd":"x"}"#);
    assert_eq!(bench.seen(), ["skipped the server refuses something: x"]);
}

#[test]
fn what_is_acknowledged_and_never_sent_is_asked_for_again_where_a_snapshot_is_due() {
    let acknowledged = "acknowledged = { at = \"/ok\", topic = \"/t\" }\n";
    let mut bench = Bench::new(&format!("{SNAPSHOTS}{acknowledged}"), &["a"]);
    bench.sent();
    bench.take(r#"{"ok":1,"t":"a"}"#);
    bench.after_time(Duration::from_secs(8));
    assert_eq!(bench.sent(), [r#"{"unsub":["a"]}"#, r#"{"sub":["a"],"id":3}"#]);
    assert_eq!(bench.session.unanswered(), 1);
    let mut bench = Bench::new(acknowledged, &["a"]);
    bench.sent();
    bench.take(r#"{"ok":1,"t":"a"}"#);
    bench.after_time(Duration::from_secs(8));
    assert!(bench.sent().is_empty() && bench.session.unanswered() == 0);
    assert_eq!(bench.session.errors(), 0);
}

#[test]
fn heartbeats_go_out_theirs_are_answered_and_silence_ends_it() {
    let more = r#"heartbeat = { every = "10s", send = 'ping {N}' }
idle_limit = "25s"
alive = "message"
reply = { at = "/ping", send = '{"pong":{VALUE}}' }
"#;
    let mut bench = Bench::new(more, &["a"]);
    bench.sent();
    bench.take(r#"{"ping":[1,"x"]}"#);
    assert_eq!(bench.sent(), [r#"{"pong":[1,"x"]}"#]);
    assert_eq!(bench.session.errors(), 0);
    bench.after_time(Duration::from_secs(10));
    assert!(bench.sent().contains(&"ping 3".to_owned()));
    bench.session.frame_came(bench.now);
    bench.after_time(Duration::from_secs(16));
    assert_eq!(bench.session.why(), None, "it is asked first");
    bench.after_time(Duration::from_secs(5));
    assert!(matches!(bench.session.why(), Some(LostReason::Silent { .. })));

    let mut bench = Bench::new("", &[]);
    bench.after_time(Duration::from_secs(30));
    assert_eq!(bench.sent(), ["PING"]);
}

#[test]
fn a_subscription_goes_on_with_its_token_until_the_server_refuses() {
    let more = format!(
        "{SNAPSHOTS}sequence = {{ at = \"/n\" }}\nrefused = {{ at = \"/err\", topic = \"/t\", why = \"/err\" }}\n\
         resume = {{ tokens = {{ CLK = \"/clk\" }}, of = \"message\", subscribe = '{{\"sub\":{{TOPICS}},\"clk\":\"{{CLK}}\"}}' }}\n"
    );
    let mut bench = Bench::new(&more, &["a", "b"]);
    bench.take(r#"{"t":"a","k":"s","n":1,"clk":"T1","d":1}"#);
    bench.take(r#"{"t":"a","n":2,"clk":"T\"2","d":2}"#);
    let earlier = bench.session.into_resume_state();
    let mut bench = Bench::after(earlier, &more, &["a", "b"]);
    assert_eq!(bench.seen(), ["resumed"]);
    assert_eq!(bench.sent(), [r#"{"sub":["a"],"clk":"T\"2"}"#, r#"{"sub":["b"],"id":2}"#]);
    assert!(bench.session.is_loaded("a") && !bench.session.is_loaded("b"));
    bench.take(r#"{"t":"a","n":3,"d":3}"#);
    assert_eq!(bench.seen(), ["delta a 3"]);
    bench.take(r#"{"err":"expired","t":"a"}"#);
    let seen = bench.seen();
    assert!(seen[0] == "status a expired" && seen[1].starts_with("interrupted a "), "{seen:?}");
    bench.after_time(Duration::from_millis(1));
    assert_eq!(bench.sent(), [r#"{"unsub":["a"]}"#, r#"{"sub":["a"],"id":4}"#]);
}

#[test]
fn a_refusing_close_code_refuses_only_before_anything_was_served() {
    let closed = |code| LostReason::Closed { code: Some(CloseCode(code)), reason: "r".to_owned() };
    let mut bench = Bench::new("", &["a"]);
    bench.session.end(closed(1008));
    assert!(matches!(bench.session.why(), Some(LostReason::CloseRefuses { .. })));
    let mut bench = Bench::new("", &["a"]);
    bench.take(r#"{"t":"a","d":1}"#);
    bench.session.end(closed(1008));
    assert_eq!(bench.session.why(), Some(&closed(1008)), "a login that expires is no refusal");
    let mut bench = Bench::new("", &["a"]);
    bench.session.end(closed(1012));
    assert_eq!(bench.session.why(), Some(&closed(1012)));
}
