//! RabbitMQ: each row a persistent message of a topic exchange, confirmed by the broker.
//!
//! The routing key is `feed.lane.type`, the message's id the row's name (`message`). What AMQP is lies in `wire::amqp`, what a
//! connection does in `publisher`, which is pure; `client` has the waits and `link` the socket. The broker knows nothing of our
//! positions: rows that it has and did not confirm come again with the same id.

mod client;
mod failure;
mod link;
mod publisher;
#[cfg(test)]
pub(super) mod tests;

use super::message::name;
use super::pace::{Blame, Pace, Stop};
use super::{Delivery, Position, Row, Sink};
use crate::wire::amqp::Short;
use client::Client;
use failure::Failure;
use publisher::Message;
use touchline_common::config::StreamsConfig;

#[derive(Debug)]
pub(super) struct RabbitMq {
    streams: StreamsConfig,
    /// Of the store, for the names of rows.
    token: u64,
    /// Made with the first connection.
    client: Option<Client>,
    pace: Pace,
}

impl RabbitMq {
    /// Not connected yet; `token` is the store's.
    pub(super) fn new(streams: &StreamsConfig, token: u64) -> RabbitMq {
        RabbitMq { streams: streams.clone(), token, client: None, pace: Pace::default() }
    }

    fn publish(&mut self, rows: &[Row]) -> Result<(), Stop> {
        let Some(client) = &mut self.client else {
            let why = "there is no connection".to_owned();
            return Err(Stop { settled: 0, blame: Blame::Broker, why });
        };
        client.publish(rows.iter().map(|row| message(row, self.token))).map_err(|(settled, failure)| Stop {
            settled,
            blame: if failure.is_of_message() { Blame::Message } else { Blame::Broker },
            why: failure.to_string(),
        })
    }
}

impl Sink for RabbitMq {
    fn connect(&mut self, held: &Position) -> Result<Position, String> {
        self.disconnect();
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::new(&self.streams)?,
        };
        let opened = self.client.insert(client).open();
        opened.map_err(|failure: Failure| failure.to_string())?;
        Ok(held.clone())
    }

    fn deliver(&mut self, rows: &[Row], _meanwhile: &mut dyn FnMut()) -> Delivery {
        let mut pace = self.pace;
        let delivery = pace.deliver(rows, |part| self.publish(part));
        self.pace = pace;
        delivery
    }

    fn idle(&mut self) -> Result<(), String> {
        self.client.as_mut().map_or(Ok(()), Client::keep_alive).map_err(|failure| failure.to_string())
    }

    fn disconnect(&mut self) {
        if let Some(client) = &mut self.client {
            client.close();
        }
    }
}

fn message(row: &Row, token: u64) -> Message<'_> {
    Message {
        key: routing_key(row),
        id: Short::cut(&name(row, token)),
        kind: Short::cut(&row.kind),
        body: row.json.as_bytes(),
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
