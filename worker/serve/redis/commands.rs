//! The thread that sends commands: what publishers published, answers to other servers, the pulse.
//!
//! A request of a publisher is one script, so that it is published and retained as a whole and once for its key, whichever gateway a
//! retry comes to. One of which the answer is lost is refused: its publisher tries again. Nothing waits while there is no connection.

use super::request::RESPONSES;
use super::{Address, Came, FIRST, Gone, Loop, Part, back_off, own_channel};
use crate::serve::publish::{Outcome, PublicationId};
use crate::serve::rooms::RoomName;
use ::redis::{Connection, Pipeline, RedisError, Value, pipe};
use serde_json::Value as Json;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

const SCRIPT: &str = include_str!("publish.lua");
/// What is kept in the server.
const KEY: &str = "touchline:gateway:key:";
const RETAINED: &str = "touchline:gateway:retained";
const ORDER: &str = "touchline:gateway:retained:order";
const COUNTS: &str = "touchline:gateway:retained:counts";
/// How long a retry is known as one, seconds.
const KEPT: u64 = 300;
/// Messages that are retained at most, and bytes of them.
const MESSAGES: usize = 20_000;
const BYTES: usize = 32 * 1024 * 1024;
/// Commands that go together at most.
const BATCH: usize = 128;
/// Retained messages that are read together.
const PAGE: usize = 256;
/// How often the pulse goes, at least.
const PULSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) enum Command {
    Publish {
        id: PublicationId,
        key: Option<String>,
        messages: Vec<Message>,
    },
    Respond {
        response: String,
    },
    /// What is retained is to be read.
    Load,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) channel: String,
    pub(super) body: Vec<u8>,
    /// Room, channel and event, if it is retained.
    pub(super) retained: Option<(RoomName, String, String)>,
}

/// Until the loop is gone.
pub(super) fn run(address: &Address, waiting: &Receiver<Command>, uid: &str, to: &Loop) {
    let mut wait = FIRST;
    loop {
        let served = match address.connect() {
            Ok(connection) => serve(connection, waiting, uid, to, &mut wait),
            Err(error) => Ok(error),
        };
        let Ok(why) = served else { return };
        if to.tell(Came::Link(Part::Commands, Err(why.clone()))).is_err() {
            return;
        }
        // What came meanwhile is not kept waiting.
        while let Ok(command) = waiting.try_recv() {
            if refuse(&command, &why, to).is_err() {
                return;
            }
        }
        back_off(&mut wait);
    }
}

/// Until the connection fails, and why it did.
fn serve(
    mut connection: Connection,
    waiting: &Receiver<Command>,
    uid: &str,
    to: &Loop,
    wait: &mut Duration,
) -> Result<String, Gone> {
    to.tell(Came::Link(Part::Commands, Ok(())))?;
    loop {
        let mut batch = match waiting.recv_timeout(PULSE) {
            Ok(command) => vec![command],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Err(Gone),
        };
        batch.extend(waiting.try_iter().take(BATCH));
        if let Err(why) = carry_out(&mut connection, batch, uid, to)? {
            return Ok(why);
        }
        *wait = FIRST;
    }
}

/// # Errors
/// Outside: the loop is gone. Inside: why the connection is of no use any more.
fn carry_out(
    connection: &mut Connection,
    batch: Vec<Command>,
    uid: &str,
    to: &Loop,
) -> Result<Result<(), String>, Gone> {
    let mut asked = pipe();
    asked.cmd("PUBLISH").arg(own_channel(uid)).arg("");
    for command in &batch {
        match command {
            Command::Publish { key, messages, .. } => script(&mut asked, key.as_deref(), messages),
            Command::Respond { response } => _ = asked.cmd("PUBLISH").arg(RESPONSES).arg(response),
            Command::Load => {}
        }
    }
    let replies = match ask(connection, &asked) {
        Ok(replies) => replies,
        Err(error) => {
            let why = error.to_string();
            batch.iter().try_for_each(|command| refuse(command, &why, to))?;
            return Ok(Err(why));
        }
    };
    // The first is the pulse's.
    let mut replies = replies.into_iter().skip(1);
    let mut is_load = false;
    for command in batch {
        match command {
            Command::Publish { id, .. } => to.tell(Came::Published(id, outcome(replies.next().as_ref())))?,
            Command::Respond { .. } => _ = replies.next(),
            Command::Load => is_load = true,
        }
    }
    if is_load {
        match load(connection) {
            Ok(retained) => to.tell(Came::Retained(retained))?,
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    Ok(Ok(()))
}

fn script(asked: &mut Pipeline, key: Option<&str>, messages: &[Message]) {
    let key = key.map(|key| format!("{KEY}{key}")).unwrap_or_default();
    let command = asked.cmd("EVAL").arg(SCRIPT).arg(4).arg(key).arg(RETAINED).arg(ORDER).arg(COUNTS);
    command.arg(KEPT).arg(MESSAGES).arg(BYTES);
    for message in messages {
        command.arg(&message.channel).arg(&message.body);
        match &message.retained {
            Some((room, channel, event)) => {
                let field = Json::from(vec![room.as_str(), channel.as_str()]).to_string();
                command.arg(field).arg(event);
            }
            None => _ = command.arg("").arg(""),
        }
    }
}

fn outcome(reply: Option<&Value>) -> Outcome {
    match reply {
        Some(Value::Int(_)) => Outcome::Accepted,
        Some(Value::ServerError(error)) => {
            let detail = error.details().unwrap_or_default();
            Outcome::Refused(format!("Redis refuses it: {} {detail}: try again", error.code()))
        }
        Some(_) | None => Outcome::Refused("Redis answers in a way that is not understood".to_owned()),
    }
}

/// Everything that is retained, the oldest first.
fn load(connection: &mut Connection) -> Result<Vec<(RoomName, String)>, RedisError> {
    let fields: Vec<String> = ::redis::cmd("ZRANGE").arg(ORDER).arg(0).arg(-1).query(connection)?;
    let mut found = Vec::new();
    for page in fields.chunks(PAGE) {
        let events: Vec<Option<String>> = ::redis::cmd("HMGET").arg(RETAINED).arg(page).query(connection)?;
        for (field, event) in page.iter().zip(events) {
            let named: Option<(String, String)> = serde_json::from_str(field).ok();
            found.extend(named.and_then(|(room, _)| RoomName::new(&room)).zip(event));
        }
    }
    Ok(found)
}

fn refuse(command: &Command, why: &str, to: &Loop) -> Result<(), Gone> {
    match command {
        Command::Publish { id, .. } => {
            let why = format!("Redis does not answer ({why}): try again, with the same Idempotency-Key");
            to.tell(Came::Published(*id, Outcome::Refused(why)))
        }
        // What is retained is asked for again with the next subscription.
        Command::Respond { .. } | Command::Load => Ok(()),
    }
}

/// Errors of the server are among the replies.
fn ask(connection: &mut Connection, asked: &Pipeline) -> Result<Vec<Value>, RedisError> {
    connection.send_packed_command(&asked.get_packed_pipeline())?;
    (0..asked.len()).map(|_| connection.recv_response()).collect()
}
