//! A session that goes on over a new connection.

use super::*;
use touchline_common::ipc::messages::data::EndReason;

impl Stage {
    /// The connection breaks, and the server goes on with the session on the next one.
    fn come_back(&mut self) {
        self.resume = Resume::Known;
        self.server = None;
        self.heard.clear();
        self.sent.clear();
        self.until("a session on a new connection", |stage| {
            stage.server.as_ref().filter(|server| server.open).map(|_| ())
        });
    }

    /// What the recorder was sent of a match, in order, without renderings.
    fn story(&self, id: &str) -> Vec<&'static str> {
        let of = |(of, body): (&str, &MatchBody<'_>)| match body {
            _ if of != id => None,
            MatchBody::Base(_) => Some("base"),
            MatchBody::Obs { .. } => Some("obs"),
            MatchBody::End { why: EndReason::ConnectionLost, .. } => Some("lost"),
            MatchBody::End { .. } => Some("end"),
            MatchBody::Mark { .. } | MatchBody::Incidents { .. } | MatchBody::Round { .. } => None,
        };
        self.matches().filter_map(of).collect()
    }
}

#[test]
fn what_the_session_has_goes_on_with_a_gap_and_without_a_question() {
    let mut stage = Stage::up(&Wish::default());
    stage.tell(&ToWorker::FollowList);
    stage.until_asked("L");
    stage.live("m", 5, "6V1");
    stage.come_back();
    stage.until_state("m", MatchState::Live);
    stage.until_asked("L");
    stage.server().delta("6V1/e", "U|SS=1-0;|");
    stage.until("the change", |stage| stage.story("m").contains(&"obs").then_some(()));
    assert_eq!(stage.story("m"), ["lost", "base", "obs"]);
    assert_eq!(stage.server().asked, ["L"], "the list alone: what it lost would never be followed");
    let report = stage.report(2);
    assert_eq!((report.live, report.loaded), (1, 1));
}

#[test]
fn what_was_released_meanwhile_is_given_up() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.live("n", 6, "6V2");
    stage.tell(&ToWorker::Release { id: "n".into(), epoch: Epoch(6), why: ReleaseReason::Moved });
    stage.come_back();
    stage.until("the end of its subscription", |stage| {
        stage.server().left.contains(&"6V2".to_owned()).then_some(())
    });
    stage.until_state("m", MatchState::Live);
    assert!(stage.server().asked.is_empty());
}

#[test]
fn a_match_of_which_a_load_is_missing_is_loaded_anew_each_topic_once() {
    let mut stage = Stage::up(&Wish::default());
    stage.assign("m", 5, &["6V1", "more"]);
    stage.until_asked("more");
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    stage.come_back();
    stage.until_asked("6V1");
    stage.until_asked("more");
    stage.server().load("6V1", LOAD);
    stage.until_state("m", MatchState::Live);
    assert_eq!(stage.story("m"), ["lost", "base"]);
    assert_eq!(stage.server().asked.len(), 2);
}

#[test]
fn a_forgotten_session_is_asked_for_everything() {
    let mut stage = Stage::up(&Wish::default());
    stage.live("m", 5, "6V1");
    stage.server = None;
    stage.sent.clear();
    stage.until("the question", |stage| {
        stage.server.as_ref().is_some_and(|server| server.asks("6V1")).then_some(())
    });
    assert_eq!(stage.story("m"), ["lost"], "the gap lasts until the load");
}
