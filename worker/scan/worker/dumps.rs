//! Strategy `dumps`: instead of holding its subscriptions, a connection goes round its matches and takes a load of each.
//!
//! What the window says is subscribed and unsubscribed here. Under the other strategies there is no window, and a match is
//! subscribed for as long as it is followed.

use super::Worker;
use crate::payload::MatchSlot;
use crate::scan::window::Slide;
use std::time::Instant;

impl Worker {
    pub(super) fn begin_subscription(&mut self, slot: MatchSlot, topics: &[String]) {
        match &mut self.window {
            Some(window) => window.add(slot, topics.len()),
            None => self.subscribe_topics(topics),
        }
    }

    /// A match is followed no more.
    pub(super) fn end_subscription(&mut self, slot: MatchSlot, topics: &[String]) {
        if self.window.as_mut().is_none_or(|window| window.remove(slot)) {
            self.unsubscribe(topics);
        }
        for topic in topics {
            self.meter.forgotten(topic.as_bytes());
        }
    }

    pub(super) fn renew_subscription(&mut self, slot: MatchSlot) {
        match &mut self.window {
            Some(window) => window.hasten(slot),
            None => {
                self.parts.trees.await_load(slot);
                self.subscribe_topics(&self.matches.topics(slot));
            }
        }
    }

    /// A match that the session goes on to have cannot go on from where it stood. What the session is not known to have
    /// was asked for already.
    pub(super) fn reload_kept(&mut self, slot: MatchSlot) {
        if self.window.is_some() {
            return self.renew_subscription(slot);
        }
        let Some(followed) = self.matches.get(slot) else { return };
        let is_kept = |topic: &&String| self.source.is_loaded(topic);
        let topics: Vec<String> = followed.topics.iter().filter(is_kept).cloned().collect();
        self.subscribe_topics(&topics);
    }

    pub(super) fn slide_past(&mut self, slot: MatchSlot) {
        if self.window.as_mut().is_some_and(|window| window.loaded(slot, Instant::now())) {
            let topics = self.matches.topics(slot);
            self.unsubscribe(&topics);
        }
    }

    /// Fills the window, while there is a connection to ask on.
    pub(super) fn slide(&mut self, now: Instant) {
        if !self.source.is_connected() {
            return;
        }
        while let Some(slide) = self.window.as_mut().and_then(|window| window.slide(now)) {
            let (Slide::Ask(slot) | Slide::GiveUp(slot)) = slide;
            let topics = self.matches.topics(slot);
            match slide {
                Slide::Ask(_) => self.subscribe_topics(&topics),
                Slide::GiveUp(_) => self.unsubscribe(&topics),
            }
        }
    }

    fn subscribe_topics(&mut self, topics: &[String]) {
        topics.iter().for_each(|topic| self.subscribe(topic));
    }

    fn unsubscribe(&mut self, topics: &[String]) {
        for topic in topics {
            self.source.unfollow(topic);
        }
    }
}
