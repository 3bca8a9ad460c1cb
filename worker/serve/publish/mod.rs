//! What publishers send by `POST /pub`: requests that wait until everything they published is accepted, and retries that are not published twice.
//!
//! Pure: times are passed in. A request is answered `ok` once, after its messages were accepted by whatever else is to have them
//! (`relay`); one that failed is forgotten, so that a retry of it is tried anew. Callers: the loop.

mod body;
mod pace;
mod retained;
#[cfg(test)]
mod tests;

pub(super) use body::{Published, Retain, read};
pub(super) use pace::Pace;
pub(super) use retained::Retained;

use super::client::ClientId;
use super::http::{Answer, Status};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a retry is known as one.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Keys that are kept at most, and bytes of one.
const KEYS: usize = 100_000;
const KEY: usize = 255;
/// Requests that wait to be accepted at most, and how long.
const WAITING: usize = 1_024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Names a request of a publisher for as long as the gateway lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PublicationId(pub u64);

/// A request of a publisher that is not answered.
#[derive(Debug)]
pub(super) struct Publication {
    pub messages: Vec<Published>,
    pub received: Instant,
    /// Who waits for the answer: whoever asked, and retries that came meanwhile.
    pub clients: Vec<ClientId>,
    key: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Publications {
    count: u64,
    /// In the order in which they came.
    waiting: VecDeque<(PublicationId, Publication)>,
    keys: HashMap<Arc<str>, Known>,
    /// Keys of what was accepted, the oldest first.
    accepted: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Waiting(PublicationId),
    Accepted,
}

/// What a request is.
#[derive(Debug)]
pub(super) enum Begun {
    New(PublicationId),
    /// The retry of one that waits: it is answered with it.
    Waits,
    Answered(Answer),
}

/// What became of a request's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// Why they were not taken.
    Refused(String),
    /// Why they never will be.
    Unusable(String),
}

impl Outcome {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Outcome::Accepted => Answer::text(Status::Ok, "ok"),
            Outcome::Refused(why) => Answer::refused(Status::Unavailable, why.clone()),
            Outcome::Unusable(why) => Answer::refused(Status::Bad, why.clone()),
        }
    }
}

impl Publication {
    /// By which a retry is known.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl Publications {
    /// `key`: by which a retry is known.
    pub(super) fn begin(
        &mut self,
        client: ClientId,
        key: Option<&str>,
        messages: Vec<Published>,
        now: Instant,
    ) -> Begun {
        self.forget(now);
        if key.is_some_and(|key| key.is_empty() || key.len() > KEY) {
            let why = format!("Idempotency-Key is not a text of 1 to {KEY} bytes");
            return Begun::Answered(Answer::refused(Status::Bad, why));
        }
        match key.and_then(|key| self.keys.get(key)).copied() {
            Some(Known::Accepted) => return Begun::Answered(Outcome::Accepted.answer()),
            Some(Known::Waiting(id)) => {
                if let Some((_, waiting)) = self.waiting.iter_mut().find(|(known, _)| *known == id) {
                    waiting.clients.push(client);
                    return Begun::Waits;
                }
            }
            None => {}
        }
        if self.waiting.len() >= WAITING {
            return Begun::Answered(Answer::refused(
                Status::Unavailable,
                "too many messages wait: try again",
            ));
        }
        self.count += 1;
        let id = PublicationId(self.count);
        let key: Option<Arc<str>> = key.map(Arc::from);
        if let Some(key) = &key {
            self.keys.insert(Arc::clone(key), Known::Waiting(id));
        }
        let publication = Publication { messages, received: now, clients: vec![client], key };
        self.waiting.push_back((id, publication));
        Begun::New(id)
    }

    pub(super) fn get(&self, id: PublicationId) -> Option<&Publication> {
        self.waiting.iter().find(|(known, _)| *known == id).map(|(_, publication)| publication)
    }

    /// Takes out what waited; `None`: it was given up before.
    pub(super) fn finish(
        &mut self,
        id: PublicationId,
        outcome: &Outcome,
        now: Instant,
    ) -> Option<Publication> {
        let at = self.waiting.iter().position(|(known, _)| *known == id)?;
        let (_, publication) = self.waiting.remove(at)?;
        if let Some(key) = &publication.key {
            match outcome {
                Outcome::Accepted => {
                    self.keys.insert(Arc::clone(key), Known::Accepted);
                    self.accepted.push_back((now, Arc::clone(key)));
                }
                Outcome::Refused(_) | Outcome::Unusable(_) => _ = self.keys.remove(key),
            }
        }
        Some(publication)
    }

    /// What waits for too long.
    pub(super) fn late(&self, now: Instant) -> Vec<PublicationId> {
        let late = self.waiting.iter().take_while(|(_, waiting)| now >= waiting.received + PATIENCE);
        late.map(|(id, _)| *id).collect()
    }

    /// What waits.
    pub(super) fn all(&self) -> Vec<PublicationId> {
        self.waiting.iter().map(|(id, _)| *id).collect()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) =
            self.accepted.pop_front_if(|(at, _)| now >= *at + KEPT).or_else(|| self.surplus())
        {
            self.keys.remove(&key);
        }
    }

    fn surplus(&mut self) -> Option<(Instant, Arc<str>)> {
        if self.accepted.len() > KEYS { self.accepted.pop_front() } else { None }
    }
}
