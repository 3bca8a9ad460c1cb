//! Questions to a running daemon over its control socket, as tests ask them.
//!
//! Used by every fixture that starts a daemon: the end-to-end tests, the chaos runner and its matrix.

use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;
use touchline_common::control::{Client, ControlError, Stream};

/// A daemon's control socket.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
    /// How long one answer may take.
    patience: Duration,
}

impl Control {
    /// The daemon at this socket, each answer of which may take so long.
    pub fn new(socket: PathBuf, patience: Duration) -> Control {
        Control { socket, patience }
    }

    /// Asks the daemon.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn request(&self, verb: &str, args: Value) -> Result<Value, ControlError> {
        Client::connect(&self.socket)?.request(verb, arguments(args), self.patience)
    }

    /// Asks the daemon, which must answer.
    ///
    /// # Panics
    /// When it does not.
    #[allow(clippy::panic)]
    pub fn ask(&self, verb: &str, args: Value) -> Value {
        self.request(verb, args).unwrap_or_else(|error| panic!("asking for {verb}: {error}"))
    }

    /// A part of `status`, by its path.
    pub fn status(&self, path: &str) -> Option<Value> {
        self.request("status", json!({})).ok()?.pointer(path).cloned()
    }

    /// Every committed event, line by line.
    ///
    /// # Panics
    /// When they cannot be read.
    #[allow(clippy::expect_used)]
    pub fn event_stream(&self) -> Stream {
        let client = Client::connect(&self.socket).expect("the control socket");
        client.stream("events", arguments(json!({ "since": 0 })), self.patience).expect("the events").1
    }

    /// Every committed event, in their order.
    ///
    /// # Panics
    /// When they cannot be read.
    #[allow(clippy::expect_used)]
    pub fn events(&self) -> Vec<Value> {
        let mut stream = self.event_stream();
        let mut rows = Vec::new();
        while let Some(line) = stream.next_line(Some(self.patience)).expect("the events") {
            rows.push(serde_json::from_slice(&line).expect("an event in JSON"));
        }
        rows
    }
}

fn arguments(args: Value) -> Map<String, Value> {
    match args {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
