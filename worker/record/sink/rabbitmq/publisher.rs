//! A publisher's side of one connection. Pure: bytes and times in, bytes and failures out.
//!
//! `Opening`, step by step, to `Open`; from there messages go out in batches, and each is confirmed, or the batch has failed. A failure
//! ends the connection, whatever it is: the next one publishes again what is not confirmed, so there is one way to try again. Called by
//! the sink that owns the socket.

use super::failure::Failure;
use crate::wire::amqp::{
    Closing, Content, Declare, Frame, Frames, MIN_FRAME, Method, PERSISTENT, PROTOCOL, Properties, Short,
    Table, Tuning, body, heartbeat,
};
use std::time::{Duration, Instant};
use touchline_common::config::Secret;

/// The one channel.
const CHANNEL: u16 = 1;
/// The longest frame that we send or take, in bytes.
const FRAME: u32 = 128 * 1024;
const MECHANISM: &str = "PLAIN";

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) user: String,
    pub(super) password: Secret,
    /// The virtual host.
    pub(super) host: Short,
    pub(super) exchange: Short,
    pub(super) declare: Declare,
    /// A sign of life at least so often, in seconds.
    pub(super) heartbeat: u16,
    /// How long all steps to an open connection may take, and then the confirmations of one batch.
    pub(super) patience: Duration,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message<'m> {
    pub(super) key: Short,
    pub(super) id: Short,
    pub(super) kind: Short,
    pub(super) body: &'m [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening(Step),
    Open,
    Closing,
    Closed,
}

/// What of the opening is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Tune,
    Connection,
    Channel,
    Exchange,
    Confirms,
}

impl Step {
    const fn awaited(self) -> &'static str {
        match self {
            Step::Start => "its greeting",
            Step::Tune => "its answer to the login",
            Step::Connection => "the opening of the virtual host",
            Step::Channel => "the opening of the channel",
            Step::Exchange => "the declaration of the exchange",
            Step::Confirms => "its word on confirmations",
        }
    }
}

#[derive(Debug)]
pub(super) struct Publisher {
    settings: Settings,
    state: State,
    frames: Frames,
    /// What is to be sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// When the opening, or the batch, must be over.
    until: Option<Instant>,
    confirms: Confirms,
    /// The longest frame that both sides take, in bytes.
    frame: usize,
    /// Agreed upon; zero: none.
    heartbeat: Duration,
    heard_at: Instant,
    spoke_at: Instant,
    /// Why the broker takes nothing for now.
    blocked: Option<Short>,
}

impl Publisher {
    /// Over a fresh connection.
    pub(super) fn new(settings: Settings, now: Instant) -> Publisher {
        Publisher {
            until: Some(now + settings.patience),
            settings,
            state: State::Opening(Step::Start),
            frames: Frames::new(FRAME as usize),
            out: PROTOCOL.to_vec(),
            sent: 0,
            confirms: Confirms::default(),
            frame: FRAME as usize,
            heartbeat: Duration::ZERO,
            heard_at: now,
            spoke_at: now,
            blocked: None,
        }
    }

