//! What is asked of the server, and how fast.
//!
//! A topic is a selector as it stands. Each is held once; asking again for one that was asked for sends it again,
//! for the server then sends a fresh load. Sending is bounded by a bucket of tokens that fills with the rate.

use super::resume::{Proof, ResumeTopics};
use crate::feed::{FollowError, TOPIC_MAX};
use crate::wire::diffusion;
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
    /// As `Waiting`, but the session to be resumed has it loaded: it is not sent if that goes on.
    Kept,
    Asked,
    Loaded,
    /// Was sent, waits to be sent again.
    Again,
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    held: HashMap<Box<[u8]>, Wish, RandomState>,
    /// Those in `Waiting`, `Kept` and `Again`; each once, in the order in which they were asked for: a server that grants less than
    /// that leaves out the last.
    queue: VecDeque<Box<[u8]>>,
    /// The topics of the session to be resumed; empty once the session is open.
    earlier: ResumeTopics,
    /// The last that were given up: the server may never have received it.
    left: VecDeque<Box<[u8]>>,
    limit: usize,
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Subscriptions {
    pub(super) fn new(limit: usize, rate: f64, earlier: ResumeTopics, now: Instant) -> Subscriptions {
        let rate = if rate.is_finite() { rate.clamp(RATE_MIN, RATE_MAX) } else { RATE_MAX };
        Subscriptions {
            held: HashMap::default(),
            queue: VecDeque::new(),
            earlier,
            left: VecDeque::new(),
            limit,
            rate,
            tokens: burst(rate),
            filled: now,
        }
    }

    /// What is to be known of these subscriptions once the connection is lost.
    pub(super) fn into_resume_topics(self) -> ResumeTopics {
        let left = self.left.into_iter().map(|topic| (topic, Proof::None));
        let sent = self.held.into_iter().filter_map(|(topic, wish)| match wish {
            Wish::Loaded => Some((topic, Proof::Loaded)),
            Wish::Asked | Wish::Again => Some((topic, Proof::None)),
            Wish::Waiting | Wish::Kept => None,
        });
        left.chain(sent).collect()
    }

    pub(super) fn subscribe(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        match self.held.get_mut(topic) {
            Some(Wish::Waiting | Wish::Again) => return Ok(()),
            Some(wish @ Wish::Kept) => {
                *wish = Wish::Waiting;
                return Ok(());
            }
            Some(wish @ (Wish::Asked | Wish::Loaded)) => *wish = Wish::Again,
            None => self.hold(topic, Wish::Waiting)?,
        }
        self.queue.push_back(topic.into());
        Ok(())
    }

    /// As [`Subscriptions::subscribe`], but what the session to be resumed surely has is not sent if it goes on.
    pub(super) fn keep(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        match (self.held.get(topic), self.earlier.get(topic)) {
            (Some(Wish::Kept | Wish::Asked | Wish::Loaded), _) => Ok(()),
            (None, Some(Proof::Loaded)) => {
                self.hold(topic, Wish::Kept)?;
                self.queue.push_back(topic.into());
                Ok(())
            }
            (Some(Wish::Waiting | Wish::Again), _) | (None, Some(Proof::None) | None) => {
                self.subscribe(topic)
            }
        }
    }

    fn hold(&mut self, topic: &[u8], wish: Wish) -> Result<(), FollowError> {
        check_name(topic)?;
        if self.held.len() >= self.limit {
            return Err(FollowError::Full { limit: self.limit });
        }
        self.held.insert(topic.into(), wish);
        Ok(())
    }

    /// Gives a topic up; appends what must be sent for it to `out`.
    pub(super) fn unsubscribe(&mut self, topic: &[u8], out: &mut Vec<u8>) {
        let Some(wish) = self.held.remove(topic) else { return };
        self.queue.retain(|waiting| &**waiting != topic);
        match wish {
            Wish::Waiting | Wish::Kept => {}
            Wish::Asked | Wish::Loaded | Wish::Again => {
                if self.left.len() >= LEFT_MAX {
                    self.left.pop_front();
                }
                self.left.push_back(topic.into());
                leave(topic, out);
            }
        }
    }

    /// The server opened a fresh session: what is wanted must be asked for.
    pub(super) fn opened_fresh(&mut self) {
        self.earlier.clear();
        for wish in self.held.values_mut().filter(|wish| **wish == Wish::Kept) {
            *wish = Wish::Waiting;
        }
    }

    /// The server goes on with the earlier session: what it has and is not wanted is given up.
    pub(super) fn opened_resumed(&mut self, out: &mut Vec<u8>) {
        for topic in std::mem::take(&mut self.earlier).into_keys() {
            match self.held.get_mut(&topic) {
                Some(wish @ Wish::Kept) => *wish = Wish::Loaded,
                Some(wish @ Wish::Waiting) => *wish = Wish::Again,
                Some(Wish::Asked | Wish::Loaded | Wish::Again) => {}
                None => leave(&topic, out),
            }
        }
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
        self.held.contains_key(topic)
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
                Wish::Waiting | Wish::Kept | Wish::Again => {}
            }
        }
    }

    /// Appends as many as the rate allows by now.
    pub(super) fn send(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.fill(now);
        while self.tokens >= 1.0
            && let Some(topic) = self.queue.pop_front()
        {
            self.tokens -= 1.0;
            // Cannot fail: `check_name` let no separator in.
            let _ = diffusion::subscribe(out, &topic);
            if let Some(wish) = self.held.get_mut(&topic) {
                *wish = Wish::Asked;
            }
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
    // Cannot fail: `check_name` let no separator in.
    let _ = diffusion::unsubscribe(out, topic);
}

fn burst(rate: f64) -> f64 {
    (rate * BURST).max(1.0).floor()
}

fn usize_to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
