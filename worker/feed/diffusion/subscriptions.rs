//! What is asked of the server, and how fast.
//!
//! A topic is a selector as it stands. Each is held once; asking again for one that was asked for sends it again,
//! for the server then sends a fresh load. Sending is bounded by a bucket of tokens that fills with the rate.

use super::resume::{Proof, ResumeTopic};
use crate::feed::{FollowError, TOPIC_MAX};
use crate::wire::diffusion::{self, SELECTOR_SEPARATOR};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Topics given up that are remembered: each is given up again if the session is resumed.
const LEFT_MAX: usize = 64;
/// The part of a second's subscriptions that may go at once.
const BURST: f64 = 0.1;
const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 1e6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Waits to be sent; never sent on this connection.
    Waiting,
    Asked,
    Loaded,
    /// Was sent, waits to be sent again.
    Again,
    /// The session to be resumed has it; it is not wanted so far.
    Earlier,
    /// The session to be resumed may have it; it is not wanted so far.
    Doubtful,
    Kept,
    /// The session to be resumed may have it; it waits to be sent again.
    KeptAgain,
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    held: HashMap<Box<[u8]>, Wish, RandomState>,
    /// Those of `held` in `Earlier` and `Doubtful`: they do not count against the limit, for they will be given up.
    unwanted: usize,
    /// Those in `Waiting`, `Again` and `KeptAgain`, and until the session is open those in `Kept`; each once, in the order in which they
    /// were asked for: a server that grants less than that leaves out the last.
    queue: VecDeque<Box<[u8]>>,
    /// The topics of the session to be resumed; empty once the session is open.
    earlier: Vec<Box<[u8]>>,
    /// The last that were given up: the server may never have received it.
    left: VecDeque<Box<[u8]>>,
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
            unwanted: 0,
            queue: VecDeque::new(),
            earlier: Vec::new(),
            left: VecDeque::new(),
            limit,
            per_message: per_message.max(1),
            rate,
            tokens: burst(rate),
            filled: now,
        }
    }

    pub(super) fn resume(&mut self, topics: Vec<ResumeTopic>) {
        for ResumeTopic { name, proof } in topics {
            let wish = match proof {
                Proof::Loaded => Wish::Earlier,
                Proof::None => Wish::Doubtful,
            };
            if self.held.insert(name.clone(), wish).is_none() {
                self.unwanted += 1;
                self.earlier.push(name);
            }
        }
    }

    /// What is to be known of these subscriptions once the connection is lost.
    pub(super) fn into_resume_state(self) -> Vec<ResumeTopic> {
        let left = self.left.into_iter().filter(|topic| !self.held.contains_key(topic));
        let left: Vec<_> = left.map(|name| ResumeTopic { name, proof: Proof::None }).collect();
        let sent = self.held.into_iter().filter_map(|(name, wish)| match wish {
            Wish::Loaded => Some(ResumeTopic { name, proof: Proof::Loaded }),
            Wish::Asked | Wish::Again => Some(ResumeTopic { name, proof: Proof::None }),
            Wish::Waiting | Wish::Earlier | Wish::Doubtful | Wish::Kept | Wish::KeptAgain => None,
        });
        sent.chain(left).collect()
    }

    pub(super) fn subscribe(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        let next = match self.held.get(topic) {
            Some(Wish::Waiting | Wish::Again | Wish::KeptAgain) => return Ok(()),
            Some(Wish::Asked | Wish::Loaded) => Wish::Again,
            Some(Wish::Kept) => {
                self.held.insert(topic.into(), Wish::KeptAgain);
                return Ok(());
            }
            Some(Wish::Earlier | Wish::Doubtful) => {
                self.check_room()?;
                self.unwanted -= 1;
                Wish::KeptAgain
            }
            None => {
                check_name(topic)?;
                self.check_room()?;
                Wish::Waiting
            }
        };
        self.held.insert(topic.into(), next);
        self.queue.push_back(topic.into());
        Ok(())
    }

    /// As [`Subscriptions::subscribe`], but what the session to be resumed surely has is not sent if it goes on.
    pub(super) fn keep(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        match self.held.get(topic) {
            Some(Wish::Earlier) => {
                self.check_room()?;
                self.unwanted -= 1;
                self.held.insert(topic.into(), Wish::Kept);
                self.queue.push_back(topic.into());
                Ok(())
            }
            Some(Wish::Kept | Wish::Asked | Wish::Loaded) => Ok(()),
            Some(Wish::Waiting | Wish::Again | Wish::KeptAgain | Wish::Doubtful) | None => {
                self.subscribe(topic)
            }
        }
    }

    fn check_room(&self) -> Result<(), FollowError> {
        if self.held() >= self.limit {
            return Err(FollowError::Full { limit: self.limit });
        }
        Ok(())
    }

    /// Gives a topic up; appends what must be sent for it to `out`.
    pub(super) fn unsubscribe(&mut self, topic: &[u8], out: &mut Vec<u8>) {
        let Some(wish) = self.held.get(topic).copied() else { return };
        match wish {
            Wish::Earlier | Wish::Doubtful => {}
            Wish::Kept => self.give_up(topic, Wish::Earlier),
            Wish::KeptAgain => self.give_up(topic, Wish::Doubtful),
            Wish::Waiting => {
                self.unqueue(topic);
                self.held.remove(topic);
            }
            Wish::Asked | Wish::Loaded | Wish::Again => {
                self.unqueue(topic);
                self.held.remove(topic);
                if self.left.len() >= LEFT_MAX {
                    self.left.pop_front();
                }
                self.left.push_back(topic.into());
                leave(topic, out);
            }
        }
    }

    fn give_up(&mut self, topic: &[u8], wish: Wish) {
        self.unqueue(topic);
        self.held.insert(topic.into(), wish);
        self.unwanted += 1;
    }

    fn unqueue(&mut self, topic: &[u8]) {
        self.queue.retain(|waiting| &**waiting != topic);
    }

    /// The server opened a fresh session: what is wanted must be asked for.
    pub(super) fn opened_fresh(&mut self) {
        for topic in std::mem::take(&mut self.earlier) {
            match self.held.get_mut(&topic) {
                Some(wish @ (Wish::Kept | Wish::KeptAgain)) => *wish = Wish::Waiting,
                Some(Wish::Earlier | Wish::Doubtful) => drop(self.held.remove(&topic)),
                Some(Wish::Waiting | Wish::Asked | Wish::Loaded | Wish::Again) | None => {}
            }
        }
        self.unwanted = 0;
    }

    /// The server goes on with the earlier session: what it has and is not wanted is given up.
    pub(super) fn opened_resumed(&mut self, out: &mut Vec<u8>) {
        for topic in std::mem::take(&mut self.earlier) {
            match self.held.get_mut(&topic) {
                Some(wish @ Wish::Kept) => *wish = Wish::Loaded,
                Some(wish @ Wish::KeptAgain) => *wish = Wish::Again,
                Some(Wish::Earlier | Wish::Doubtful) => {
                    self.held.remove(&topic);
                    leave(&topic, out);
                }
                Some(Wish::Waiting | Wish::Asked | Wish::Loaded | Wish::Again) | None => {}
            }
        }
        self.unwanted = 0;
        self.queue.retain(|topic| self.held.get(topic) != Some(&Wish::Loaded));
    }

    pub(super) fn loaded(&mut self, topic: &[u8]) {
        if let Some(wish @ Wish::Asked) = self.held.get_mut(topic) {
            *wish = Wish::Loaded;
        }
    }

    /// The topic was removed: a later load must come before it counts as held again.
    pub(super) fn unloaded(&mut self, topic: &[u8]) {
        if let Some(wish @ Wish::Loaded) = self.held.get_mut(topic) {
            *wish = Wish::Asked;
        }
    }

    pub(super) fn is_wanted(&self, topic: &[u8]) -> bool {
        self.held.get(topic).is_some_and(|wish| !matches!(wish, Wish::Earlier | Wish::Doubtful))
    }

    pub(super) fn is_loaded(&self, topic: &[u8]) -> bool {
        self.held.get(topic) == Some(&Wish::Loaded)
    }

    /// Everything that was sent is to be sent again.
    pub(super) fn ask_again(&mut self) {
        for (topic, wish) in &mut self.held {
            match wish {
                Wish::Asked | Wish::Loaded => {
                    *wish = Wish::Again;
                    self.queue.push_back(topic.clone());
                }
                Wish::Waiting
                | Wish::Again
                | Wish::Earlier
                | Wish::Doubtful
                | Wish::Kept
                | Wish::KeptAgain => {}
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
        self.held.len() - self.unwanted
    }

    /// Those of them that were not sent on this connection and do not stand in a session that goes on.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

fn check_name(topic: &[u8]) -> Result<(), FollowError> {
    let bad = |byte: &u8| *byte == diffusion::ALIAS_MARK || byte.is_ascii_control();
    if topic.is_empty() || topic.len() > TOPIC_MAX || topic.iter().any(bad) {
        return Err(FollowError::Name { topic: topic.to_vec() });
    }
    Ok(())
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
