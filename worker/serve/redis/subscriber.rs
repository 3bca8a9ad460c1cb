//! The thread that receives what others publish, until the loop is gone. Without a pulse in time the connection counts as dead.

use super::message::{self, OLDEST, PATTERN};
use super::request::{self, REQUESTS};
use super::{Address, Came, FIRST, Gone, Loop, Part, back_off, own_channel};
use std::time::Duration;

/// By when something must have come: the pulse does.
const SILENT: Duration = Duration::from_secs(5);

pub(super) fn run(address: &Address, uid: &str, to: &Loop) {
    let mut wait = FIRST;
    loop {
        let Ok(why) = receive(address, uid, to, &mut wait) else { return };
        if to.tell(Came::Link(Part::Subscription, Err(why))).is_err() {
            return;
        }
        back_off(&mut wait);
    }
}

/// Until the connection fails, and why it did.
fn receive(address: &Address, uid: &str, to: &Loop, wait: &mut Duration) -> Result<String, Gone> {
    let mut connection = match address.connect() {
        Ok(connection) => connection,
        Err(error) => return Ok(error),
    };
    let own = own_channel(uid);
    let mut subscription = connection.as_pubsub();
    let subscribed = subscription
        .set_read_timeout(Some(SILENT))
        .and_then(|()| subscription.psubscribe(PATTERN))
        .and_then(|()| subscription.subscribe(&[OLDEST, REQUESTS, own.as_str()][..]));
    if let Err(error) = subscribed {
        return Ok(error.to_string());
    }
    let mut is_told = false;
    loop {
        let message = match subscription.get_message() {
            Ok(message) => message,
            Err(error) if error.is_timeout() => return Ok("nothing comes, not even the pulse".to_owned()),
            Err(error) => return Ok(error.to_string()),
        };
        let (channel, bytes) = (message.get_channel_name(), message.get_payload_bytes());
        if channel == own {
            // Only now it is sure that what is published comes here.
            if !std::mem::replace(&mut is_told, true) {
                *wait = FIRST;
                to.tell(Came::Link(Part::Subscription, Ok(())))?;
            }
            continue;
        }
        let came = if channel == REQUESTS {
            request::read(bytes).map(Came::Request)
        } else {
            message::read(channel, bytes).map(Came::Message)
        };
        match came {
            Some(came) => to.tell(came)?,
            None => log::debug!(channel = channel, bytes = bytes.len(); "gateway.redis_message_unknown"),
        }
    }
}