    /// Takes bytes of the broker.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) -> Result<(), Failure> {
        self.heard_at = now;
        self.frames.push(bytes);
        loop {
            let method = match self.frames.next_frame() {
                Ok(Some(Frame::Method(_, method))) => method,
                // Contents come with messages that are returned, which none asks for.
                Ok(Some(Frame::Header(..) | Frame::Body(..) | Frame::Heartbeat)) => continue,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.end(Failure::Amqp(error))),
            };
            if let Err(failure) = self.method(method, now) {
                return Err(self.end(failure));
            }
        }
    }

    /// The broker ended the connection, or it broke.
    pub(super) fn ended(&mut self) -> Failure {
        let step = match self.state {
            State::Opening(step) => step.awaited(),
            State::Open if self.confirms.left > 0 => "a confirmation",
            State::Open | State::Closing | State::Closed => "nothing",
        };
        self.end(Failure::Ended { step })
    }

    /// Lets time pass. Give it what came before.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let patience = self.settings.patience;
        if self.until.is_some_and(|until| now >= until) {
            return match self.state {
                State::Opening(step) => Err(self.end(Failure::Silent { step: step.awaited(), patience })),
                State::Open => {
                    let (count, blocked) = (self.confirms.left, self.blocked.clone());
                    Err(self.end(Failure::Unconfirmed { count, patience, blocked }))
                }
                State::Closing | State::Closed => Ok(()),
            };
        }
        if self.heartbeat.is_zero() || self.state != State::Open {
            return Ok(());
        }
        let silence = now.saturating_duration_since(self.heard_at);
        if silence >= self.heartbeat * 2 {
            return Err(self.end(Failure::Dead { silence }));
        }
        if now >= self.spoke_at + self.heartbeat / 2 {
            heartbeat(&mut self.out);
            self.spoke_at = now;
        }
        Ok(())
    }

    /// When to let time pass again, at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let beats = self.state == State::Open && !self.heartbeat.is_zero();
        let beat = beats.then(|| self.spoke_at + self.heartbeat / 2);
        [self.until, beat].into_iter().flatten().min()
    }

    /// Begins a batch, whose messages follow: the one before is over.
    pub(super) fn begin(&mut self, now: Instant) {
        self.confirms.begin();
        self.until = Some(now + self.settings.patience);
    }

    /// Adds a message to the batch.
    pub(super) fn publish(&mut self, message: &Message<'_>, now: Instant) {
        self.confirms.sent();
        let (exchange, key) = (self.settings.exchange.clone(), message.key.clone());
        Method::Publish { exchange, key }.write(CHANNEL, &mut self.out);
        let properties = Properties {
            content_type: Some(Short::cut("application/json")),
            delivery_mode: Some(PERSISTENT),
            message_id: Some(message.id.clone()),
            kind: Some(message.kind.clone()),
            app_id: Some(Short::cut("touchline")),
        };
        Content { length: message.body.len() as u64, properties }.write(CHANNEL, &mut self.out);
        body(message.body, CHANNEL, self.frame, &mut self.out);
        self.spoke_at = now;
    }

    /// Asks the broker to end the connection; whether there is anything to end.
    pub(super) fn close(&mut self) -> bool {
        if self.state != State::Open {
            return false;
        }
        self.state = State::Closing;
        self.until = None;
        let closing = Closing { code: 200, text: Short::cut("goodbye"), method: (0, 0) };
        Method::Close(closing).write(0, &mut self.out);
        true
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether all messages of the batch are confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.confirms.left == 0
    }

    /// How many of the batch's first messages are confirmed.
    pub(super) fn settled(&self) -> usize {
        self.confirms.settled()
    }

    /// What is to be sent.
    pub(super) fn output(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// So much of it is.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }

    fn end(&mut self, failure: Failure) -> Failure {
        self.state = State::Closed;
        failure
    }

    fn method(&mut self, method: Method, now: Instant) -> Result<(), Failure> {
        match (self.state, method) {
            (_, Method::Close(closing)) => {
                Method::CloseOk.write(0, &mut self.out);
                Err(Failure::Connection(closing))
            }
            (_, Method::ChannelClose(closing)) => {
                Method::ChannelCloseOk.write(CHANNEL, &mut self.out);
                Err(Failure::Channel(closing))
            }
            (_, Method::Blocked { reason }) => {
                self.blocked = Some(reason);
                Ok(())
            }
            (_, Method::Unblocked) => {
                self.blocked = None;
                Ok(())
            }
            (State::Opening(step), answer) => self.opening(step, answer, now),
            (State::Open, Method::Ack { tag, multiple }) => {
                self.confirms.confirmed(tag, multiple)?;
                if self.confirms.left == 0 {
                    self.until = None;
                }
                Ok(())
            }
            (State::Open, Method::Nack { .. }) => Err(Failure::Nacked),
            (State::Closing, Method::CloseOk) => {
                self.state = State::Closed;
                Ok(())
            }
            // What was under way when the connection was closed.
            (State::Closing | State::Closed, _) => Ok(()),
            (State::Open, Method::Other { .. } | Method::Return { .. }) => Ok(()),
            (State::Open, other) => Err(unexpected(&other)),
        }
    }

    fn opening(&mut self, step: Step, answer: Method, now: Instant) -> Result<(), Failure> {
        let next = match (step, answer) {
            (Step::Start, Method::Start { mechanisms, .. }) => {
                if mechanisms.split(' ').all(|offered| offered != MECHANISM) {
                    return Err(Failure::Mechanisms { offered: mechanisms });
                }
                self.login().write(0, &mut self.out);
                Step::Tune
            }
            (Step::Tune, Method::Tune(theirs)) => {
                let tuning = self.tune(theirs)?;
                Method::TuneOk(tuning).write(0, &mut self.out);
                Method::Open { host: self.settings.host.clone() }.write(0, &mut self.out);
                Step::Connection
            }
            (Step::Connection, Method::OpenOk) => {
                Method::ChannelOpen.write(CHANNEL, &mut self.out);
                Step::Channel
            }
            (Step::Channel, Method::ChannelOpenOk) => {
                let Settings { exchange, declare, .. } = &self.settings;
                let (exchange, kind, declare) = (exchange.clone(), Short::cut("topic"), *declare);
                Method::ExchangeDeclare { exchange, kind, declare }.write(CHANNEL, &mut self.out);
                Step::Exchange
            }
            (Step::Exchange, Method::ExchangeDeclareOk) => {
                Method::ConfirmSelect.write(CHANNEL, &mut self.out);
                Step::Confirms
            }
            (Step::Confirms, Method::ConfirmSelectOk) => {
                self.state = State::Open;
                self.until = None;
                return Ok(());
            }
            (_, Method::Other { .. }) => return Ok(()),
            (_, other) => return Err(unexpected(&other)),
        };
        self.spoke_at = now;
        self.state = State::Opening(next);
        Ok(())
    }

    fn login(&self) -> Method {
        let Settings { user, password, .. } = &self.settings;
        let can = ["publisher_confirms", "connection.blocked", "authentication_failure_close"];
        let can = can.iter().fold(Table::default(), |table, name| table.set(&Short::cut(name)));
        let properties = Table::default()
            .text(&Short::cut("product"), "touchline")
            .text(&Short::cut("version"), env!("CARGO_PKG_VERSION"))
            .table(&Short::cut("capabilities"), &can);
        Method::StartOk {
            properties,
            mechanism: Short::cut(MECHANISM),
            response: Secret::new(format!("\0{user}\0{}", password.expose())),
            locale: Short::cut("en_US"),
        }
    }

    /// The lower of what both sides want, where neither says that it wants none.
    fn tune(&mut self, theirs: Tuning) -> Result<Tuning, Failure> {
        let frame = lower(theirs.frame, FRAME);
        if (frame as usize) < MIN_FRAME {
            return Err(Failure::Frame { bytes: frame });
        }
        self.frame = frame as usize;
        let heartbeat = lower(theirs.heartbeat, self.settings.heartbeat);
        self.heartbeat = Duration::from_secs(u64::from(heartbeat));
        Ok(Tuning { channels: CHANNEL, frame, heartbeat })
    }
}

