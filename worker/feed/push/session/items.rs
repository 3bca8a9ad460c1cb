//! What an open session's messages bring: items of topics, in their order.

use super::answers::Answered;
use super::{Body, Message, Session, Step};
use crate::feed::push::dialect::{Kind, Place, View};
use crate::feed::push::order::{Behind, Numbers, Verdict};
use crate::feed::push::search::{Element, Found, Span, elements, scalar};
use crate::feed::push::skip::Skip;
use crate::feed::push::subscriptions::{Heard, Topic, TopicState};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use touchline_common::config::Of;

impl Session {
    pub(super) fn open_message(&mut self, now: Instant) {
        let config = Arc::clone(&self.config);
        let answered = self.answers(now);
        let view = self.message.view();
        if config.dialect.tokens_of == Of::Message {
            let found = tokens(view, &config.dialect.tokens);
            self.tokens.extend(found);
        }
        let Some(items) = config.dialect.items else {
            // An answer may be the first snapshot as well, where it says so.
            let kind = config.dialect.kind(view);
            if answered == Answered::No || kind == Kind::Snapshot {
                self.item(None, now);
            }
            return;
        };
        let Some(span) = self.message.found.get(items) else {
            return match (answered, config.dialect.kind(self.message.view())) {
                (Answered::Yes, _) | (Answered::No, Kind::Ignored) => {}
                (
                    Answered::No,
                    Kind::Removed | Kind::Snapshot | Kind::Delta | Kind::Either | Kind::Unknown,
                ) => self.skip(Skip::NoItems),
            };
        };
        let mut all = std::mem::take(&mut self.message.elements);
        all.clear();
        match elements(&self.message.text, span, &mut all) {
            Ok(()) => all.iter().for_each(|element| self.item(Some(element), now)),
            Err(_) => self.skip(Skip::NotJson),
        }
        self.message.elements = all;
    }

    /// An item of the message; none: the message is the item.
    fn item(&mut self, element: Option<&Element>, now: Instant) {
        let config = Arc::clone(&self.config);
        let Message { text, item, .. } = &mut self.message;
        if let Some(element) = element
            && config.dialect.search_item(text, element.value.clone(), item).is_err()
        {
            *item = Found::default();
            return self.skip(Skip::NotJson);
        }
        let view = self.message.view();
        let kind = config.dialect.kind(view);
        if kind == Kind::Ignored {
            return;
        }
        let Some(topic) = topic(view, config.dialect.topic, element) else { return self.skip(Skip::NoTopic) };
        // What is on its way of an earlier subscription is none of this one.
        let was_sent = |held: &&Topic| !matches!(held.state, TopicState::Waiting | TopicState::Kept);
        let Some(held) = self.subscriptions.get(&topic).filter(was_sent) else {
            let topic = topic.into_owned();
            return self.skip(Skip::NotAsked { topic });
        };
        let (name, state) = (Arc::clone(&held.name), held.state);
        let Some(body) = view.at(config.dialect.body) else {
            return match kind {
                Kind::Removed => self.removed(name),
                Kind::Unknown => self.skip(Skip::UnknownKind),
                Kind::Ignored | Kind::Snapshot | Kind::Delta | Kind::Either => {
                    self.skip(Skip::NoBody { topic: name.to_string() });
                }
            };
        };
        let numbers = config.dialect.numbers(view);
        if config.dialect.tokens_of == Of::Item {
            let found = tokens(view, &config.dialect.tokens);
            if let Some(held) = self.subscriptions.get_mut(&name) {
                held.tokens.extend(found);
            }
        }
        if let Some(held) = self.subscriptions.get_mut(&name) {
            held.heard = Heard::Something;
        }
        match (kind, state) {
            (Kind::Ignored, _) => {}
            (Kind::Unknown, _) => self.skip(Skip::UnknownKind),
            (Kind::Removed, _) => self.removed(name),
            (Kind::Snapshot, _) | (Kind::Either, TopicState::Asked) => {
                self.snapshot(name, body, numbers, now);
            }
            (Kind::Delta, _)
            | (
                Kind::Either,
                TopicState::Waiting | TopicState::Kept | TopicState::Loaded | TopicState::Again,
            ) => self.delta(name, body, numbers, now),
        }
    }

    fn removed(&mut self, topic: Arc<str>) {
        self.subscriptions.removed(&topic);
        self.steps.push_back(Step::Removed { topic });
    }

    fn snapshot(&mut self, topic: Arc<str>, body: Span, numbers: Numbers, now: Instant) {
        self.subscriptions.loaded(&topic);
        let Some(held) = self.subscriptions.get_mut(&topic) else { return };
        let Behind { deltas, hole } = held.order.snapshot(numbers);
        self.steps.push_back(Step::Snapshot { topic: Arc::clone(&topic), body: Body::At(body) });
        for body in deltas {
            self.steps.push_back(Step::Delta { topic: Arc::clone(&topic), body: Body::Held(body) });
        }
        if hole.is_some() {
            self.interrupted(topic, hole, now);
        }
    }

    fn delta(&mut self, topic: Arc<str>, body: Span, numbers: Numbers, now: Instant) {
        let text = self.message.text.get(body.clone()).unwrap_or_default();
        let Some(held) = self.subscriptions.get_mut(&topic) else { return };
        match held.order.delta(numbers, text) {
            Verdict::Give => self.steps.push_back(Step::Delta { topic, body: Body::At(body) }),
            Verdict::Known | Verdict::Held => {}
            Verdict::TooMany => self.skip(Skip::TooMany { topic: topic.to_string() }),
            Verdict::Hole { after } => self.interrupted(topic, after, now),
        }
    }

    fn interrupted(&mut self, topic: Arc<str>, after: Option<u64>, now: Instant) {
        self.subscriptions.renew(&topic, now);
        let why = match after {
            Some(after) => format!("something is missing behind number {after}"),
            None => "something is missing".to_owned(),
        };
        self.steps.push_back(Step::Interrupted { topic, why });
    }
}

/// The topic of an item; a member's is its name.
fn topic<'a>(view: View<'a>, place: Option<Place>, element: Option<&Element>) -> Option<Cow<'a, str>> {
    let text = match place {
        Some(place) => view.text(place),
        None => element.and_then(|element| scalar(view.text, element.name.clone()?)),
    };
    text.filter(|topic| !topic.is_empty())
}

/// The tokens that are there, by their words.
fn tokens(view: View<'_>, words: &[(String, Place)]) -> BTreeMap<String, String> {
    words.iter().filter_map(|(word, at)| Some((word.clone(), view.text(*at)?.into_owned()))).collect()
}
