//! A publisher's connections, one after the other: made within a deadline, waited for, ended with a goodbye.

use super::failure::Failure;
use super::link::Link;
use super::publisher::{Message, Publisher, Settings};
use crate::net::{Connector, Progress, Rest, Socket, TlsPlan, Trust};
use crate::wire::amqp::{Declare, Short};
use mio::{Events, Poll, Token, Waker};
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
pub(super) struct Client {
    settings: Settings,
    authority: String,
    poll: Poll,
    connector: Connector,
    attempt: u64,
    link: Option<Link>,
}

impl Client {
    /// As `streams` describes it. Nothing is connected yet.
    ///
    /// # Errors
    /// What of that cannot be used.
    pub(super) fn new(streams: &StreamsConfig) -> Result<Client, String> {
        let url = streams.rabbitmq.parse::<AmqpUrl>().map_err(|error| format!("rabbitmq: {error}"))?;
        let options = &streams.rabbitmq_options;
        let trust = Trust::Authorities { ca_file: options.ca_file.clone() };
        let tls = if url.has_tls { Some(TlsPlan::new(&url.host, &trust)?) } else { None };
        let exchange = if options.exchange.is_empty() { &streams.prefix } else { &options.exchange };
        let poll = Poll::new().map_err(|error| format!("no poller: {error}"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(|error| format!("no waker: {error}"))?;
        let authority = url.authority();
        Ok(Client {
            settings: Settings {
                user: url.user,
                password: options.password.clone(),
                host: Short::cut(&url.vhost),
                exchange: Short::cut(exchange),
                declare: if options.declare { Declare::Durable } else { Declare::Passive },
                heartbeat: u16::try_from(options.heartbeat.get().as_secs()).unwrap_or(u16::MAX),
                patience: options.timeout.get(),
            },
            connector: Connector::new(authority.clone(), tls, SOCKET, Arc::new(waker)),
            authority,
            poll,
            attempt: 0,
            link: None,
        })
    }

    /// Connects, logs in, and makes all ready to publish.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        let socket = self.socket()?;
        self.link = Some(Link::new(socket, Publisher::new(self.settings.clone(), Instant::now())));
        self.turn_until(Publisher::is_open)
    }

    /// Publishes a batch and waits until each message is confirmed. How many of the first ones are, where that fails.
    pub(super) fn publish<'m>(
        &mut self,
        messages: impl Iterator<Item = Message<'m>>,
    ) -> Result<(), (usize, Failure)> {
        if let Some(link) = &mut self.link {
            let now = Instant::now();
            link.publisher.begin(now);
            messages.for_each(|message| link.publisher.publish(&message, now));
        }
        self.turn_until(Publisher::is_settled)
            .map_err(|failure| (self.link.as_ref().map_or(0, |link| link.publisher.settled()), failure))
    }

    /// Takes and gives signs of life.
    pub(super) fn keep_alive(&mut self) -> Result<(), Failure> {
        match &mut self.link {
            Some(link) => link.exchange(Instant::now()).map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn close(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if link.publisher.close() {
            let until = Instant::now() + GOODBYE;
            loop {
                let goes_on = link.exchange(Instant::now()).is_ok() && !link.publisher.is_closed();
                if !goes_on || Instant::now() >= until || wait(&mut self.poll, Some(until)).is_err() {
                    break;
                }
            }
        }
        link.farewell();
    }

    fn socket(&mut self) -> Result<Socket, Failure> {
        let patience = self.settings.patience;
        let until = Instant::now() + patience;
        let mut progress = self.connector.start(self.attempt, self.poll.registry(), Instant::now());
        self.attempt += 1;
        loop {
            match progress {
                Progress::Connected(socket) => return Ok(socket),
                Progress::Failed(why) => {
                    return Err(Failure::Link(format!("no connection to {}: {why}", self.authority)));
                }
                Progress::Pending if Instant::now() >= until => {
                    return Err(Failure::Silent { step: "a connection", patience });
                }
                Progress::Pending => {}
            }
            let next = self.connector.deadline().map_or(until, |deadline| deadline.min(until));
            wait(&mut self.poll, Some(next))?;
            progress = self.connector.advance(self.poll.registry(), Instant::now());
        }
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
