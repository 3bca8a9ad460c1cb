//! What an answer, or its lack, does to what was asked: what is given, when it is asked again, who is asked at once because of it.

use super::states::{millis, named};
use super::{Schedule, Told, sources_of};
use crate::feed::poll::ask::{Again, AskId, Given, Health, Held, State};
use crate::feed::poll::backoff::{self, Kind};
use crate::feed::poll::json;
use crate::feed::poll::plan::{SourceIndex, SourcePlan};
use crate::feed::poll::round::{Progress, Round, hash};
use crate::feed::poll::verdict::Validators;
use crate::net::http::Answer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{LIST_TOPIC, Role};
use touchline_common::model::RoundEnd;

impl Schedule {
    pub(super) fn take_body(&mut self, id: AskId, answer: Answer, now: Instant) {
        let plan = Arc::clone(&self.plan);
        let Some(source) = self.table.get(id).and_then(|ask| plan.sources.get(ask.source.0)) else { return };
        match source.role {
            Role::List => self.take_page(id, source, &answer, now),
            Role::PerMatch | Role::Document | Role::Step => self.take_document(id, source, answer, now),
        }
    }

    fn take_document(&mut self, id: AskId, source: &SourcePlan, answer: Answer, now: Instant) {
        let is_pushed = self.table.get(id).is_some_and(|ask| self.plan.is_pushed(ask.source));
        let Some(ask) = self.table.get_mut(id) else { return };
        let body_hash = hash(&answer.body);
        let is_new = ask.held.hash.replace(body_hash) != Some(body_hash);
        ask.held.validators = Validators::of(&answer);
        let mut has_new_values = false;
        if is_new {
            let value = |pointer: &String| json::find(&answer.body, pointer).and_then(json::text);
            let values = Some(source.needed.iter().map(value).collect());
            has_new_values = !source.needed.is_empty() && ask.held.values != values;
            ask.held.values = values;
        }
        if source.role != Role::Step {
            let topic = ask.topic.clone();
            let given = std::mem::replace(&mut ask.held.given, Given::Yes);
            let is_changed = is_new || given == Given::No;
            let told = match (given, is_new) {
                (Given::No, _) => Told::Snapshot { topic, body: answer.body },
                (Given::Yes, true) if is_pushed => Told::Snapshot { topic, body: answer.body },
                (Given::Yes, true) => Told::Delta { topic, body: answer.body },
                (Given::Yes, false) => Told::Unchanged { topic },
            };
            self.told.push_back(told);
            self.end_round(
                id,
                RoundEnd { ok: 1, changed: u32::from(is_changed), ..RoundEnd::default() },
                now,
            );
        }
        self.succeed(id, now);
        if has_new_values {
            self.hasten_dependents(id, now);
        }
    }

    fn take_page(&mut self, id: AskId, source: &SourcePlan, answer: &Answer, now: Instant) {
        let Some(ask) = self.table.get(id) else { return };
        let at = ask.source;
        let base = match self.base_url(ask, source) {
            Ok(base) => base,
            Err(why) => return self.fail(id, &why, Kind::Failed, Duration::ZERO, now),
        };
        let limit = self.plan.body_limit;
        let Some(ask) = self.table.get_mut(id) else { return };
        match ask.round.take(source, &base, &answer.body, answer.header("link"), limit) {
            Progress::More => self.table.go(id, State::Due),
            Progress::Broken(why) => self.fail(id, &why, Kind::Failed, Duration::ZERO, now),
            Progress::Complete { array, entries } => {
                ask.round = Round::default();
                ask.held.hash = Some(hash(array.as_bytes()));
                if source.page.is_none() {
                    ask.held.validators = Validators::of(answer);
                }
                let changed = self.lists.put(at, array, entries);
                self.give_list();
                self.succeed(id, now);
                for match_id in changed {
                    self.hasten_match(&match_id, now);
                }
            }
        }
    }

    /// Gives the list, if it is another one.
    fn give_list(&mut self) {
        let topic = LIST_TOPIC.to_owned();
        let told = match self.lists.take() {
            Some(body) => Told::Snapshot { topic, body },
            None => Told::Unchanged { topic },
        };
        self.told.push_back(told);
    }

