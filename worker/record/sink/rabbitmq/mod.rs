//! RabbitMQ: each row a persistent message of a topic exchange, confirmed by the broker.
//!
//! The routing key is `feed.lane.type`, the message's id the row's name (`message`). What AMQP is lies in `wire::amqp`, what a
//! connection does in `publisher`, which is pure; here are the socket (`link`), its waits, and what a failure means for the rows. The
//! broker knows nothing of our positions: rows that it has and did not confirm come again with the same id.

mod failure;
mod link;
mod publisher;
#[cfg(test)]
mod tests;

use super::message::name;
use super::pace::{Blame, Pace, Stop};
use super::{Delivery, Position, Row, Sink};
use crate::net::{Connector, Progress, Rest, TlsPlan, Trust};
use crate::wire::amqp::{Declare, Short};
use failure::Failure;
use link::Link;
use mio::{Events, Poll, Token, Waker};
use publisher::{Message, Publisher, Settings};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::config::{AmqpUrl, StreamsConfig};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(300);
/// The longest wait for the socket before the clock is looked at.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct RabbitMq {
    settings: Settings,
    /// Of the store, for the names of rows.
    token: u64,
    authority: String,
    poll: Poll,
    connector: Connector,
    attempt: u64,
    link: Option<Link>,
    pace: Pace,
}

impl RabbitMq {
    /// As `streams` describes it. Nothing is connected yet.
    ///
    /// # Errors
    /// What of that cannot be used.
    pub fn new(streams: &StreamsConfig, token: u64) -> Result<RabbitMq, String> {
        let url: AmqpUrl = streams.rabbitmq.parse().map_err(|error| format!("rabbitmq: {error}"))?;
        let options = &streams.rabbitmq_options;
        let trust = Trust::Authorities { ca_file: options.ca_file.clone() };
        let tls = if url.has_tls { Some(TlsPlan::new(&url.host, &trust)?) } else { None };
        let exchange = if options.exchange.is_empty() { &streams.prefix } else { &options.exchange };
        let poll = Poll::new().map_err(|error| format!("no poller: {error}"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(|error| format!("no waker: {error}"))?;
        let authority = url.authority();
        Ok(RabbitMq {
            settings: Settings {
                user: url.user,
                password: options.password.clone(),
                host: Short::cut(&url.vhost),
                exchange: Short::cut(exchange),
                declare: if options.declare { Declare::Durable } else { Declare::Passive },
                heartbeat: u16::try_from(options.heartbeat.get().as_secs()).unwrap_or(u16::MAX),
                patience: options.timeout.get(),
            },
            token,
            connector: Connector::new(authority.clone(), tls, SOCKET, Arc::new(waker)),
            authority,
            poll,
            attempt: 0,
            link: None,
            pace: Pace::default(),
        })
    }

    fn open(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + self.settings.patience;
        let mut progress = self.connector.start(self.attempt, self.poll.registry(), Instant::now());
        self.attempt += 1;
        let socket = loop {
            match progress {
                Progress::Connected(socket) => break socket,
                Progress::Failed(why) => {
                    return Err(Failure::Link(format!("no connection to {}: {why}", self.authority)));
                }
                Progress::Pending if Instant::now() >= until => {
                    let patience = self.settings.patience;
                    return Err(Failure::Silent { step: "a connection", patience });
                }
                Progress::Pending => {}
            }
            let next = self.connector.deadline().map_or(until, |deadline| deadline.min(until));
            wait(&mut self.poll, Some(next))?;
            progress = self.connector.advance(self.poll.registry(), Instant::now());
        };
        self.link = Some(Link::new(socket, Publisher::new(self.settings.clone(), Instant::now())));
        self.turn_until(Publisher::is_open)
    }

    /// Goes on until the publisher is so far, or has failed, which it does in time.
    fn turn_until(&mut self, is: impl Fn(&Publisher) -> bool) -> Result<(), Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::Link("there is no connection".to_owned()));
        };
        loop {
            let rest = link.exchange(Instant::now())?;
            if is(&link.publisher) {
                return Ok(());
            }
            match rest {
                Rest::None => wait(&mut self.poll, link.publisher.deadline())?,
                Rest::Some => {}
            }
        }
    }

    fn publish(&mut self, rows: &[Row]) -> Result<(), Stop> {
        if let Some(Link { publisher, .. }) = &mut self.link {
            let now = Instant::now();
            publisher.begin(now);
            for row in rows {
                let message = Message {
                    key: routing_key(row),
                    id: Short::cut(&name(row, self.token)),
                    kind: Short::cut(&row.kind),
                    body: row.json.as_bytes(),
                };
                publisher.publish(&message, now);
            }
        }
        self.turn_until(Publisher::is_settled).map_err(|failure| Stop {
            settled: self.link.as_ref().map_or(0, |link| link.publisher.settled()),
            blame: if failure.is_of_message() { Blame::Message } else { Blame::Broker },
            why: failure.to_string(),
        })
    }
}

impl Sink for RabbitMq {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        self.disconnect();
        self.open().map_err(|failure| failure.to_string())?;
        Ok(held.clone())
    }

    fn deliver(&mut self, rows: &[Row]) -> Delivery {
        let mut pace = self.pace;
        let delivery = pace.deliver(rows, |part| self.publish(part));
        self.pace = pace;
        delivery
    }

    fn disconnect(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.publisher.close() {
            let until = Instant::now() + GOODBYE;
            while link.exchange(Instant::now()).is_ok()
                && !link.publisher.is_closed()
                && Instant::now() < until
                && wait(&mut self.poll, Some(until)).is_ok()
            {}
        }
        link.farewell();
    }
}

/// Waits for the socket, until then at most.
fn wait(poll: &mut Poll, until: Option<Instant>) -> Result<(), Failure> {
    let time = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()).min(LOOK));
    match poll.poll(&mut Events::with_capacity(8), Some(time)) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => {
            Err(Failure::Link(format!("the socket cannot be polled: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// `feed.lane.type`. A dot, or whatever else is no letter, digit, `-` or `_`, is written as `%` and its two digits, so that it makes no
/// word of its own.
fn routing_key(row: &Row) -> Short {
    let mut key = String::new();
    for (place, word) in [row.feed.as_str(), row.lane.as_str(), &row.kind].into_iter().enumerate() {
        if place > 0 {
            key.push('.');
        }
        for byte in word.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                key.push(char::from(byte));
            } else {
                key.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Short::cut(&key)
}
