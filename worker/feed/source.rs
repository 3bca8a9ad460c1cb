//! The source of a worker: one variant for each kind of feed, made from its plan.
//!
//! A source registers its sockets itself, under tokens from the one it is given upwards. In each turn the loop passes on what is
//! ready ([`Source::note`]), lets it do what is due ([`Source::advance`]), then reads and takes events until both have nothing
//! ([`Source::read`], [`Source::next_event`]), and writes ([`Source::flush`]). A new kind of feed is one more variant of each enum.

use super::error::FollowError;
use super::event::{Event, TakeReceived};
use super::{diffusion, poll, push, rooms};
use crate::net::Readiness;
use mio::{Registry, Token, Waker};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{Config, FeedConfig, FeedKind};
use touchline_common::ipc::messages::worker::SourcesReport;
use touchline_common::model::Listing;

#[derive(Clone, Debug)]
pub enum Plan {
    Diffusion(Box<diffusion::Plan>),
    Poll(Box<poll::Plan>),
    Push(Box<push::Plan>),
    Rooms(Box<rooms::Plan>),
}

impl Plan {
    /// From the settings of a feed.
    ///
    /// # Errors
    /// Why the settings of its connection cannot be used; names the feed.
    pub fn new(config: &Config, feed: &FeedConfig) -> Result<Plan, String> {
        match feed.kind {
            FeedKind::Poll => poll::Plan::new(config, feed).map(|plan| Plan::Poll(Box::new(plan))),
            FeedKind::Rooms => rooms::Plan::new(config, feed).map(|plan| Plan::Rooms(Box::new(plan))),
            FeedKind::Push => push::Plan::new(config, feed).map(|plan| Plan::Push(Box::new(plan))),
            FeedKind::Diffusion => {
                diffusion::Plan::new(config, feed).map(|plan| Plan::Diffusion(Box::new(plan)))
            }
        }
    }
}

#[derive(Debug)]
pub enum Source {
    Diffusion(Box<diffusion::Connection>),
    Poll(Box<poll::Poll>),
    Push(Box<push::Connection>),
    Rooms(Box<rooms::Rooms>),
}

impl Source {
    /// A source that connects in its first turn. Its sockets have the tokens from `first` on; `waker` is of the same poll.
    pub fn new(plan: Plan, first: Token, waker: Arc<Waker>, now: Instant) -> Source {
        match plan {
            Plan::Diffusion(plan) => {
                Source::Diffusion(Box::new(diffusion::Connection::new(*plan, first, waker, now)))
            }
            Plan::Poll(plan) => Source::Poll(Box::new(poll::Poll::new(*plan, first, waker, now))),
            Plan::Push(plan) => Source::Push(Box::new(push::Connection::new(*plan, first, waker, now))),
            Plan::Rooms(plan) => Source::Rooms(Box::new(rooms::Rooms::new(*plan, first, waker, now))),
        }
    }

    /// The poll saw something of the socket of `token`.
    pub fn note(&mut self, token: Token, readiness: Readiness) {
        match self {
            Source::Diffusion(source) => source.note(token, readiness),
            Source::Poll(source) => source.note(token, readiness),
            Source::Push(source) => source.note(token, readiness),
            Source::Rooms(source) => source.note(token, readiness),
        }
    }

