//! Which matches the socket pushes, and what of its messages is news. Pure.

use super::SocketEvent;
use super::messages::{self, Message};
use std::collections::{HashMap, VecDeque};
use touchline_common::config::SocketConfig;

#[derive(Debug)]
pub(super) struct Coverage {
    config: SocketConfig,
    matches: HashMap<String, State>,
    state: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Untried,
    /// Which was reported.
    Down,
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for, or asked for without an answer: it is polled.
    Wanted,
    /// Up to this time of its own, as far as it has one.
    Pushed(Option<u64>),
    /// Until the next connection.
    Polled,
}

impl Coverage {
    pub(super) fn new(config: SocketConfig) -> Coverage {
        Coverage { config, matches: HashMap::new(), state: Connection::Untried }
    }

    /// A match is wanted; anew, if it was: then polling gives it. What is to be sent.
    pub(super) fn follow(&mut self, id: &str) -> Option<String> {
        match self.matches.get_mut(id) {
            Some(state @ State::Pushed(_)) => {
                *state = State::Polled;
                None
            }
            Some(State::Wanted | State::Polled) => None,
            None => {
                self.matches.insert(id.to_owned(), State::Wanted);
                let is_up = self.state == Connection::Up;
                messages::about(&self.config.subscribe, id).filter(|_| is_up)
            }
        }
    }

    /// What is to be sent.
    pub(super) fn unfollow(&mut self, id: &str) -> Option<String> {
        self.matches.remove(id)?;
        let is_up = self.state == Connection::Up;
        messages::about(&self.config.unsubscribe, id).filter(|_| is_up)
    }

    /// What is to be sent.
    pub(super) fn opened(&mut self) -> Vec<String> {
        self.state = Connection::Up;
        self.matches.keys().filter_map(|id| messages::about(&self.config.subscribe, id)).collect()
    }

    /// The matches that are pushed.
    pub(super) fn pushed(&self) -> Vec<String> {
        let pushed = self.matches.iter().filter(|(_, state)| matches!(state, State::Pushed(_)));
        pushed.map(|(id, _)| id.clone()).collect()
    }

    /// What was pushed is polled from now on. The first loss is news, a further attempt that fails is not.
    pub(super) fn lost(&mut self, why: String, events: &mut VecDeque<SocketEvent>) {
        let is_news = std::mem::replace(&mut self.state, Connection::Down) != Connection::Down;
        self.matches.values_mut().for_each(|state| *state = State::Wanted);
        if is_news {
            events.push_back(SocketEvent::Down(why));
        }
    }

    pub(super) fn take(&mut self, message: &[u8], events: &mut VecDeque<SocketEvent>) {
        match messages::read(&self.config, message) {
            Err(why) => events.push_back(SocketEvent::Skipped(format!("a message of the socket: {why}"))),
            Ok(Message::Other) => {}
            Ok(Message::Snapshot { id, time, body }) => {
                if self.take_snapshot(&id, time) {
                    events.push_back(SocketEvent::Snapshot { id, body });
                }
            }
            Ok(Message::Delta { id, time, changes }) => {
                if self.take_delta(&id, time) {
                    let delta = |body| SocketEvent::Delta { id: id.clone(), body };
                    events.extend(changes.into_iter().map(delta));
                }
            }
            Ok(Message::Deleted { id }) => {
                if let Some(state) = self.matches.get_mut(&id) {
                    // Should it come again, a snapshot says so.
                    *state = State::Wanted;
                    events.push_back(SocketEvent::Deleted { id });
                }
            }
        }
    }

    /// Whether a snapshot is news.
    fn take_snapshot(&mut self, id: &str, time: Option<u64>) -> bool {
        match self.matches.get_mut(id) {
            Some(State::Pushed(before)) if is_older(time, *before) => false,
            Some(state @ (State::Wanted | State::Pushed(_))) => {
                *state = State::Pushed(time);
                true
            }
            Some(State::Polled) | None => false,
        }
    }

    fn take_delta(&mut self, id: &str, time: Option<u64>) -> bool {
        match self.matches.get_mut(id) {
            Some(State::Pushed(before)) if is_older(time, *before) => false,
            Some(State::Pushed(before)) => {
                *before = time.or(*before);
                true
            }
            Some(State::Wanted | State::Polled) | None => false,
        }
    }
}

fn is_older(time: Option<u64>, before: Option<u64>) -> bool {
    time.zip(before).is_some_and(|(time, before)| time < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(coverage: &mut Coverage, message: &str) -> Vec<SocketEvent> {
        let mut events = VecDeque::new();
        coverage.take(message.as_bytes(), &mut events);
        events.into()
    }

    fn snapshot(id: u32, time: u32) -> String {
        format!(r#"{{"type":"match_snapshot","matchId":{id},"timestamp":{time},"data":{{}}}}"#)
    }

    fn delta(id: u32, time: u32) -> String {
        format!(
            r#"{{"type":"match_delta","matchId":{id},"timestamp":{time},"changes":{{"added":{{}},"updated":{{}}}}}}"#
        )
    }

    #[test]
    fn what_is_wanted_is_asked_for_on_each_connection() {
        let mut coverage = Coverage::new(SocketConfig::default());
        assert_eq!(coverage.follow("1"), None, "nothing can be sent yet");
        assert_eq!(coverage.opened().len(), 1);
        assert!(coverage.follow("2").unwrap().contains("\"matchId\":2"));
        let mut lost = VecDeque::new();
        coverage.lost("x".to_owned(), &mut lost);
        coverage.lost("y".to_owned(), &mut lost);
        assert_eq!(lost, [SocketEvent::Down("x".to_owned())], "once");
        assert_eq!(coverage.opened().len(), 2);
        assert_eq!(coverage.unfollow("2"), None, "there is no message for it");
    }

    #[test]
    fn a_match_is_told_from_its_snapshot_on_and_nothing_older() {
        let mut coverage = Coverage::new(SocketConfig::default());
        coverage.follow("1");
        coverage.opened();
        assert_eq!(events(&mut coverage, &delta(1, 5)), [], "of what?");
        assert_eq!(
            (events(&mut coverage, &snapshot(1, 5)).len(), coverage.pushed()),
            (1, vec!["1".to_owned()])
        );
        assert_eq!(events(&mut coverage, &delta(1, 4)), []);
        assert_eq!(events(&mut coverage, &delta(1, 6)).len(), 2);
        assert_eq!(events(&mut coverage, &snapshot(1, 5)), []);
        assert_eq!(events(&mut coverage, &snapshot(2, 9)), [], "nobody wants it");
        let deleted = r#"{"type":"match_deleted","matchId":1}"#;
        assert_eq!(events(&mut coverage, deleted), [SocketEvent::Deleted { id: "1".to_owned() }]);
        assert_eq!(events(&mut coverage, &delta(1, 7)), []);
        assert!(matches!(events(&mut coverage, "<html>")[..], [SocketEvent::Skipped(_)]));
    }

    #[test]
    fn who_wants_it_anew_has_it_by_polling_until_the_next_connection() {
        let mut coverage = Coverage::new(SocketConfig::default());
        coverage.follow("1");
        coverage.opened();
        events(&mut coverage, &snapshot(1, 5));
        coverage.follow("1");
        assert_eq!(events(&mut coverage, &delta(1, 6)), []);
        assert_eq!(events(&mut coverage, &snapshot(1, 7)), []);
        coverage.lost(String::new(), &mut VecDeque::new());
        coverage.opened();
        assert_eq!(events(&mut coverage, &snapshot(1, 1)).len(), 1);
    }
}
