//! What a server's messages mean, as the configuration says it: compiled once, so that a message is searched once.
//!
//! Pointers of the message and of its items are searched together where the message is the one item. Pure; caller: `session`.

use super::order::Numbers;
use super::search::{Found, Malformed, Search, Slot, Span, scalar};
use std::borrow::Cow;
use touchline_common::config::{
    Answer, MessageTemplate, Of, Pointer, PushConfig, Reply, SequenceRule, Tables, When,
};

#[derive(Clone, Debug)]
pub(super) struct Dialect {
    message: Search,
    item: Search,
    /// None: the message is the one item.
    pub(super) items: Option<Slot>,
    /// None: items are the members of an object, by topic.
    pub(super) topic: Option<Place>,
    pub(super) body: Place,
    ignored: Vec<Test>,
    removed: Vec<Test>,
    snapshot: Vec<Test>,
    delta: Vec<Test>,
    pub(super) greeting: Vec<Test>,
    pub(super) accepted: Vec<Test>,
    pub(super) login_refused: Vec<AnswerTest>,
    pub(super) acknowledged: Vec<AnswerTest>,
    pub(super) refused: Vec<AnswerTest>,
    pub(super) replies: Vec<ReplyTest>,
    sequence: Option<SequencePlaces>,
    pub(super) tokens: Vec<(String, Place)>,
    pub(super) tokens_of: Of,
}

/// Where something is: in the message, or in one of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Message(Slot),
    Item(Slot),
}

/// A [`When`].
#[derive(Clone, Debug)]
pub(super) struct Test {
    at: Place,
    is: Vec<String>,
}

/// An [`Answer`].
#[derive(Clone, Debug)]
pub(super) struct AnswerTest {
    pub(super) test: Test,
    pub(super) topic: Option<Place>,
    pub(super) number: Option<Place>,
    pub(super) why: Option<Place>,
}

/// A [`Reply`].
#[derive(Clone, Debug)]
pub(super) struct ReplyTest {
    pub(super) test: Test,
    pub(super) send: MessageTemplate,
}

#[derive(Clone, Copy, Debug)]
struct SequencePlaces {
    rule: SequenceRule,
    at: Place,
    from: Option<Place>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ignored,
    Removed,
    /// The configuration names it.
    Snapshot,
    Delta,
    /// Nothing says which of them it is: the first one of a topic is its snapshot.
    Either,
    Unknown,
}

/// A message and one of its items, as far as they were searched.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) text: &'a [u8],
    pub(super) message: &'a Found,
    pub(super) item: &'a Found,
}

impl Dialect {
    pub(super) fn new(push: &PushConfig) -> Dialect {
        let mut places = Places { message: Search::default(), item: Search::default(), are_items: false };
        let items = (!push.items.steps().is_empty()).then(|| places.message.add(&push.items));
        places.are_items = items.is_some();
        let topic = !push.topic.steps().is_empty();
        let sequence = &push.sequence;
        Dialect {
            items,
            topic: topic.then(|| places.add(&push.topic, Of::Item)),
            body: places.add(&push.body, Of::Item),
            ignored: places.tests(&push.ignored),
            removed: places.tests(&push.removed),
            snapshot: places.tests(&push.snapshot),
            delta: places.tests(&push.delta),
            // These come before there are items.
            greeting: push
                .login
                .greeting
                .iter()
                .map(|when| places.test(&when.at, &when.is.0, Of::Message))
                .collect(),
            accepted: push
                .login
                .accepted
                .iter()
                .map(|when| places.test(&when.at, &when.is.0, Of::Message))
                .collect(),
            login_refused: places.answers(&push.login.refused),
            acknowledged: places.answers(&push.acknowledged),
            refused: places.answers(&push.refused),
            replies: push.reply.iter().map(|reply| places.reply(reply)).collect(),
            sequence: (!sequence.at.steps().is_empty()).then(|| SequencePlaces {
                rule: sequence.rule,
                at: places.add(&sequence.at, sequence.of),
                from: sequence.from.as_ref().map(|from| places.add(from, sequence.of)),
            }),
            tokens: push
                .resume
                .tokens
                .iter()
                .map(|(name, at)| (name.clone(), places.add(at, push.resume.of)))
                .collect(),
            tokens_of: push.resume.of,
            message: places.message,
            item: places.item,
        }
    }

