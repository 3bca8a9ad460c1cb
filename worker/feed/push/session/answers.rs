//! What the server answers: to the login, to subscriptions; and what it is answered.

use super::{LostReason, MessageTemplate, Session, Step};
use crate::feed::push::dialect::{AnswerTest, Place, View};
use crate::feed::push::search::{elements, scalar};
use crate::feed::push::skip::{Skip, shown};
use crate::feed::push::subscriptions::TopicState;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Whether a message was understood as an answer to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Yes,
    No,
}

impl Session {
    /// Sends what the server expects to this message.
    pub(super) fn reply(&mut self) {
        let config = Arc::clone(&self.config);
        for reply in &config.dialect.replies {
            let view = self.message.view();
            if view.holds(&reply.test) {
                let value = view.value_of(&reply.test).to_vec();
                self.send(&reply.send, &MessageTemplate::default(), &[], &value);
            }
        }
    }

    pub(super) fn login_answer(&mut self, now: Instant) {
        let config = Arc::clone(&self.config);
        let view = self.message.view();
        if let Some(refused) = config.dialect.login_refused.iter().find(|answer| view.holds(&answer.test)) {
            let why = why(view, refused);
            return self.end(LostReason::LoginRefused { why });
        }
        if config.dialect.accepted.is_empty() || view.any(&config.dialect.accepted) {
            self.open(now);
        }
    }

    /// What the message says of subscriptions.
    pub(super) fn answers(&mut self, now: Instant) -> Answered {
        let config = Arc::clone(&self.config);
        let mut answered = Answered::No;
        if config.dialect.replies.iter().any(|reply| self.message.view().holds(&reply.test)) {
            answered = Answered::Yes;
        }
        for answer in &config.dialect.refused {
            if self.message.view().holds(&answer.test) {
                answered = Answered::Yes;
                self.refused(answer, now);
            }
        }
        for answer in &config.dialect.acknowledged {
            if self.message.view().holds(&answer.test) {
                answered = Answered::Yes;
                self.acknowledged(answer);
            }
        }
        answered
    }

    /// Where snapshots are named, only those prove that a topic is followed: some servers acknowledge and never send.
    fn acknowledged(&mut self, answer: &AnswerTest) {
        if self.config.dialect.names_snapshots() {
            return;
        }
        for topic in self.topics_of(answer) {
            self.subscriptions.answered(&topic);
        }
    }

    fn refused(&mut self, answer: &AnswerTest, now: Instant) {
        let why = why(self.message.view(), answer);
        let topics = self.topics_of(answer);
        if topics.is_empty() {
            return self.skip(Skip::Refused { why });
        }
        for topic in topics {
            self.errors += 1;
            self.steps.push_back(Step::Status { topic: Arc::clone(&topic), status: why.clone() });
            let Some(held) = self.subscriptions.get_mut(&topic) else { continue };
            // It went on with an earlier subscription, or the server ends it.
            if held.state == TopicState::Loaded {
                held.order.restart();
                held.tokens.clear();
                self.subscriptions.renew(&topic, now);
                let why = format!("the server refuses to go on with it: {}", shown(&why));
                self.steps.push_back(Step::Interrupted { topic, why });
            }
        }
    }

    /// The topics that are answered, those that are held.
    fn topics_of(&self, answer: &AnswerTest) -> Vec<Arc<str>> {
        let view = self.message.view();
        if let Some(at) = answer.topic {
            return named(view, at)
                .iter()
                .filter_map(|topic| Some(Arc::clone(&self.subscriptions.get(topic)?.name)))
                .collect();
        }
        let number = answer.number.and_then(|number| view.number(number));
        number.map(|number| self.subscriptions.of_message(number)).unwrap_or_default()
    }
}

fn why(view: View<'_>, answer: &AnswerTest) -> String {
    answer.why.and_then(|why| view.text(why)).unwrap_or_default().into_owned()
}

/// One topic, or an array of them.
fn named(view: View<'_>, at: Place) -> Vec<String> {
    if let Some(topic) = view.text(at) {
        return vec![topic.into_owned()];
    }
    let mut all = Vec::new();
    if let Some(span) = view.at(at) {
        // What is malformed behind the topics that were read is no matter.
        let _ = elements(view.text, span, &mut all);
    }
    all.into_iter().filter_map(|element| scalar(view.text, element.value)).map(Cow::into_owned).collect()
}
