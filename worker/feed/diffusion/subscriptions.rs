//! What is asked of the server, and how fast.
//!
//! A topic is a selector as it stands. Each is held once; asking again for one that was asked for sends it again,
//! for the server then sends a fresh load. Sending is bounded by a bucket of tokens that fills with the rate.

use crate::wire::diffusion::{self, SELECTOR_SEPARATOR};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// The longest name of a topic, in bytes.
pub const TOPIC_MAX: usize = 4096;

/// The part of a second's subscriptions that may go at once.
const BURST: f64 = 0.1;
const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 1e6;

/// Why a topic cannot be subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The name is empty or too long, or contains `!` or a control character.
    Name {
        /// The name.
        topic: Vec<u8>,
    },
    /// The connection holds as many as it may.
    Full {
        /// How many.
        limit: usize,
    },
    /// The session is over.
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::Name { topic } => write!(
                f,
                "'{}' cannot be subscribed: a topic has 1 to {TOPIC_MAX} bytes, no '!' and no control characters",
                topic.get(..topic.len().min(80)).unwrap_or_default().escape_ascii()
            ),
            SubscribeError::Full { limit } => {
                write!(f, "the connection holds {limit} subscriptions already, no more are allowed")
            }
            SubscribeError::Closed => f.write_str("the connection is lost, nothing can be subscribed on it"),
        }
    }
}

impl std::error::Error for SubscribeError {}