    /// When [`Source::advance`] has something to do, readiness apart.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Source::Diffusion(source) => source.deadline(),
            Source::Poll(source) => source.deadline(),
            Source::Push(source) => source.deadline(),
            Source::Rooms(source) => source.deadline(),
        }
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        match self {
            Source::Diffusion(source) => source.advance(registry, now),
            Source::Poll(source) => source.advance(registry, now),
            Source::Push(source) => source.advance(registry, now),
            Source::Rooms(source) => source.advance(registry, now),
        }
    }

    /// One read of a socket; how many bytes.
    pub fn read(&mut self, now: Instant) -> usize {
        match self {
            Source::Diffusion(source) => source.read(now),
            Source::Poll(source) => source.read(now),
            Source::Push(source) => source.read(),
            Source::Rooms(source) => source.read(now),
        }
    }

    /// The next event; none if more must be read.
    #[inline]
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        match self {
            Source::Diffusion(source) => source.next_event(now),
            Source::Poll(source) => source.next_event(),
            Source::Push(source) => source.next_event(now),
            Source::Rooms(source) => source.next_event(now),
        }
    }

    /// If several messages are at hand that were not before: the topics of the deltas among them.
    #[inline]
    pub fn look_ahead(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        match self {
            Source::Diffusion(source) => source.look_ahead(),
            Source::Poll(_) => None,
            // Of a message's items the topics are known once it was searched.
            Source::Push(_) => None,
            // What shares a frame is known only once it is unpacked.
            Source::Rooms(_) => None,
        }
    }

    /// Whether all that came is read: sockets and everything above them are empty.
    pub fn is_drained(&self) -> bool {
        match self {
            Source::Diffusion(source) => source.is_drained(),
            Source::Poll(source) => source.is_drained(),
            Source::Push(source) => source.is_drained(),
            Source::Rooms(source) => source.is_drained(),
        }
    }

    /// Writes what is to be sent, as far as the sockets take it.
    pub fn flush(&mut self) {
        match self {
            Source::Diffusion(source) => source.flush(),
            Source::Poll(source) => source.flush(),
            Source::Push(source) => source.flush(),
            Source::Rooms(source) => source.flush(),
        }
    }

    /// Asks for a topic; again, if it was asked for: a fresh snapshot follows. Without a connection nothing happens: all that is
    /// followed is to be asked for on [`ConnectionEvent::Connected`](super::ConnectionEvent).
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        match self {
            Source::Diffusion(source) => source.follow(topic),
            Source::Poll(source) => source.follow(topic),
            Source::Push(source) => source.follow(topic),
            Source::Rooms(source) => source.follow(topic),
        }
    }

    /// As [`Source::follow`], unless the earlier session has the topic and goes on: then there is no snapshot, and
    /// [`Source::is_loaded`] holds for it.
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        match self {
            Source::Diffusion(source) => source.keep(topic),
            Source::Poll(source) => source.keep(topic),
            Source::Push(source) => source.keep(topic),
            Source::Rooms(source) => source.keep(topic),
        }
    }

    /// A delta of `topic` cannot be applied, so what is held of it is no longer what the server has: a fresh snapshot is asked for, where
    /// that is the source's to do.
    pub fn renew(&mut self, topic: &str, now: Instant) {
        match self {
            Source::Push(source) => source.renew(topic, now),
            // These have their audits, or only whole answers.
            Source::Diffusion(_) | Source::Poll(_) | Source::Rooms(_) => {}
        }
    }

    /// What the match list says of the match of `topic`, which is about to be followed.
    pub fn expect(&mut self, topic: &str, listing: &Listing) {
        match self {
            Source::Diffusion(_) => {}
            Source::Poll(source) => source.expect(topic, listing),
            Source::Push(_) | Source::Rooms(_) => {}
        }
    }

    /// What the match list says of the match of `topic` changed, to this.
    pub fn listed(&mut self, topic: &str, listing: &Listing) {
        match self {
            Source::Diffusion(_) => {}
            Source::Poll(source) => source.listed(topic, listing),
            Source::Push(_) | Source::Rooms(_) => {}
        }
    }

    /// What was given for a topic could not be used, and nothing is held of it: its next message that has all of it is a snapshot, too.
    pub fn unusable(&mut self, topic: &str) {
        match self {
            // A server that sent a bad load sends another only when it is asked to.
            Source::Diffusion(_) => {}
            Source::Poll(source) => source.unusable(topic),
            // Its next delta asks for another snapshot.
            Source::Push(_) => {}
            Source::Rooms(_) => {}
        }
    }

    /// Gives a topic up. Messages on their way still come.
    pub fn unfollow(&mut self, topic: &str) {
        match self {
            Source::Diffusion(source) => source.unfollow(topic),
            Source::Poll(source) => source.unfollow(topic),
            Source::Push(source) => source.unfollow(topic),
            Source::Rooms(source) => source.unfollow(topic),
        }
    }

    pub fn is_connected(&self) -> bool {
        match self {
            Source::Diffusion(source) => source.is_connected(),
            Source::Poll(source) => source.is_connected(),
            Source::Push(source) => source.is_connected(),
            Source::Rooms(source) => source.is_connected(),
        }
    }

    /// Whether the snapshot of a topic came, on this connection or before in the session that goes on.
    pub fn is_loaded(&self, topic: &str) -> bool {
        match self {
            Source::Diffusion(source) => source.is_loaded(topic),
            Source::Poll(source) => source.is_loaded(topic),
            Source::Push(source) => source.is_loaded(topic),
            Source::Rooms(source) => source.is_loaded(topic),
        }
    }

    pub fn asked(&self) -> u32 {
        match self {
            Source::Diffusion(source) => source.asked(),
            Source::Poll(source) => source.asked(),
            Source::Push(source) => source.asked(),
            Source::Rooms(source) => source.asked(),
        }
    }

    /// Of those, the ones that were asked for more than once and never answered.
    pub fn unanswered(&self) -> u32 {
        match self {
            Source::Diffusion(source) => source.unanswered(),
            Source::Poll(_) => 0,
            Source::Push(source) => source.unanswered(),
            // A room that is not answered is lost, and joined anew.
            Source::Rooms(_) => 0,
        }
    }

    /// How what is asked for fares, where that is not the state of a connection.
    pub fn sources(&self, now: Instant) -> Option<SourcesReport> {
        match self {
            Source::Diffusion(_) => None,
            Source::Poll(source) => Some(source.sources(now)),
            Source::Push(_) | Source::Rooms(_) => None,
        }
    }

    /// Bytes that came and are not applied.
    pub fn receive_queue(&self) -> u64 {
        match self {
            Source::Diffusion(source) => source.receive_queue(),
            Source::Poll(source) => source.receive_queue(),
            Source::Push(source) => source.receive_queue(),
            Source::Rooms(source) => source.receive_queue(),
        }
    }

    /// What was skipped or not right, since the beginning.
    pub fn errors(&self) -> u64 {
        match self {
            Source::Diffusion(source) => source.errors(),
            Source::Poll(source) => source.errors(),
            Source::Push(source) => source.errors(),
            Source::Rooms(source) => source.errors(),
        }
    }

    /// From the next connection on, what is received is kept for [`Source::take_received`].
    pub fn keep_received(&mut self) {
        match self {
            Source::Diffusion(source) => source.keep_received(),
            Source::Poll(_) => {}
            Source::Push(_) => {}
            Source::Rooms(source) => source.keep_received(),
        }
    }

    /// Gives what was received since the last time, as the session reads it, with the number of its connection; where each topic has one,
    /// also with the topic, the first time.
    pub fn take_received(&mut self, take: &mut TakeReceived<'_>) {
        match self {
            Source::Diffusion(source) => source.take_received(take),
            Source::Poll(_) => {}
            Source::Push(_) => {}
            Source::Rooms(source) => source.take_received(take),
        }
    }

    /// The message that the last event is from, as it was unpacked; none where events are not from messages that people read.
    pub fn message(&self) -> Option<&[u8]> {
        match self {
            Source::Push(source) => source.message(),
            Source::Diffusion(_) | Source::Poll(_) | Source::Rooms(_) => None,
        }
    }

    /// Connections so far, the one that stands included.
    pub fn connections(&self) -> u64 {
        match self {
            Source::Diffusion(source) => source.connections(),
            Source::Poll(source) => source.connections(),
            Source::Push(source) => source.connections(),
            Source::Rooms(source) => source.connections(),
        }
    }

    /// The permit of [`ConnectionEvent::PermitNeeded`](super::ConnectionEvent) is there.
    pub fn permit(&mut self, now: Instant) {
        match self {
            Source::Diffusion(source) => source.permit(now),
            Source::Poll(source) => source.permit(now),
            Source::Push(source) => source.permit(now),
            Source::Rooms(source) => source.permit(now),
        }
    }

    /// The server sends at least this often.
    pub fn heartbeat(&mut self, every: Duration) {
        match self {
            Source::Diffusion(source) => source.heartbeat(every),
            Source::Poll(_) => {}
            Source::Push(_) => {}
            // Rooms have a heartbeat of their own.
            Source::Rooms(_) => {}
        }
    }

    /// Closes the connection in the protocol's own way, as far as that goes at once.
    pub fn close(&mut self) {
        match self {
            Source::Diffusion(source) => source.close(),
            Source::Poll(source) => source.close(),
            Source::Push(source) => source.close(),
            Source::Rooms(source) => source.close(),
        }
    }
}
