//! Servers that let in and then refuse, or throw out.

use super::*;
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::worker::ConnectionState;

/// What topics of the login are called here; the first is the clock's.
const LOGIN: [&str; 2] = ["__time", "S_secret"];
const ERROR: &str = "F|ER;RT=2;IT=S_secret;|";

fn up() -> Stage {
    Stage::up(&Wish { time_topic: LOGIN[0], login_topics: &LOGIN, ..Wish::default() })
}

impl Stage {
    /// Every state of the connection that was reported, with why.
    fn connections(&self) -> Vec<(ConnectionState, String)> {
        let of = |message: &FromWorker| match message {
            FromWorker::Connection { state, detail, .. } => Some((*state, detail.clone())),
            _ => None,
        };
        self.heard.iter().filter_map(of).collect()
    }
}

#[test]
fn an_error_on_a_topic_of_the_login_is_a_refused_session() {
    let mut stage = up();
    stage.live("m", 1, "6V1");
    stage.server().load(LOGIN[1], ERROR);
    stage.server().delta("6V1/e", "U|SS=1-0;|");
    let (why, lost) = stage.until("the end", |stage| {
        stage.heard.iter().find_map(|message| match message {
            FromWorker::Connection { state: ConnectionState::Down, detail, lost } => {
                Some((detail.clone(), *lost))
            }
            _ => None,
        })
    });
    assert!(why.contains("refuses the session") && why.contains("RT=2"), "{why}");
    assert!(why.contains("renew `login_topics`") && why.contains("`login_topics[1]`"), "{why}");
    assert!(!why.contains("secret"), "{why}");
    let wait: u64 =
        why.rsplit_once("next attempt in ").unwrap().1.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!(wait >= 60_000, "{why}");
    assert_eq!(lost, None, "no sign of a cap");
    let ended = |body: &MatchBody<'_>| matches!(body, MatchBody::End { why: EndReason::ConnectionLost, .. });
    stage.until("the gap", |stage| stage.matches().any(|(_, body)| ended(body)).then_some(()));
    assert_eq!(stage.observations(), 0, "what follows the refusal is not reported");
}

#[test]
fn an_error_elsewhere_refuses_nothing() {
    let login_topics = &["__time", "S_secret", "L", "6V1"];
    let mut stage = Stage::up(&Wish { time_topic: LOGIN[0], login_topics, ..Wish::default() });
    stage.tell(&ToWorker::FollowList);
    stage.until_asked("L");
    // The clock, the list and a match, though the login asked for them; a topic that it did not ask for; and no load.
    stage.live("m", 1, "6V1");
    for topic in [LOGIN[0], "L", "6V1", "S_other"] {
        stage.server().load(topic, ERROR);
    }
    stage.server().delta(LOGIN[1], "U|ER;RT=2;|");
    stage.server().load(LOGIN[1], "F|IN;RT=2;|");
    stage.server().load("6V1", LOAD);
    stage.live("n", 2, "6V2");
    assert!(!stage.connections().iter().any(|(state, _)| *state == ConnectionState::Down));
}

#[test]
fn after_a_session_that_served_nothing_the_next_is_up_when_it_serves() {
    let mut stage = Stage::up(&Wish::default());
    stage.assign("m", 1, &["6V1"]);
    stage.until_asked("6V1");
    let again = |stage: &mut Stage| {
        stage.server = None;
        stage.heard.clear();
        stage.until("a session on a new connection", |stage| {
            stage.server.as_ref().filter(|server| server.open).map(|_| ())
        });
        stage.until_asked("6V1");
    };
    again(&mut stage);
    let states = |stage: &Stage| stage.connections().iter().map(|(state, _)| *state).collect::<Vec<_>>();
    assert_eq!(states(&stage), [ConnectionState::Down, ConnectionState::Connecting]);
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    assert_eq!(states(&stage).last(), Some(&ConnectionState::Up));
    again(&mut stage);
    assert_eq!(states(&stage).last(), Some(&ConnectionState::Up), "this server serves");
}

#[test]
fn a_session_of_which_nothing_is_asked_is_up_in_the_end() {
    let mut stage = Stage::up(&Wish::default());
    let is_up = |stage: &Stage| stage.connections().iter().any(|(state, _)| *state == ConnectionState::Up);
    stage.until("the first session", |stage| is_up(stage).then_some(()));
    stage.server = None;
    stage.heard.clear();
    stage.until("a session on a new connection", |stage| {
        stage.server.as_ref().filter(|server| server.open).map(|_| ())
    });
    let begun = Instant::now();
    while !is_up(&stage) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", stage.connections());
        stage.pump();
    }
    assert!(begun.elapsed() >= Duration::from_secs(4), "at once");
}