    pub(super) fn take_unchanged(&mut self, id: AskId, now: Instant) {
        let Some(ask) = self.table.get_mut(id) else { return };
        if ask.held.hash.is_none() {
            // It is wanted whole since it was asked for. Without a condition, a server that says so all the same fails.
            if ask.again == Again::AtOnce {
                return self.succeed(id, now);
            }
            let why = "the server says 'not modified' of what was asked for without a condition";
            return self.fail(id, why, Kind::Failed, Duration::ZERO, now);
        }
        if !ask.topic.is_empty() {
            let topic = ask.topic.clone();
            self.told.push_back(Told::Unchanged { topic });
        }
        self.end_round(id, RoundEnd { ok: 1, ..RoundEnd::default() }, now);
        if let Some(at) = self.table.get(id).map(|ask| ask.source) {
            self.lists.failed(at);
        }
        self.succeed(id, now);
    }

    pub(super) fn take_gone(&mut self, id: AskId, status: u16, now: Instant) {
        let Some(ask) = self.table.get_mut(id) else { return };
        if ask.held.given == Given::Yes {
            ask.held = Held { values: ask.held.values.take(), ..Held::default() };
            let topic = ask.topic.clone();
            self.told.push_back(Told::Removed { topic });
        }
        self.fail(id, &format!("not there (status {status})"), Kind::Failed, Duration::ZERO, now);
    }

    /// A round of a document is over, which its match tells; of other sources the log and the states are enough.
    fn end_round(&mut self, id: AskId, round: RoundEnd, now: Instant) {
        let plan = Arc::clone(&self.plan);
        let Some(ask) = self.table.get(id) else { return };
        if plan.sources.get(ask.source.0).is_some_and(|source| source.role == Role::Document) {
            let took_ms = millis(now.saturating_duration_since(ask.since));
            self.told
                .push_back(Told::Round { topic: ask.topic.clone(), round: RoundEnd { took_ms, ..round } });
        }
    }

    fn hasten_match(&mut self, match_id: &str, now: Instant) {
        let plan = Arc::clone(&self.plan);
        for (at, _) in sources_of(&plan, Role::PerMatch) {
            if let Some(ask) = self.table.find(at, match_id) {
                self.hasten(ask, now);
            }
        }
    }

    /// Those whose urls are filled from its answer.
    fn hasten_dependents(&mut self, id: AskId, now: Instant) {
        let plan = Arc::clone(&self.plan);
        let Some(ask) = self.table.get(id) else { return };
        let (source, match_id) = (ask.source, ask.id.clone());
        for (at, _) in plan.sources.iter().enumerate().filter(|(_, other)| other.after == Some(source)) {
            let of = SourceIndex(at);
            let asks = match self.table.find(of, &match_id) {
                Some(ask) => vec![ask],
                None => self.table.of_source(of),
            };
            for ask in asks {
                self.hasten(ask, now);
            }
        }
    }

    fn succeed(&mut self, id: AskId, now: Instant) {
        let plan = Arc::clone(&self.plan);
        let Some(ask) = self.table.get_mut(id) else { return };
        let Some(source) = plan.sources.get(ask.source.0) else { return };
        ask.failures = 0;
        ask.why.clear();
        let is_slow = now.saturating_duration_since(ask.since) > source.every(ask.play);
        let health = if is_slow { Health::Slow } else { Health::Up };
        if std::mem::replace(&mut ask.health, health).is_failing() {
            let told = format!("{} answers again", named(source, ask));
            self.told.push_back(Told::Health(told));
        }
        let due = match std::mem::replace(&mut ask.again, Again::AtInterval) {
            Again::AtInterval => (ask.since + source.every(ask.play)).max(now),
            Again::AtOnce => now,
        };
        self.rest(id, due);
    }

    /// It is asked again after a wait, of at least `after`.
    pub(super) fn fail(&mut self, id: AskId, why: &str, kind: Kind, after: Duration, now: Instant) {
        let plan = Arc::clone(&self.plan);
        self.errors += 1;
        self.end_round(id, RoundEnd { failed: 1, ..RoundEnd::default() }, now);
        let random = self.next_random();
        let Some(ask) = self.table.get_mut(id) else { return };
        let Some(source) = plan.sources.get(ask.source.0) else { return };
        ask.round = Round::default();
        ask.again = Again::AtInterval;
        ask.failures = ask.failures.saturating_add(1);
        let wait = backoff::wait(kind, ask.failures, source.every(ask.play), random).max(after);
        ask.why = why.to_owned();
        if !ask.health.is_failing() {
            ask.health = Health::Failing(now);
            let told =
                format!("{} fails: {why}; next attempt in {} ms", named(source, ask), wait.as_millis());
            self.told.push_back(Told::Health(told));
        }
        if source.role == Role::List {
            let at = ask.source;
            self.lists.failed(at);
            if let Some(body) = self.lists.take() {
                self.told.push_back(Told::Snapshot { topic: LIST_TOPIC.to_owned(), body });
            }
        }
        self.rest(id, now + wait);
    }
}
