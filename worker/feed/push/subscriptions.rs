//! What is asked of the server, how fast, and in which messages.
//!
//! Each topic is held once. A message has up to `batch` topics and takes one token of the messages' bucket, each topic one of the topics'. What gets
//! no answer is asked for again after a wait that doubles; a topic that has a hole is asked for again at once, the next time after a wait that
//! doubles. Asking again is giving up and asking: what is given up goes out first. Pure; caller: `session`.

mod bucket;
#[cfg(test)]
mod tests;

use super::order::{Bounds, Order};
use crate::feed::{FollowError, TOPIC_MAX};
use bucket::Bucket;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Of, SequenceRule};

/// How long the first answer may take, and the most that is waited, the random part apart.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LAST_WAIT: Duration = Duration::from_secs(60);
/// The wait before the second snapshot for a hole, and the longest; after so long without one the next is the first again.
const FIRST_RENEWAL: Duration = Duration::from_millis(500);
const LAST_RENEWAL: Duration = Duration::from_secs(30);
const RENEWALS_FORGOTTEN: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Topics held at once.
    pub(super) limit: usize,
    pub(super) topics_per_s: f64,
    pub(super) messages_per_s: f64,
    pub(super) batches: Batches,
    pub(super) leaves: Leaves,
    /// None: items have no numbers.
    pub(super) rule: Option<SequenceRule>,
    pub(super) bounds: Bounds,
}

/// Topics of one message at most, at least 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches {
    pub(super) ask: usize,
    pub(super) resume: usize,
    pub(super) leave: usize,
}

/// Whether topics can be given up one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicState {
    /// Never sent on this connection.
    Waiting,
    /// As `Waiting`, and goes on where the connection before ended.
    Kept,
    Asked,
    Loaded,
    /// Was sent, is to be sent again.
    Again,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) state: TopicState,
    pub(super) order: Order,
    /// By their words.
    pub(super) tokens: BTreeMap<String, String>,
    /// What came of it on this connection.
    pub(super) heard: Heard,
    answer: Answer,
    /// When it is asked for again: it is in `due` under this time.
    until: Option<Instant>,
    /// The number of the message that last asked for it.
    message: u64,
    renewals: u32,
    renewed_at: Option<Instant>,
}

impl Topic {
    /// Whether it is asked for again as soon as the rates allow.
    fn is_queued(&self) -> bool {
        self.state == TopicState::Again && self.until.is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Something,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited { asks: u32 },
    Came,
}

/// What is kept of a topic from one connection to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Earlier {
    pub(super) last: Option<u64>,
    pub(super) tokens: BTreeMap<String, String>,
}

/// Topics for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Leave(Vec<Arc<str>>),
    Ask(Vec<Arc<str>>),
    /// With the tokens.
    Resume(Vec<Arc<str>>),
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    settings: Settings,
    held: HashMap<Arc<str>, Topic, RandomState>,
    /// Those in `Waiting`, `Kept` and `Again` that may go now, in order.
    queue: VecDeque<Arc<str>>,
    leaving: VecDeque<Arc<str>>,
    /// Those that are asked for again at this time, unless an answer comes before.
    due: BTreeSet<(Instant, Arc<str>)>,
    earlier: HashMap<Arc<str>, Earlier, RandomState>,
    topics: Bucket,
    messages: Bucket,
}

impl Subscriptions {
    pub(super) fn new(
        settings: Settings,
        earlier: HashMap<Arc<str>, Earlier, RandomState>,
        now: Instant,
    ) -> Subscriptions {
        let batch = u32::try_from(settings.batches.ask).unwrap_or(u32::MAX);
        Subscriptions {
            held: HashMap::default(),
            queue: VecDeque::new(),
            leaving: VecDeque::new(),
            due: BTreeSet::new(),
            earlier,
            topics: Bucket::new(settings.topics_per_s, batch, now),
            messages: Bucket::new(settings.messages_per_s, 1, now),
            settings,
        }
    }

    pub(super) fn get(&self, topic: &str) -> Option<&Topic> {
        self.held.get(topic)
    }

