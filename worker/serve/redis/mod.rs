//! Other gateways, servers of Socket.IO and emitters, through a Redis: the channels of the classic adapter.
//!
//! Two threads with the synchronous client, each with a connection that is made anew with back-off: `commands` publishes, `subscriber` receives.
//! A pulse that is sent by the one and received by the other shows that both work; without it this gateway takes nothing from publishers.
//! What publishers send reaches our own clients by the subscription, too: so all gateways have it in the same order. `message` and `request`
//! are pure. Callers: the loop.

mod commands;
mod message;
mod request;
mod subscriber;
#[cfg(test)]
mod tests;

pub(super) use message::Relayed;
pub(super) use request::{ROOMS, Request, all_rooms, no_answers, no_sockets};

use super::publish::{Outcome, Publication, PublicationId, Retain};
use super::rooms::RoomName;
use ::redis::{Client, Connection, IntoConnectionInfo, RedisError};
use commands::Command;
use mio::Waker;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Requests of publishers that wait for the thread.
const WAITING: usize = 1_024;
/// What waits for the loop: a thread that finds it full waits, and a server to which it does not listen breaks off.
const RECEIVED: usize = 4_096;
/// How long a connection, and an answer, may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Before the first attempt is over.
const NOT_YET: &str = "not connected yet";
/// The first wait after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How a Redis is reached.
#[derive(Clone)]
pub(super) struct Address {
    client: Client,
}

/// What came for the loop.
#[derive(Debug)]
pub(super) enum Came {
    Message(Relayed),
    Request(Request),
    /// What became of a publisher's request.
    Published(PublicationId, Outcome),
    /// All that is retained, the oldest first: room, and event as JSON.
    Retained(Vec<(RoomName, String)>),
    /// One of the two connections stands, or why it does not.
    Link(Part, Result<(), String>),
}

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Commands,
    Subscription,
}

#[derive(Debug)]
pub(super) struct Redis {
    commands: SyncSender<Command>,
    came: Receiver<Came>,
    uid: String,
    commands_up: Result<(), String>,
    subscription_up: Result<(), String>,
    /// Whether what is retained was read since the subscription came up.
    is_loaded: bool,
    /// Whether the log has it that there is no connection.
    is_told: bool,
}

/// Where a thread leaves what the loop is to have.
#[derive(Clone)]
struct Loop {
    came: SyncSender<Came>,
    waker: Arc<Waker>,
}

impl Loop {
    /// # Errors
    /// The loop is gone.
    fn tell(&self, came: Came) -> Result<(), Gone> {
        self.came.send(came).map_err(|_| Gone)?;
        self.waker.wake().map_err(|_| Gone)
    }
}

/// The loop is over, so the thread is.
#[derive(Debug)]
struct Gone;

impl Address {
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn new(url: &str, password: Option<&str>) -> Result<Address, String> {
        let failed = |error: RedisError| format!("[gateway] redis: {error}");
        // One provider for the process, whatever other libraries bring along.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut info = url.into_connection_info().map_err(failed)?;
        let mut login = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(password) = password {
            login = login.set_password(password);
        }
        info = info.set_redis_settings(login);
        Ok(Address { client: Client::open(info).map_err(failed)? })
    }

    fn connect(&self) -> Result<Connection, String> {
        let failed = |error: RedisError| error.to_string();
        let connection = self.client.get_connection_with_timeout(ANSWER).map_err(failed)?;
        connection.set_read_timeout(Some(ANSWER)).map_err(failed)?;
        connection.set_write_timeout(Some(ANSWER)).map_err(failed)?;
        Ok(connection)
    }
}