    pub(super) fn rule(&self) -> Option<SequenceRule> {
        self.sequence.map(|sequence| sequence.rule)
    }

    pub(super) fn search_message(
        &self,
        text: &[u8],
        message: Span,
        found: &mut Found,
    ) -> Result<(), Malformed> {
        self.message.run(text, message, found)
    }

    pub(super) fn search_item(&self, text: &[u8], item: Span, found: &mut Found) -> Result<(), Malformed> {
        self.item.run(text, item, found)
    }

    pub(super) fn kind(&self, view: View<'_>) -> Kind {
        let holds = |tests: &[Test]| view.any(tests);
        if holds(&self.ignored) {
            Kind::Ignored
        } else if holds(&self.removed) {
            Kind::Removed
        } else if holds(&self.snapshot) {
            Kind::Snapshot
        } else if holds(&self.delta) {
            if self.snapshot.is_empty() { Kind::Either } else { Kind::Delta }
        } else if !self.delta.is_empty() {
            Kind::Unknown
        } else if self.snapshot.is_empty() {
            Kind::Either
        } else {
            Kind::Delta
        }
    }

    /// Whether snapshots are named: then nothing else is an answer to a subscription.
    pub(super) fn names_snapshots(&self) -> bool {
        !self.snapshot.is_empty()
    }

    pub(super) fn numbers(&self, view: View<'_>) -> Numbers {
        let Some(sequence) = self.sequence else { return Numbers::default() };
        Numbers { at: view.number(sequence.at), from: sequence.from.and_then(|from| view.number(from)) }
    }
}

/// The pointers while they are collected.
struct Places {
    message: Search,
    item: Search,
    are_items: bool,
}

impl Places {
    fn add(&mut self, pointer: &Pointer, of: Of) -> Place {
        match of {
            Of::Item if self.are_items => Place::Item(self.item.add(pointer)),
            Of::Item | Of::Message => Place::Message(self.message.add(pointer)),
        }
    }

    fn test(&mut self, at: &Pointer, is: &[String], of: Of) -> Test {
        Test { at: self.add(at, of), is: is.to_vec() }
    }

    fn tests(&mut self, whens: &Tables<When>) -> Vec<Test> {
        whens.iter().map(|when| self.test(&when.at, &when.is.0, when.of)).collect()
    }

    fn answers(&mut self, answers: &Tables<Answer>) -> Vec<AnswerTest> {
        let answer = |answer: &Answer| AnswerTest {
            test: self.test(&answer.at, &answer.is.0, Of::Message),
            topic: answer.topic.as_ref().map(|at| self.add(at, Of::Message)),
            number: answer.number.as_ref().map(|at| self.add(at, Of::Message)),
            why: answer.why.as_ref().map(|at| self.add(at, Of::Message)),
        };
        answers.iter().map(answer).collect()
    }

    fn reply(&mut self, reply: &Reply) -> ReplyTest {
        ReplyTest { test: self.test(&reply.at, &reply.is.0, Of::Message), send: reply.send.clone() }
    }
}

impl<'a> View<'a> {
    pub(super) fn at(self, place: Place) -> Option<Span> {
        match place {
            Place::Message(slot) => self.message.get(slot),
            Place::Item(slot) => self.item.get(slot),
        }
    }

    /// The value as it was written.
    pub(super) fn raw(self, place: Place) -> Option<&'a [u8]> {
        self.text.get(self.at(place)?)
    }

    pub(super) fn text(self, place: Place) -> Option<Cow<'a, str>> {
        scalar(self.text, self.at(place)?)
    }

    /// A whole number, or a text of one.
    pub(super) fn number(self, place: Place) -> Option<u64> {
        self.text(place)?.parse().ok()
    }

    pub(super) fn holds(self, test: &Test) -> bool {
        let Some(raw) = self.raw(test.at) else { return false };
        if test.is.is_empty() {
            return raw != b"null" && raw != b"false";
        }
        let is = |word: &str| test.is.iter().any(|wanted| wanted == word);
        self.text(test.at).map_or_else(|| raw == b"null" && is("null"), |word| is(&word))
    }

    pub(super) fn any(self, tests: &[Test]) -> bool {
        tests.iter().any(|test| self.holds(test))
    }

    pub(super) fn value_of(self, test: &Test) -> &'a [u8] {
        self.raw(test.at).unwrap_or_default()
    }
}
