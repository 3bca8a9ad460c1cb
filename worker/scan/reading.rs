//! Step 1 of a turn: what the server sent is read, framed and applied to the trees.

use super::audits::load;
use super::login;
use super::report::Meter;
use super::reporter::Reporter;
use super::scanner::Scanner;
use super::skipped::Skipped;
use super::upstream::Step;
use crate::feed::diffusion::LostReason;
use crate::feed::{Event, SessionKind};
use crate::payload::{MatchSlot, TreeError};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::worker::{ConnectionState, FromWorker, MatchState};

/// Bytes read in a turn.
const READ_BUDGET: usize = 256 * 1024;
/// Time spent on reading.
const TIME_BUDGET: Duration = Duration::from_millis(1);

/// What changes how the following messages are to be taken.
enum Turning {
    /// The handshake is done.
    Opened(SessionKind),
    /// The session is over.
    Lost(LostReason),
}

/// The session stays, so nothing else tells it.
const LOGIN_REJECTED: &str = "the server refuses the new login in the session, which goes on with the earlier one; \
                              check `username` and the password in `password_env` or `password_file` of the feed";

/// What a message brought that the coordinator must know.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// A load of one of its topics came.
    Loaded(MatchSlot),
    /// One of its topics was removed.
    Removed(MatchSlot),
}

impl Scanner {
    /// Step 1: read and apply until drained, or 256 KiB, or 1 ms.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        match self.upstream.advance(self.poll.registry(), began) {
            Step::Nothing => {}
            Step::AsksLeave => {
                self.say(&FromWorker::AsksToConnect);
            }
            Step::Connected => {
                self.say_connection(ConnectionState::Connecting, String::new(), None);
                self.subscribe_all();
            }
            Step::Failed(why) => self.say_connection(ConnectionState::Down, why, None),
        }
        let mut taken = 0;
        let mut now = began;
        loop {
            if !self.upstream.is_drained() {
                taken += self.upstream.read(now);
            }
            self.apply(now);
            if self.upstream.is_drained() || taken >= READ_BUDGET {
                break;
            }
            now = Instant::now();
            if now.saturating_duration_since(began) >= TIME_BUDGET {
                break;
            }
        }
        self.meter.read(taken);
        if !self.upstream.is_drained() {
            self.meter.queued(self.upstream.receive_queue() + taken as u64);
        } else if taken > 0 {
            self.meter.queued(taken as u64);
        }
    }

    /// Applies every whole message that was read.
    fn apply(&mut self, now: Instant) {
        loop {
            match self.apply_messages(now) {
                None => break,
                Some(Turning::Opened(session)) => self.opened(session, now),
                Some(Turning::Lost(why)) => {
                    self.lost(&why, now);
                    break;
                }
            }
        }
    }

    /// Applies messages up to one that changes what the following mean.
    fn apply_messages(&mut self, now: Instant) -> Option<Turning> {
        let received = self.received(now);
        let Scanner { upstream, parts, book, link, meter, skipped, news, audits, .. } = self;
        let session = upstream.session()?;
        let mut turning = None;
        let mut heartbeat = None;
        let mut serves = false;
        loop {
            if session.look_ahead() {
                parts.trees.expect(&mut session.upcoming());
            }
            book.at_none();
            let Some(event) = session.next_event(now) else { break };
            let mut reporter = Reporter { book, link, now };
            let mut refused = None;
            match event {
                Event::Load { topic, body } | Event::Delta { topic, body } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.loaded(topic);
                    heartbeat = crate::payload::heartbeat(body).or(heartbeat);
                    if !parts.trees.server_time(body, received) {
                        meter.error();
                    }
                }
                Event::Load { topic, body } if parts.is_aside(topic) => {
                    refused = login::refusal(&parts.plan.session.login_topics, topic, body);
                }
                Event::Delta { topic, .. } if parts.is_aside(topic) => {}
                Event::Load { topic, body } => {
                    serves = true;
                    let loaded = load(&mut parts.trees, audits, topic, body, received, &mut reporter);
                    if !matches!(loaded, Err(TreeError::TopicNotHeld { .. }))
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if loaded.is_ok() {
                            meter.loaded(asked);
                            news.extend(parts.trees.owner(topic).map(News::Loaded));
                        }
                    }
                    count(meter, skipped, loaded.map(|_| ()), &parts.feed_name);
                }
                Event::Delta { topic, body } => {
                    meter.delta();
                    let applied = parts.trees.delta(topic, body, received, &mut reporter);
                    count(meter, skipped, applied.map(|_| ()), &parts.feed_name);
                }
                Event::TopicRemoved { topic } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.unloaded(topic);
                }
                Event::TopicRemoved { topic } => {
                    let removed = parts.trees.topic_removed(topic, received, &mut reporter);
                    if removed.is_ok()
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if !parts.trees.is_loaded(asked) {
                            meter.unloaded(asked);
                        }
                    }
                    news.extend(removed.as_ref().ok().copied().flatten().map(News::Removed));
                    count(meter, skipped, removed.map(|_| ()), &parts.feed_name);
                }
                Event::ServerQueue(depth) => meter.server_queue(depth),
                Event::TopicStatus { topic, status } => {
                    if let Some(asked) = parts.trees.subscription(topic) {
                        meter.acknowledged(asked);
                    }
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    log::debug!(feed = parts.feed_name.as_str(), error:% = format_args!("the server says '{status}' of '{topic}'"); "worker.skipped");
                }
                Event::LoginRejected => {
                    log::error!(feed = parts.feed_name.as_str(), why = LOGIN_REJECTED; "worker.login_refused");
                }
                Event::Skipped { why } => {
                    skipped.note(&why);
                    log::debug!(feed = parts.feed_name.as_str(), error:% = why; "worker.skipped");
                }
                Event::Opened { session, .. } => turning = Some(Turning::Opened(session)),
                Event::Lost { why } => turning = Some(Turning::Lost(why)),
            }
            if let Some(why) = refused {
                session.refused(why);
            }
            if turning.is_some() {
                break;
            }
        }
        book.at_none();
        if let Some(every) = heartbeat {
            session.heartbeat(every);
        }
        meter.session_errors(session.counters().errors());
        if serves {
            let news = self.upstream.served();
            self.stands(news);
        }
        self.settle_news();
        self.parts.trees.drain_lists(&mut self.list_changes);
        turning
    }

    pub(super) fn settle_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        let mut complete = Vec::new();
        self.parts.trees.drain_complete(&mut complete);
        news.extend(complete.into_iter().map(News::Loaded));
        for item in news.drain(..) {
            match item {
                // A load without content leaves a match as it is.
                News::Loaded(slot) if self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Live);
                    self.slide_past(slot);
                }
                News::Removed(slot) if !self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Removed);
                    self.drop_audit(slot);
                }
                News::Loaded(slot) => self.slide_past(slot),
                News::Removed(_) => {}
            }
        }
        self.news = news;
        self.close_audits();
        self.book.at_none();
    }
}

/// An error is counted; the log has each when somebody looks closer, since a server may make a million of them.
fn count(meter: &mut Meter, skipped: &mut Skipped, outcome: Result<(), TreeError>, feed: &str) {
    if let Err(error) = outcome {
        meter.error();
        skipped.note_tree(&error);
        log::debug!(feed = feed, error:% = error; "worker.skipped");
    }
}