impl Redis {
    /// # Errors
    /// When a thread, or a name for this gateway, cannot be made.
    pub(super) fn start(address: &Address, waker: &Arc<Waker>) -> io::Result<Redis> {
        let uid = super::engine_io::random_id()
            .ok_or_else(|| io::Error::other("the kernel has no random bytes"))?;
        let (commands, waiting) = sync_channel(WAITING);
        let (came, taken) = sync_channel(RECEIVED);
        let to = Loop { came, waker: Arc::clone(waker) };
        let (own, address_of, name) = (to.clone(), address.clone(), uid.clone());
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
        };
        spawn("redis", Box::new(move || commands::run(&address_of, &waiting, &name, &own)))?;
        let (address_of, name) = (address.clone(), uid.clone());
        spawn("subscriber", Box::new(move || subscriber::run(&address_of, &name, &to)))?;
        let not_yet = || Err(NOT_YET.to_owned());
        Ok(Redis {
            commands,
            came: taken,
            uid: uid.to_string(),
            commands_up: not_yet(),
            subscription_up: not_yet(),
            is_loaded: false,
            is_told: false,
        })
    }

    pub(super) fn came(&self) -> Option<Came> {
        self.came.try_recv().ok()
    }

    /// Publishes what a publisher sent; [`Came::Published`] says what became of it.
    ///
    /// # Errors
    /// What became of it, if it is not even tried.
    pub(super) fn publish(&self, id: PublicationId, publication: &Publication) -> Result<(), Outcome> {
        self.is_up().map_err(|why| Outcome::Refused(format!("Redis does not take it ({why}): try again")))?;
        let mut messages = Vec::with_capacity(publication.messages.len());
        for one in &publication.messages {
            let body = message::write(&self.uid, &one.broadcast, one.retain).ok_or_else(|| {
                Outcome::Unusable(
                    "a `message` has a number or a text that other gateways cannot be told".to_owned(),
                )
            })?;
            messages.push(commands::Message {
                channel: message::channel(&one.broadcast.rooms),
                body,
                retained: match one.retain {
                    Retain::Newest => {
                        Some((one.room.clone(), one.channel.clone(), one.broadcast.event.json.to_string()))
                    }
                    Retain::No => None,
                },
            });
        }
        let key = publication.key().map(str::to_owned);
        self.commands.try_send(Command::Publish { id, key, messages }).map_err(|error| match error {
            TrySendError::Full(_) => {
                Outcome::Refused("too many messages wait for Redis: try again".to_owned())
            }
            TrySendError::Disconnected(_) => Outcome::Refused("the gateway is leaving: try again".to_owned()),
        })
    }

    /// Answers what another server asked; an answer for which there is no room is left out, and that server's question runs into its time limit.
    pub(super) fn respond(&self, response: String) {
        if self.commands.try_send(Command::Respond { response }).is_err() {
            log::debug!("gateway.redis_response_left_out");
        }
    }

    /// A connection is there, or is not any more. After the subscription what is retained is asked for, until it is there: what changed before
    /// was not heard.
    pub(super) fn link(&mut self, part: Part, state: Result<(), String>) {
        match part {
            Part::Commands => self.commands_up = state,
            Part::Subscription => {
                self.is_loaded = false;
                self.subscription_up = state;
            }
        }
        if !self.is_loaded && self.is_up().is_ok() && self.commands.try_send(Command::Load).is_err() {
            log::warn!("gateway.redis_busy");
        }
        let error = self.is_up().err().map(str::to_owned);
        match error {
            None => {
                self.is_told = false;
                log::info!("gateway.redis_up");
            }
            Some(error) if !self.is_told && error != NOT_YET => {
                self.is_told = true;
                log::warn!(error = error.as_str(); "gateway.redis_down");
            }
            Some(_) => {}
        }
    }

    /// What is retained came.
    pub(super) fn loaded(&mut self) {
        self.is_loaded = true;
    }

    /// # Errors
    /// Why it is not.
    fn is_up(&self) -> Result<(), &str> {
        for part in [&self.commands_up, &self.subscription_up] {
            part.as_ref().map_err(String::as_str)?;
        }
        Ok(())
    }
}

/// Waits after a failure, between half of it and the whole, so that many gateways do not come at once; the next wait is twice as long.
fn back_off(wait: &mut Duration) {
    // Keys of its hash are the standard library's randomness.
    let random = RandomState::new().build_hasher().finish() % 1_000;
    std::thread::sleep(wait.mul_f64(0.5 + random as f64 / 2_000.0));
    *wait = (*wait * 2).min(LONGEST);
}

/// By which a gateway receives its own pulse.
fn own_channel(uid: &str) -> String {
    format!("{}{uid}#", request::RESPONSES)
}
