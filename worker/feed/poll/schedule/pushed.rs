//! What a socket pushes in place of answers: such a topic is not asked for.

use super::{Schedule, Told};
use crate::feed::poll::ask::{AskId, Given, Health, Held, State};
use std::time::Instant;

impl Schedule {
    /// The whole of a topic is pushed; from now on it is not asked for.
    pub fn push(&mut self, topic: &str, body: Vec<u8>) {
        let Some(asks) = self.topics.get(topic).cloned() else { return };
        for id in asks {
            self.rest_while_pushed(id);
        }
        self.told.push_back(Told::Snapshot { topic: topic.to_owned(), body });
    }

    pub fn push_delta(&mut self, topic: &str, body: Vec<u8>) {
        if self.is_followed(topic) {
            self.told.push_back(Told::Delta { topic: topic.to_owned(), body });
        }
    }

    /// What is pushed of a topic stands.
    pub fn push_unchanged(&mut self, topic: &str) {
        if self.is_followed(topic) {
            self.told.push_back(Told::Unchanged { topic: topic.to_owned() });
        }
    }

    /// A topic is no more; should it be there all the same, asking for it will show.
    pub fn push_removed(&mut self, topic: &str, now: Instant) {
        for id in self.topics.get(topic).cloned().unwrap_or_default() {
            self.ask_again(id, now);
            if let Some(ask) = self.table.get_mut(id)
                && std::mem::take(&mut ask.held) != Held::default()
            {
                self.told.push_back(Told::Removed { topic: topic.to_owned() });
            }
        }
    }

    /// Nothing is pushed any more: all is asked for again, spread as in the beginning.
    pub fn push_ended(&mut self, why: &str, now: Instant) {
        self.told.push_back(Told::Health(format!("the socket is down, its matches are polled: {why}")));
        for id in self.table.ids() {
            self.ask_again(id, now);
        }
    }

    /// What the socket sent is of no use.
    pub fn skip(&mut self, why: String) {
        self.errors += 1;
        self.told.push_back(Told::Health(why));
    }

    fn rest_while_pushed(&mut self, id: AskId) {
        let Some(ask) = self.table.get_mut(id) else { return };
        // The next answer is given whole, whatever was held before.
        ask.held = Held { given: Given::Yes, ..Held::default() };
        (ask.health, ask.failures) = (Health::Up, 0);
        let (state, chain) = (ask.state, ask.chain.clone());
        if let State::Running(number) = state {
            self.given_up.push(number);
        }
        self.table.go(id, State::Pushed);
        self.release(chain.as_ref(), id);
    }

    /// If it is pushed, it is asked for again.
    pub(super) fn ask_again(&mut self, id: AskId, now: Instant) {
        let Some(source) = self.table.get(id).filter(|ask| ask.state == State::Pushed).map(|ask| ask.source)
        else {
            return;
        };
        let due = now + self.first_wait(source);
        self.table.go(id, State::Waiting(due));
    }
}
