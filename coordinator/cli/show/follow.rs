//! A stream that is followed, also across restarts of whoever answers it.
//!
//! A recorder that is started anew, or a connection that breaks, ends the conversation; it is taken up behind the last row that came, so
//! that none is missing and none comes twice; before one has come, behind the row that was the newest when the stream began, which the
//! answer says. Only the daemon's own end ends it. Callers: `events --follow`, `odds --follow`.

use super::super::Code;
use super::super::ask::Daemon;
use super::super::output::Failure;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use touchline_common::control::{ControlError, Stream};

/// How long a daemon that runs may take until it answers again.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Followed<'d> {
    daemon: &'d Daemon,
    verb: &'static str,
    args: Map<String, Value>,
    stream: Stream,
    /// Of the newest row that came, or that there was when only later ones were asked for.
    last: Option<u64>,
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl<'d> Followed<'d> {
    /// Asks for the stream. Rows come after its answer.
    pub(super) fn begin(
        daemon: &'d Daemon,
        verb: &'static str,
        args: Map<String, Value>,
    ) -> Result<Followed<'d>, Failure> {
        let (answer, stream) = daemon.stream(verb, args.clone())?;
        // Who asks for some of the past asks for it again: none of it has come before a first row has.
        let wants_past = ["since", "limit"].iter().any(|name| args.contains_key(*name));
        let last = numbered(Numbered::deserialize(&answer)).filter(|_| !wants_past);
        Ok(Followed { daemon, verb, args, stream, last })
    }

    /// The next row, however long it takes.
    pub(super) fn next_row(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            match self.stream.next_line(None) {
                Ok(Some(line)) => {
                    self.last = numbered(serde_json::from_slice(&line)).or(self.last);
                    return Ok(line);
                }
                Ok(None) | Err(ControlError::Ended) => self.resume()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next row of a stream that is not followed; `None` at its end.
    pub(super) fn next_of_the_past(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.stream.next_line(Some(timeout))?)
    }

    fn resume(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        if let Some(last) = self.last {
            self.args.insert("since".to_owned(), last.into());
            self.args.remove("limit");
        }
        loop {
            std::thread::sleep(PAUSE);
            match self.daemon.stream(self.verb, self.args.clone()) {
                Ok((_, stream)) => {
                    self.stream = stream;
                    return Ok(());
                }
                // There is no recorder at the moment, or it ends right now.
                Err(Failure::Line(Code::Partial | Code::Failed, _)) if Instant::now() < until => {}
                Err(Failure::Line(Code::NotRunning, _)) => {
                    return Err(Failure::new(Code::NotRunning, "the daemon closed the stream"));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn numbered(read: serde_json::Result<Numbered>) -> Option<u64> {
    read.ok().map(|Numbered { seq }| seq)
}
