//! What is asked of the server, and how fast.
//!
//! A topic is a selector as it stands. Each is held once; asking again for one that was asked for sends it again,
//! for the server then sends a fresh load. Sending is bounded by a bucket of tokens that fills with the rate.
//!
//! What gets no answer is asked for again after [`FIRST_WAIT`], then after twice as long each time up to [`LAST_WAIT`], half as much
//! again at random: within the same rate, and never before something that was not asked for at all. A load is an answer, and so is
//! the removal of the topic; a refusal is none, since a server may grant later what it does not grant now.

use super::resume::{Proof, ResumeTopics};
use crate::feed::{FollowError, TOPIC_MAX};
use crate::wire::diffusion;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// Topics given up that are remembered: each is given up again if the session is resumed.
const LEFT_MAX: usize = 64;
/// How long the first answer to a subscription may take before it is sent again: longer than a window of loads, or the sign of a cap,
/// waits for it.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The most that is waited, the random part apart.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(60);
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// None came to what was sent so often; `until`: when it is sent again, once it was sent.
    Awaited { asks: u32, until: Option<Instant> },
    Came,
}

#[derive(Debug)]
struct Topic {
    wish: Wish,
    answer: Answer,
    /// Its place in the order in which topics were asked for.
    nth: u64,
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    held: HashMap<Box<[u8]>, Topic, RandomState>,
    /// How many were ever held.
    count: u64,
    /// Those that were sent and wait for an answer, by the time at which they are sent again.
    unanswered: BTreeSet<(Instant, Box<[u8]>)>,
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
            count: 0,
            unanswered: BTreeSet::new(),
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
        let sent = self.held.into_iter().filter_map(|(topic, held)| match held.wish {
            Wish::Loaded => Some((topic, Proof::Loaded)),
            Wish::Asked | Wish::Again => Some((topic, Proof::None)),
            Wish::Waiting | Wish::Kept => None,
        });
        left.chain(sent).collect()
    }

    pub(super) fn subscribe(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        match self.held.get_mut(topic).map(|held| &mut held.wish) {
            Some(Wish::Waiting | Wish::Again) => return Ok(()),
            Some(wish @ Wish::Kept) => {
                *wish = Wish::Waiting;
                return Ok(());
            }
            Some(Wish::Asked | Wish::Loaded) => self.send_again(topic),
            None => {
                self.hold(topic, Wish::Waiting)?;
                self.queue.push_back(topic.into());
            }
        }
        Ok(())
    }

    /// As [`Subscriptions::subscribe`], but what the session to be resumed surely has is not sent if it goes on.
    pub(super) fn keep(&mut self, topic: &[u8]) -> Result<(), FollowError> {
        match (self.held.get(topic).map(|held| held.wish), self.earlier.get(topic)) {
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
        self.count += 1;
        let answer = Answer::Awaited { asks: 0, until: None };
        self.held.insert(topic.into(), Topic { wish, answer, nth: self.count });
        Ok(())
    }

    /// A topic that was sent waits to be sent again. What was not answered goes on with its back-off.
    fn send_again(&mut self, topic: &[u8]) {
        let Some(held) = self.held.get_mut(topic) else { return };
        held.wish = Wish::Again;
        let (asks, until) = match held.answer {
            Answer::Awaited { asks, until } => (asks, until),
            Answer::Came => (0, None),
        };
        held.answer = Answer::Awaited { asks, until: None };
        self.await_no_more(topic, until);
        self.queue.push_back(topic.into());
    }

    fn await_no_more(&mut self, topic: &[u8], until: Option<Instant>) {
        if let Some(until) = until {
            self.unanswered.remove(&(until, topic.into()));
        }
    }

    /// Gives a topic up; appends what must be sent for it to `out`.
    pub(super) fn unsubscribe(&mut self, topic: &[u8], out: &mut Vec<u8>) {
        let Some(held) = self.held.remove(topic) else { return };
        self.queue.retain(|waiting| &**waiting != topic);
        if let Answer::Awaited { until, .. } = held.answer {
            self.await_no_more(topic, until);
        }
        match held.wish {
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
        for held in self.held.values_mut().filter(|held| held.wish == Wish::Kept) {
            held.wish = Wish::Waiting;
        }
    }

    /// The server goes on with the earlier session: what it has and is not wanted is given up.
    pub(super) fn opened_resumed(&mut self, out: &mut Vec<u8>) {
        for topic in std::mem::take(&mut self.earlier).into_keys() {
            let Some(held) = self.held.get_mut(&topic) else {
                leave(&topic, out);
                continue;
            };
            match held.wish {
                Wish::Kept => (held.wish, held.answer) = (Wish::Loaded, Answer::Came),
                Wish::Waiting => held.wish = Wish::Again,
                Wish::Asked | Wish::Loaded | Wish::Again => {}
            }
        }
        self.queue.retain(|topic| self.held.get(topic).is_none_or(|held| held.wish != Wish::Loaded));
    }

    pub(super) fn loaded(&mut self, topic: &[u8]) {
        let Some(held) = self.held.get_mut(topic) else { return self.loaded_below(topic) };
        match held.wish {
            Wish::Asked => held.wish = Wish::Loaded,
            // The login may have asked for it, too.
            Wish::Waiting | Wish::Kept | Wish::Loaded => {}
            // It answers what was sent before.
            Wish::Again => return,
        }
        self.answered(topic);
    }

    /// A load of a topic that was not asked for by its own name: it answers a subscription to a branch that holds it.
    fn loaded_below(&mut self, topic: &[u8]) {
        if self.unanswered.is_empty() {
            return;
        }
        let slashes = topic.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let below = slashes.flat_map(|at| [(at, &b"/"[..]), (at, &b"//"[..])]);
        for (end, mark) in below.chain([(topic.len(), &b"//"[..])]) {
            let branch = [topic.get(..end).unwrap_or_default(), mark].concat();
            if self.held.get(&branch[..]).is_some_and(|held| held.wish == Wish::Asked) {
                self.answered(&branch);
            }
        }
    }

    fn answered(&mut self, topic: &[u8]) {
        let Some(held) = self.held.get_mut(topic) else { return };
        if let Answer::Awaited { until, .. } = std::mem::replace(&mut held.answer, Answer::Came) {
            self.await_no_more(topic, until);
        }
    }

    /// The topic was removed: a later load must come before it counts as held again.
    pub(super) fn unloaded(&mut self, topic: &[u8]) {
        let Some(held) = self.held.get_mut(topic) else { return };
        match held.wish {
            Wish::Loaded => held.wish = Wish::Asked,
            Wish::Asked | Wish::Waiting | Wish::Kept => {}
            Wish::Again => return,
        }
        self.answered(topic);
    }

    pub(super) fn is_wanted(&self, topic: &[u8]) -> bool {
        self.held.contains_key(topic)
    }

    pub(super) fn is_loaded(&self, topic: &[u8]) -> bool {
        self.held.get(topic).is_some_and(|held| held.wish == Wish::Loaded)
    }

    /// Everything that was sent is to be sent again, in the order in which it was first asked for.
    pub(super) fn ask_again(&mut self) {
        let sent = self.held.iter().filter(|(_, held)| matches!(held.wish, Wish::Asked | Wish::Loaded));
        let mut sent: Vec<(u64, Box<[u8]>)> = sent.map(|(topic, held)| (held.nth, topic.clone())).collect();
        sent.sort_unstable();
        for (_, topic) in sent {
            self.send_again(&topic);
        }
    }

    /// Appends as many as the rate allows by now.
    pub(super) fn send(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.fill(now);
        while self.tokens >= 1.0
            && let Some(topic) = self.queue.pop_front().or_else(|| self.next_unanswered(now))
        {
            self.tokens -= 1.0;
            // Cannot fail: `check_name` let no separator in.
            let _ = diffusion::subscribe(out, &topic);
            self.sent(topic, now);
        }
    }

    /// Takes a topic whose answer is overdue.
    fn next_unanswered(&mut self, now: Instant) -> Option<Box<[u8]>> {
        self.unanswered.first().filter(|(until, _)| *until <= now)?;
        self.unanswered.pop_first().map(|(_, topic)| topic)
    }

    fn sent(&mut self, topic: Box<[u8]>, now: Instant) {
        // The map's keys are random.
        let random = self.held.hasher().hash_one(&topic);
        let Some(held) = self.held.get_mut(&topic) else { return };
        held.wish = Wish::Asked;
        let Answer::Awaited { asks, until } = &mut held.answer else { return };
        *asks = asks.saturating_add(1);
        *until = now.checked_add(patience(*asks, random.rotate_left(asks.wrapping_mul(7))));
        if let Some(until) = *until {
            self.unanswered.insert((until, topic));
        }
    }

    /// When more can be sent: not for a single token, while many wait, but for a burst.
    pub(super) fn next_send(&self) -> Option<Instant> {
        let (count, not_before) = match (self.queue.len(), self.unanswered.first()) {
            (0, None) => return None,
            (0, Some((until, _))) => (1, Some(*until)),
            (count, _) => (count, None),
        };
        let wanted = burst(self.rate).min(usize_to_f64(count));
        let missing = (wanted - self.tokens).max(0.0) / self.rate;
        // Rounded up, or the timer would fire just before the token is there.
        let wait = Duration::try_from_secs_f64(missing).unwrap_or_default() + Duration::from_nanos(1);
        self.filled.checked_add(wait).max(not_before)
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
        let was_not_sent = |held: &&Topic| matches!(held.wish, Wish::Waiting | Wish::Kept);
        self.held.values().filter(was_not_sent).count()
    }

    /// Those that were sent more than once, and never answered.
    pub(super) fn unanswered(&self) -> usize {
        let is_late = |held: &&Topic| matches!(held.answer, Answer::Awaited { asks: 2.., .. });
        self.held.values().filter(is_late).count()
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

/// How long the answer to the so-manieth question may take.
fn patience(asks: u32, random: u64) -> Duration {
    let doubled = 2_u32.saturating_pow(asks.saturating_sub(1));
    let wait = FIRST_WAIT.saturating_mul(doubled).min(LAST_WAIT);
    let part = u32::try_from(random % 512).unwrap_or_default();
    wait + wait * part / 1024
}

fn burst(rate: f64) -> f64 {
    (rate * BURST).max(1.0).floor()
}

fn usize_to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