fn lower<T: Ord + Default>(theirs: T, ours: T) -> T {
    if theirs == T::default() {
        ours
    } else if ours == T::default() {
        theirs
    } else {
        theirs.min(ours)
    }
}

fn unexpected(method: &Method) -> Failure {
    let (class, method) = method.id();
    Failure::Unexpected { class, method }
}

/// Which messages of a batch are confirmed. A channel numbers its messages from 1.
#[derive(Debug)]
struct Confirms {
    /// The number of the batch's first message.
    first: u64,
    /// The number of the next message.
    next: u64,
    /// For each message of the batch.
    confirmed: Vec<bool>,
    /// How many are not.
    left: usize,
}

impl Default for Confirms {
    fn default() -> Confirms {
        Confirms { first: 1, next: 1, confirmed: Vec::new(), left: 0 }
    }
}

impl Confirms {
    fn begin(&mut self) {
        self.first = self.next;
        self.confirmed.clear();
        self.left = 0;
    }

    fn sent(&mut self) {
        self.next += 1;
        self.confirmed.push(false);
        self.left += 1;
    }

    /// This message is, or with `multiple` all up to this one; those of batches before have nothing to say any more.
    fn confirmed(&mut self, tag: u64, multiple: bool) -> Result<(), Failure> {
        // With `multiple` zero stands for all that were sent.
        let last = if tag == 0 && multiple { self.next - 1 } else { tag };
        if last >= self.next || (last == 0 && !multiple) {
            return Err(Failure::Tag { tag });
        }
        let from = if multiple { self.first } else { last.max(self.first) };
        for tag in from..=last {
            let place = usize::try_from(tag - self.first).unwrap_or(usize::MAX);
            if let Some(confirmed) = self.confirmed.get_mut(place).filter(|confirmed| !**confirmed) {
                *confirmed = true;
                self.left -= 1;
            }
        }
        Ok(())
    }

    fn settled(&self) -> usize {
        self.confirmed.iter().take_while(|confirmed| **confirmed).count()
    }
}

#[cfg(test)]
mod tests;