    pub(super) fn get_mut(&mut self, topic: &str) -> Option<&mut Topic> {
        self.held.get_mut(topic)
    }

    /// Asks for a topic; again, if it was asked for.
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub(super) fn follow(&mut self, name: &str) -> Result<(), FollowError> {
        match self.held.get_mut(name) {
            None => return self.hold(name, TopicState::Waiting),
            Some(topic) => match topic.state {
                TopicState::Waiting | TopicState::Again => {}
                TopicState::Kept => {
                    topic.state = TopicState::Waiting;
                    topic.order.restart();
                }
                TopicState::Asked | TopicState::Loaded => self.ask_again(name),
            },
        }
        Ok(())
    }

    /// As [`Subscriptions::follow`], but goes on with what the connection before had of it.
    ///
    /// # Errors
    /// As [`Subscriptions::follow`].
    pub(super) fn keep(&mut self, name: &str) -> Result<(), FollowError> {
        match (self.held.get(name).map(|topic| topic.state), self.earlier.remove(name)) {
            (Some(TopicState::Kept | TopicState::Asked | TopicState::Loaded), _) => Ok(()),
            (None, Some(earlier)) => {
                self.hold(name, TopicState::Kept)?;
                let Settings { rule, bounds, .. } = self.settings;
                if let Some(topic) = self.held.get_mut(name) {
                    topic.order = Order::resumed(rule, bounds, earlier.last);
                    topic.tokens = earlier.tokens;
                }
                Ok(())
            }
            (Some(TopicState::Waiting | TopicState::Again) | None, _) => self.follow(name),
        }
    }

