//! What clients ask for: logins, subscriptions up to the cap and what happens above it, limits of rate and batch.
//!
//! Whoever is let into a topic is sent its whole before anything new, or what it has missed if it shows a token. Caller: the loop.

use super::connection::{Connection, End, Service, Stage, Subject, Subscription};
use super::dialect::{Asked, LIST, Span, Why};
use super::options::OverCap;
use super::run::Server;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Changes of a topic that are kept for whoever comes again with a token.
const KEPT: u64 = 1_000;
const SECOND: Duration = Duration::from_secs(1);
/// The code of a connection that breaks a rule.
const POLICY: u16 = 1008;

/// Whether a topic is let in.
enum Verdict {
    In(Subject, Service),
    Refused(Why),
    /// It is not answered.
    Nothing,
    /// The connection ends.
    Close,
}

impl Server {
    /// Answers a message of a client.
    pub(super) fn answer(&mut self, at: usize, message: &[u8]) -> Result<(), End> {
        let dialect = self.options.dialect;
        let message: Value = serde_json::from_slice(message).map_err(|_| End::Bad)?;
        let asked = dialect.asked(&message).ok_or(End::Bad)?;
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        match (asked, connection.stage) {
            (_, Stage::Upgrade | Stage::Leaving | Stage::Shut) => {}
            (Asked::Login { id, token }, Stage::Login | Stage::Open) => {
                if self.options.token.as_ref().is_some_and(|wanted| *wanted != token) {
                    self.report.denied += 1;
                    refuse(connection, dialect, &id, &[], Why::Login);
                    connection.close(POLICY);
                    return Ok(());
                }
                self.report.logins += 1;
                connection.stage = Stage::Open;
                connection.since = Instant::now();
                connection.send(&dialect.logged_in(&id));
            }
            (Asked::Heartbeat { id }, Stage::Login | Stage::Open) => connection.send(&dialect.alive(&id)),
            (Asked::Subscribe { id, topics, .. }, Stage::Login) => {
                refuse(connection, dialect, &id, &topics, Why::Login);
                connection.close(POLICY);
            }
            (Asked::Unsubscribe { id, topics }, Stage::Login) => {
                refuse(connection, dialect, &id, &topics, Why::Login);
            }
            (Asked::Subscribe { id, topics, resume }, Stage::Open) => {
                self.subscribe(at, &id, &topics, resume.as_deref());
            }
            (Asked::Unsubscribe { id, topics }, Stage::Open) => {
                for topic in &topics {
                    self.unsubscribe(at, topic);
                }
                if let Some(connection) = self.connections.get_mut(at) {
                    dialect.unsubscribed(&id, &topics).iter().for_each(|answer| connection.send(answer));
                }
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, at: usize, id: &Value, topics: &[String], resume: Option<&str>) {
        let dialect = self.options.dialect;
        if let Some(why) = self.breaks_a_limit(at, topics.len()) {
            if let Some(connection) = self.connections.get_mut(at) {
                refuse(connection, dialect, id, topics, why);
            }
            return;
        }
        let mut accepted = Vec::new();
        let mut breaks_policy = false;
        let mut refused: Vec<(Why, Vec<String>)> = Vec::new();
        for topic in topics {
            match self.judge(at, topic) {
                Verdict::In(subject, service) => {
                    self.take_in(at, topic, subject, service);
                    accepted.push(topic.clone());
                }
                Verdict::Refused(why) => match refused.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, topics)) => topics.push(topic.clone()),
                    None => refused.push((why, vec![topic.clone()])),
                },
                Verdict::Nothing => {}
                Verdict::Close => {
                    breaks_policy = true;
                    break;
                }
            }
        }
        if let Some(connection) = self.connections.get_mut(at) {
            if !accepted.is_empty() {
                dialect.subscribed(id, &accepted).iter().for_each(|answer| connection.send(answer));
            }
            refused.iter().for_each(|(why, topics)| refuse(connection, dialect, id, topics, *why));
        }
        for topic in &accepted {
            self.begin(at, topic, resume);
        }
        self.send_parts(at);
        // What it had below the cap it was served.
        if let Some(connection) = self.connections.get_mut(at).filter(|_| breaks_policy) {
            connection.close(POLICY);
        }
    }

    /// Limits of a request, looked at before its topics are.
    fn breaks_a_limit(&mut self, at: usize, topics: usize) -> Option<Why> {
        if topics > self.options.batch {
            self.report.over_batch += 1;
            return Some(Why::Batch);
        }
        let most = self.options.subscribes_per_s?;
        let now = Instant::now();
        let asked = &mut self.connections.get_mut(at)?.asked;
        while asked.front().is_some_and(|first| now.saturating_duration_since(*first) >= SECOND) {
            asked.pop_front();
        }
        if asked.len() + topics > most {
            self.report.over_rate += topics as u64;
            return Some(Why::Rate);
        }
        asked.extend(std::iter::repeat_n(now, topics));
        None
    }

    fn judge(&mut self, at: usize, topic: &str) -> Verdict {
        let subject = self.subject(topic);
        let Some(subject) = subject else {
            self.report.unknown += 1;
            return Verdict::Refused(Why::Unknown);
        };
        let Some(connection) = self.connections.get(at) else { return Verdict::Nothing };
        let known = connection.subscriptions.get(topic).map(|subscription| subscription.service);
        if let Some(service) = known {
            return Verdict::In(subject, service);
        }
        if connection.subscriptions.len() < self.options.cap {
            return Verdict::In(subject, Service::Whole);
        }
        self.report.over_cap += 1;
        match self.options.over_cap {
            OverCap::Close => Verdict::Close,
            OverCap::Error => Verdict::Refused(Why::Cap),
            OverCap::Ignore => Verdict::Nothing,
            OverCap::NoSnapshot => Verdict::In(subject, Service::Nothing),
            OverCap::Thin => Verdict::In(subject, Service::Thin),
        }
    }

    fn subject(&self, topic: &str) -> Option<Subject> {
        let world = self.shared.world();
        if let Some(slot) = world.slot(topic) {
            return Some(Subject::Topic(slot));
        }
        if topic == LIST && world.dialect.list(&[], 0).is_some() {
            return Some(Subject::List);
        }
        self.recording.as_ref().filter(|recording| recording.id == topic).map(|_| Subject::Recording)
    }

    fn take_in(&mut self, at: usize, topic: &str, subject: Subject, service: Service) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let subscription = Subscription { subject, sent: 0, service, held: None };
        let before = connection.subscriptions.insert(topic.to_owned(), subscription);
        connection.most = connection.most.max(connection.subscriptions.len());
        self.report.most_subscriptions = self.report.most_subscriptions.max(connection.most);
        if let (Subject::Topic(slot), None) = (subject, before)
            && let Some(followers) = self.followers.get_mut(slot)
        {
            followers.push(at);
        }
    }

    /// Sends what a new follower is to begin with.
    fn begin(&mut self, at: usize, topic: &str, resume: Option<&str>) {
        let world = self.shared.world();
        let Some(connection) = self.connections.get_mut(at) else { return };
        let Some(subscription) = connection.subscriptions.get_mut(topic) else { return };
        if subscription.service == Service::Nothing {
            return;
        }
        match subscription.subject {
            Subject::Topic(slot) => {
                let Some(of) = world.topic(slot) else { return };
                let number = world.number(slot);
                subscription.sent = number;
                let seen = resume.filter(|_| self.options.conflate <= 1);
                let seen = seen.and_then(|token| world.dialect.resumed(token));
                let seen =
                    seen.filter(|seen| *seen <= world.changes).map(|seen| world.script.number(slot, seen));
                connection.parts.push(match seen.filter(|from| number - from <= KEPT) {
                    Some(from) => {
                        self.report.resumed += 1;
                        world.dialect.delta(of, Span { from, to: number }, self.options.deltas)
                    }
                    None => {
                        self.report.images += 1;
                        *self.report.images_of.entry(topic.to_owned()).or_default() += 1;
                        world.dialect.image(of, number)
                    }
                });
            }
            Subject::List => {
                subscription.sent = world.listed;
                connection.parts.extend(world.dialect.list(world.topics(), world.listed));
            }
            Subject::Recording => {
                let behind = resume.and_then(|token| self.recording.as_ref()?.behind(token));
                subscription.sent = behind.unwrap_or(0) as u64;
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, at: usize, topic: &str) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let Some(subscription) = connection.subscriptions.remove(topic) else { return };
        if let Subject::Topic(slot) = subscription.subject
            && let Some(followers) = self.followers.get_mut(slot)
        {
            followers.retain(|follower| *follower != at);
        }
    }
}

fn refuse(connection: &mut Connection, dialect: super::Dialect, id: &Value, topics: &[String], why: Why) {
    dialect.refused(id, topics, why).iter().for_each(|answer| connection.send(answer));
}
