//! Sinks: where committed rows are sent on to, each on a thread of its own that only reads the store.
//!
//! A sink takes rows by `seq`, the match stream always before the bulk stream, and goes on from its own position ([`places`]) whatever
//! ended: so nothing here is in the recorder's way, and one that is down delays neither the recorder nor another. `driver` decides
//! (pure), `thread` carries it out, `tail` reads; a kind of sink is a file here that implements [`Sink`], a section in the configuration
//! and an arm of `sinks::plans`.

mod asker;
mod driver;
#[cfg(feature = "kafka")]
mod kafka;
mod lag;
mod message;
mod ndjson;
mod pace;
mod places;
mod rabbitmq;
mod redis;
mod sinks;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
mod thread;

pub use driver::Timing;
pub(super) use sinks::Sinks;
pub use tail::{Content, Document, Row};

use touchline_common::ipc::messages::data::PerStream;

/// What is special about a kind of sink: how it connects, sends and waits for the broker's word. Called by its thread alone; each call
/// ends within the sink's own timeout. Errors are for people: what happened, where, what to do.
pub trait Sink: Send {
    /// Connects anew, and says where to go on: `held` is how far the recorder knows its rows settled, the broker may know better.
    ///
    /// # Errors
    /// Why there is no connection. It is tried again after a while.
    fn connect(&mut self, held: &Position) -> Result<Position, String>;

    /// Sends rows of one stream in their order and waits until the broker has confirmed or refused them. Never empty. What may be done
    /// while a broker works on them is done by `meanwhile`; a sink that does not wait need not call it.
    fn deliver(&mut self, rows: &[Row], meanwhile: &mut dyn FnMut()) -> Delivery;

    /// Sends documents that changed, the newest version of each. Only where the configuration wants them.
    ///
    /// # Errors
    /// As [`Sink::connect`]; all are sent again after the next connection.
    fn documents(&mut self, _changed: &[Document]) -> Result<(), String> {
        Ok(())
    }

    /// Called now and then while there is nothing to send: for signs of life on the connection.
    ///
    /// # Errors
    /// As [`Sink::connect`]: the connection is no more.
    fn idle(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Opens anew what has a name that another program may have moved, as a log's file. The mark that belongs to the position from now
    /// on, if it is another.
    ///
    /// # Errors
    /// As [`Sink::connect`].
    fn reopen(&mut self) -> Result<Option<String>, String> {
        Ok(None)
    }

    /// Ends the connection: something failed, or the recorder leaves.
    fn disconnect(&mut self);
}

/// How far a sink has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The `seq` up to which each stream's rows are settled.
    pub seq: PerStream<i64>,
    /// Whatever the sink wants to find again with it; empty: nothing.
    pub mark: String,
}

/// What became of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How many of the first ones are settled: confirmed, or refused for good.
    pub settled: usize,
    /// Those of the settled that the broker will never take, by their place, and why. They are set aside and passed over.
    pub refused: Vec<(usize, String)>,
    /// Why it ended before the last; the connection is then made anew.
    pub failure: Option<String>,
    /// The mark that belongs to the settled rows, where it changed.
    pub mark: Option<String>,
}

impl Delivery {
    /// All rows are confirmed.
    pub fn all(rows: &[Row]) -> Delivery {
        Delivery { settled: rows.len(), ..Delivery::default() }
    }

    /// None is, as far as is known.
    pub fn failed(why: impl Into<String>) -> Delivery {
        Delivery { failure: Some(why.into()), ..Delivery::default() }
    }
}