    fn hold(&mut self, name: &str, state: TopicState) -> Result<(), FollowError> {
        if name.is_empty() || name.len() > TOPIC_MAX || name.chars().any(char::is_control) {
            return Err(FollowError::Name { topic: name.as_bytes().to_vec() });
        }
        let Settings { limit, rule, bounds, .. } = self.settings;
        if self.held.len() >= limit {
            return Err(FollowError::Full { limit });
        }
        let name: Arc<str> = name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            state,
            order: Order::new(rule, bounds),
            tokens: BTreeMap::new(),
            heard: Heard::Nothing,
            answer: Answer::Awaited { asks: 0 },
            until: None,
            message: 0,
            renewals: 0,
            renewed_at: None,
        };
        self.held.insert(Arc::clone(&name), topic);
        self.queue.push_back(name);
        Ok(())
    }

    /// A topic that was sent is given up and asked for again as soon as the rates allow.
    pub(super) fn ask_again(&mut self, name: &str) {
        let Some(topic) = self.held.get_mut(name).filter(|topic| !topic.is_queued()) else { return };
        topic.state = TopicState::Again;
        if topic.answer == Answer::Came {
            topic.answer = Answer::Awaited { asks: 0 };
        }
        let name = Arc::clone(&topic.name);
        self.await_until(&name, None);
        self.leave(Arc::clone(&name));
        self.queue.push_back(name);
    }

    /// Something of a topic is missing: a fresh snapshot is asked for, soon.
    pub(super) fn renew(&mut self, name: &str, now: Instant) {
        let Some(topic) = self.held.get_mut(name).filter(|topic| !topic.is_queued()) else { return };
        let is_forgotten = |at: Instant| now.saturating_duration_since(at) >= RENEWALS_FORGOTTEN;
        if topic.renewed_at.is_none_or(is_forgotten) {
            topic.renewals = 0;
        }
        let doubled = 2_u32.saturating_pow(topic.renewals.saturating_sub(1));
        let wait = FIRST_RENEWAL.saturating_mul(doubled).min(LAST_RENEWAL);
        let is_first = topic.renewals == 0;
        topic.renewals = topic.renewals.saturating_add(1);
        topic.renewed_at = Some(now);
        if is_first {
            return self.ask_again(name);
        }
        topic.state = TopicState::Again;
        topic.answer = Answer::Awaited { asks: 0 };
        let name = Arc::clone(&topic.name);
        self.await_until(&name, now.checked_add(wait));
    }

    /// It is asked for again at `until` and at no other time.
    fn await_until(&mut self, name: &Arc<str>, until: Option<Instant>) {
        let Some(topic) = self.held.get_mut(name) else { return };
        if let Some(before) = std::mem::replace(&mut topic.until, until) {
            self.due.remove(&(before, Arc::clone(name)));
        }
        self.due.extend(until.map(|until| (until, Arc::clone(name))));
    }

    /// Gives a topic up.
    pub(super) fn unfollow(&mut self, name: &str) {
        let Some(topic) = self.held.remove(name) else { return };
        self.queue.retain(|waiting| **waiting != *name);
        if let Some(until) = topic.until {
            self.due.remove(&(until, Arc::clone(&topic.name)));
        }
        match topic.state {
            TopicState::Waiting | TopicState::Kept => {}
            TopicState::Asked | TopicState::Loaded | TopicState::Again => self.leave(topic.name),
        }
    }

    fn leave(&mut self, name: Arc<str>) {
        match self.settings.leaves {
            Leaves::Yes if !self.leaving.contains(&name) => self.leaving.push_back(name),
            Leaves::Yes | Leaves::No => {}
        }
    }

    /// The connection before cannot be gone on with.
    pub(super) fn opened_fresh(&mut self) {
        self.earlier.clear();
        for topic in self.held.values_mut().filter(|topic| topic.state == TopicState::Kept) {
            topic.state = TopicState::Waiting;
            topic.order.restart();
            topic.tokens.clear();
        }
    }

    /// What answers a subscription came: the snapshot, or where none is named, its acknowledgement.
    pub(super) fn answered(&mut self, name: &str) {
        let Some(topic) = self.held.get_mut(name) else { return };
        if topic.state == TopicState::Again {
            // It answers what was sent before.
            return;
        }
        if let Answer::Awaited { .. } = std::mem::replace(&mut topic.answer, Answer::Came) {
            let name = Arc::clone(&topic.name);
            self.await_until(&name, None);
        }
    }

    /// The snapshot of a topic came.
    pub(super) fn loaded(&mut self, name: &str) {
        self.answered(name);
        let Some(topic) = self.held.get_mut(name) else { return };
        match topic.state {
            TopicState::Asked => topic.state = TopicState::Loaded,
            // Of those that wait to be sent it answers an earlier question.
            TopicState::Waiting | TopicState::Kept | TopicState::Loaded | TopicState::Again => {}
        }
    }

    /// The server ended a topic: another snapshot must come before it counts as held again.
    pub(super) fn removed(&mut self, name: &str) {
        self.answered(name);
        let Some(topic) = self.held.get_mut(name) else { return };
        topic.order.restart();
        if topic.state == TopicState::Loaded {
            topic.state = TopicState::Asked;
        }
    }

    /// The topics that the message of this number asked for, those with an answer apart.
    pub(super) fn of_message(&self, number: u64) -> Vec<Arc<str>> {
        let is_of = |topic: &&Topic| topic.message == number && topic.message > 0;
        self.held.values().filter(is_of).map(|topic| Arc::clone(&topic.name)).collect()
    }

    /// The topics for the next message, if the rates allow one. The caller sends it under `number`.
    pub(super) fn next_request(&mut self, number: u64, now: Instant) -> Option<Request> {
        self.enqueue_due(now);
        self.messages.fill(now);
        self.topics.fill(now);
        if !self.leaving.is_empty() {
            if !self.messages.take(1) {
                return None;
            }
            let count = self.leaving.len().min(self.settings.batches.leave);
            return Some(Request::Leave(self.leaving.drain(..count).collect()));
        }
        let wanted = self.wanted();
        if wanted == 0 || !self.topics.has(1) || !self.messages.take(1) {
            return None;
        }
        let count = wanted.min(self.topics.whole());
        self.topics.take(count);
        let names: Vec<Arc<str>> =
            self.queue.drain(..self.queue.len().min(usize::try_from(count).unwrap_or(usize::MAX))).collect();
        let is_resumed = names.first().is_some_and(|name| self.state(name) == Some(TopicState::Kept));
        for name in &names {
            self.sent(name, number, now);
        }
        Some(if is_resumed { Request::Resume(names) } else { Request::Ask(names) })
    }

    fn state(&self, name: &str) -> Option<TopicState> {
        self.held.get(name).map(|topic| topic.state)
    }

    /// How many the next message may have: what goes on and what does not are never in one.
    fn wanted(&self) -> u32 {
        let is_kept = |name: &Arc<str>| self.state(name) == Some(TopicState::Kept);
        let first = self.queue.front().map(is_kept);
        let Batches { ask, resume, .. } = self.settings.batches;
        let most = if first == Some(true) { resume } else { ask };
        let same = self.queue.iter().take(most).take_while(|name| Some(is_kept(name)) == first);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Those whose answer is overdue are asked for again, behind those that were never asked for.
    fn enqueue_due(&mut self, now: Instant) {
        while self.due.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, name)) = self.due.pop_first()
        {
            if let Some(topic) = self.held.get_mut(&name) {
                (topic.state, topic.until) = (TopicState::Again, None);
                // It may be there all the same: without this some servers refuse it as a copy.
                self.leave(Arc::clone(&name));
                self.queue.push_back(name);
            }
        }
    }

    fn sent(&mut self, name: &Arc<str>, number: u64, now: Instant) {
        // The map's keys are random.
        let random = self.held.hasher().hash_one(name);
        let Some(topic) = self.held.get_mut(name) else { return };
        topic.message = number;
        if topic.state == TopicState::Kept {
            // Deltas follow, no snapshot; should it be refused, it is asked for afresh.
            (topic.state, topic.answer) = (TopicState::Loaded, Answer::Came);
            return;
        }
        topic.state = TopicState::Asked;
        let Answer::Awaited { asks } = &mut topic.answer else { return };
        *asks = asks.saturating_add(1);
        let wait = patience(*asks, random.rotate_left(asks.wrapping_mul(7)));
        self.await_until(name, now.checked_add(wait));
    }

    /// When [`Subscriptions::next_request`] has something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(until, _)| *until);
        if !self.leaving.is_empty() {
            return self.messages.when(1).into_iter().chain(due).min();
        }
        match self.wanted() {
            0 => due,
            wanted => self.messages.when(1).max(self.topics.when(wanted)).into_iter().chain(due).min(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Those that were not sent on this connection.
    pub(super) fn waiting(&self) -> usize {
        let was_not_sent = |topic: &&Topic| matches!(topic.state, TopicState::Waiting | TopicState::Kept);
        self.held.values().filter(was_not_sent).count()
    }

    /// Those that were sent more than once, and never answered.
    pub(super) fn unanswered(&self) -> usize {
        let is_late = |topic: &&Topic| matches!(topic.answer, Answer::Awaited { asks: 2.. });
        self.held.values().filter(is_late).count()
    }

    pub(super) fn is_loaded(&self, name: &str) -> bool {
        matches!(self.state(name), Some(TopicState::Loaded | TopicState::Kept))
    }

    /// What the next connection may go on with: topics that are whole. Where the tokens are the connection's, one that went on without
    /// anything of it having come is not: the newest token may be newer than what it has.
    pub(super) fn into_earlier(self, tokens_of: Of) -> HashMap<Arc<str>, Earlier, RandomState> {
        let whole = |(name, topic): (Arc<str>, Topic)| {
            let is_as_new = tokens_of == Of::Item || topic.heard == Heard::Something;
            let is_whole = topic.order.is_following() && topic.state == TopicState::Loaded && is_as_new;
            is_whole.then(|| (name, Earlier { last: topic.order.last(), tokens: topic.tokens }))
        };
        self.held.into_iter().filter_map(whole).collect()
    }
}

/// How long the answer to the so-manieth question may take.
fn patience(asks: u32, random: u64) -> Duration {
    let doubled = 2_u32.saturating_pow(asks.saturating_sub(1));
    let wait = FIRST_WAIT.saturating_mul(doubled).min(LAST_WAIT);
    let part = u32::try_from(random % 512).unwrap_or_default();
    wait + wait * part / 1024
}
