//! What a session sends: subscriptions within their rates, and each template with its places filled.

use super::{Outgoing, Session, State};
use crate::feed::push::subscriptions::Request;
use std::sync::Arc;
use std::time::Instant;
use touchline_common::config::{MessagePlace, MessageTemplate, escape_json};

impl Session {
    /// Sends what the rates allow by now.
    pub(super) fn send_requests(&mut self, now: Instant) {
        if self.state != State::Open {
            return;
        }
        let config = Arc::clone(&self.config);
        while let Some(request) = self.subscriptions.next_request(self.number + 1, now) {
            match request {
                Request::Leave(topics) => self.send(&config.unsubscribe, &config.each, &topics, b""),
                Request::Ask(topics) => self.send(&config.subscribe, &config.each, &topics, b""),
                Request::Resume(topics) => {
                    let each = if config.resume_each.is_empty() { &config.each } else { &config.resume_each };
                    self.send(&config.resume, each, &topics, b"");
                }
            }
        }
    }

    /// Sends a template: with the first of `topics`, or all of them, each as `each` says; `value` as it is.
    pub(super) fn send(
        &mut self,
        template: &MessageTemplate,
        each: &MessageTemplate,
        topics: &[Arc<str>],
        value: &[u8],
    ) {
        self.number += 1;
        let first = topics.first().map(AsRef::as_ref).unwrap_or_default();
        let text = template.fill(|place, out| match place {
            MessagePlace::Topics => self.put_topics(each, topics, out),
            MessagePlace::Topic
            | MessagePlace::Number
            | MessagePlace::Username
            | MessagePlace::Password
            | MessagePlace::Value
            | MessagePlace::Token(_) => self.put(place, first, value, out),
        });
        self.out.push_back(Outgoing::Text(text));
    }

    fn put_topics(&self, each: &MessageTemplate, topics: &[Arc<str>], out: &mut String) {
        out.push('[');
        for (n, topic) in topics.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            if each.is_empty() {
                out.push('"');
                escape_json(topic, out);
                out.push('"');
            } else {
                out.push_str(&each.fill(|place, out| self.put(place, topic, b"", out)));
            }
        }
        out.push(']');
    }

    fn put(&self, place: &MessagePlace, topic: &str, value: &[u8], out: &mut String) {
        match place {
            MessagePlace::Topic => escape_json(topic, out),
            MessagePlace::Number => out.push_str(&self.number.to_string()),
            MessagePlace::Username => escape_json(&self.config.username, out),
            MessagePlace::Password => escape_json(self.config.password.expose(), out),
            // It is a part of a message, which is UTF-8.
            MessagePlace::Value => out.push_str(std::str::from_utf8(value).unwrap_or_default()),
            MessagePlace::Token(word) => {
                let own = self.subscriptions.get(topic).and_then(|topic| topic.tokens.get(word));
                if let Some(token) = own.or_else(|| self.earlier_tokens.get(word)) {
                    escape_json(token, out);
                }
            }
            // Only whole messages have several.
            MessagePlace::Topics => {}
        }
    }

    /// What is to be sent next.
    pub(in crate::feed::push) fn next_outgoing(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }
}