/// What is known of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Waits to be sent; never sent on this connection.
    Waiting,
    /// Was sent.
    Asked,
    /// Was sent, waits to be sent again.
    Again,
    /// The session to be resumed has it.
    Kept,
    /// The session to be resumed has it; it waits to be sent again.
    KeptAgain,
    /// The session to be resumed has it and it is not wanted any more.
    KeptLeaving,
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    held: HashMap<Box<[u8]>, Wish, RandomState>,
    /// Those in `Waiting`, `Again` and `KeptAgain`, each once, oldest first.
    queue: VecDeque<Box<[u8]>>,
    /// Those that were ever named as kept, oldest first; empty once the session is open.
    kept: Vec<Box<[u8]>>,
    limit: usize,
    per_message: usize,
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Subscriptions {
    pub(super) fn new(limit: usize, per_message: usize, rate: f64, now: Instant) -> Subscriptions {
        let rate = if rate.is_finite() { rate.clamp(RATE_MIN, RATE_MAX) } else { RATE_MAX };
        Subscriptions {
            held: HashMap::default(),
            queue: VecDeque::new(),
            kept: Vec::new(),
            limit,
            per_message: per_message.max(1),
            rate,
            tokens: burst(rate),
            filled: now,
        }
    }

    pub(super) fn subscribe(&mut self, topic: &[u8]) -> Result<(), SubscribeError> {
        let next = match self.held.get(topic) {
            Some(Wish::Waiting | Wish::Again | Wish::KeptAgain) => return Ok(()),
            Some(Wish::Asked) => Wish::Again,
            Some(Wish::Kept | Wish::KeptLeaving) => Wish::KeptAgain,
            None => {
                self.check(topic)?;
                Wish::Waiting
            }
        };
        self.held.insert(topic.into(), next);
        self.queue.push_back(topic.into());
        Ok(())
    }

    /// A topic that the session to be resumed has: sent only if there is no such session any more.
    pub(super) fn keep(&mut self, topic: &[u8]) -> Result<(), SubscribeError> {
        match self.held.get(topic) {
            Some(Wish::Waiting | Wish::Again | Wish::Asked | Wish::Kept | Wish::KeptAgain) => return Ok(()),
            Some(Wish::KeptLeaving) => {}
            None => {
                self.check(topic)?;
                self.kept.push(topic.into());
            }
        }
        self.held.insert(topic.into(), Wish::Kept);
        Ok(())
    }

    fn check(&self, topic: &[u8]) -> Result<(), SubscribeError> {
        let bad = |byte: &u8| *byte == diffusion::ALIAS_MARK || byte.is_ascii_control();
        if topic.is_empty() || topic.len() > TOPIC_MAX || topic.iter().any(bad) {
            return Err(SubscribeError::Name { topic: topic.to_vec() });
        }
        if self.held.len() >= self.limit {
            return Err(SubscribeError::Full { limit: self.limit });
        }
        Ok(())
    }

    /// Gives a topic up; appends what must be sent for it to `out`.
    pub(super) fn unsubscribe(&mut self, topic: &[u8], out: &mut Vec<u8>) {
        let Some(wish) = self.held.get(topic).copied() else { return };
        match wish {
            Wish::KeptLeaving => {}
            Wish::Kept | Wish::KeptAgain => {
                self.unqueue(topic);
                self.held.insert(topic.into(), Wish::KeptLeaving);
            }
            Wish::Waiting => {
                self.unqueue(topic);
                self.held.remove(topic);
            }
            Wish::Asked | Wish::Again => {
                self.unqueue(topic);
                self.held.remove(topic);
                leave(topic, out);
            }
        }
    }

    fn unqueue(&mut self, topic: &[u8]) {
        self.queue.retain(|waiting| &**waiting != topic);
    }

    /// The server opened a fresh session: what was kept must be asked for.
    pub(super) fn opened_fresh(&mut self) {
        for topic in std::mem::take(&mut self.kept) {
            match self.held.get_mut(&topic) {
                Some(wish @ Wish::Kept) => {
                    *wish = Wish::Waiting;
                    self.queue.push_back(topic);
                }
                Some(wish @ Wish::KeptAgain) => *wish = Wish::Waiting,
                Some(Wish::KeptLeaving) => drop(self.held.remove(&topic)),
                Some(Wish::Waiting | Wish::Asked | Wish::Again) | None => {}
            }
        }
    }

    /// The server goes on with the earlier session: what was kept is subscribed.
    pub(super) fn opened_resumed(&mut self, out: &mut Vec<u8>) {
        for topic in std::mem::take(&mut self.kept) {
            match self.held.get_mut(&topic) {
                Some(wish @ Wish::Kept) => *wish = Wish::Asked,
                Some(wish @ Wish::KeptAgain) => *wish = Wish::Again,
                Some(Wish::KeptLeaving) => {
                    self.held.remove(&topic);
                    leave(&topic, out);
                }
                Some(Wish::Waiting | Wish::Asked | Wish::Again) | None => {}
            }
        }
    }

    /// Appends as many as the rate allows by now.
    pub(super) fn send(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.fill(now);
        let mut message = Vec::new();
        while self.tokens >= 1.0 && !self.queue.is_empty() {
            message.clear();
            for _ in 0..self.per_message {
                if self.tokens < 1.0 {
                    break;
                }
                let Some(topic) = self.queue.pop_front() else { break };
                self.tokens -= 1.0;
                if !message.is_empty() {
                    message.push(SELECTOR_SEPARATOR);
                }
                message.extend_from_slice(&topic);
                if let Some(wish) = self.held.get_mut(&topic) {
                    *wish = Wish::Asked;
                }
            }
            // Cannot fail: `check` let no separator in.
            let _ = diffusion::subscribe(out, &message);
        }
    }

    /// When more can be sent: not for a single token, while many wait, but for a burst.
    pub(super) fn next_send(&self) -> Option<Instant> {
        if self.queue.is_empty() {
            return None;
        }
        let wanted = burst(self.rate).min(usize_to_f64(self.queue.len()));
        let missing = (wanted - self.tokens).max(0.0) / self.rate;
        // Rounded up, or the timer would fire just before the token is there.
        let wait = Duration::try_from_secs_f64(missing).unwrap_or_default() + Duration::from_nanos(1);
        self.filled.checked_add(wait)
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(burst(self.rate));
        self.filled = self.filled.max(now);
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

fn leave(topic: &[u8], out: &mut Vec<u8>) {
    // Cannot fail: `check` let no separator in.
    let _ = diffusion::unsubscribe(out, topic);
}

fn burst(rate: f64) -> f64 {
    (rate * BURST).max(1.0).floor()
}

fn usize_to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
