//! The audit tap: every document as it was applied, for the demo's and the tests' oracle.
//!
//! Off unless `TOUCHLINE_AUDIT` names a Unix socket. One frame per applied [`Publish`]; writes block, so that
//! nothing is missed, but a reader that stalls for [`DEADLINE`] is dropped with a log line.

use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::Publish;

/// The environment variable that names the socket.
pub const VARIABLE: &str = "TOUCHLINE_AUDIT";
/// How long one write may block.
const DEADLINE: Duration = Duration::from_secs(5);

/// One applied rendering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What was applied. A document adopted from a candidate is told as one whole `Publish`.
    pub publish: Publish,
    /// The version that the recorder gave it.
    pub version: u64,
}

impl Message for AuditRecord {
    const KIND: u16 = 0x0401;
}

/// Bytes that are written before the turn is over.
const ENOUGH: usize = 64 * 1024;

/// The tap, connected or off.
#[derive(Debug, Default)]
pub struct Audit {
    socket: Option<UnixStream>,
    buffer: Vec<u8>,
}

impl Audit {
    /// Connects to the socket that [`VARIABLE`] names; without it, or if that fails, the tap is off.
    pub fn from_environment() -> Audit {
        let Some(path) = std::env::var_os(VARIABLE) else {
            return Audit::default();
        };
        let connected = UnixStream::connect(&path)
            .and_then(|socket| socket.set_write_timeout(Some(DEADLINE)).map(|()| socket));
        match connected {
            Ok(socket) => Audit { socket: Some(socket), buffer: Vec::new() },
            Err(error) => {
                log::error!(error:% = error; "audit.off");
                Audit::default()
            }
        }
    }

    /// Whether somebody listens: only then is it worth making a record.
    pub fn is_on(&self) -> bool {
        self.socket.is_some()
    }

    /// Takes one record; [`Audit::flush`] writes it, sooner if many wait.
    pub fn write(&mut self, record: &AuditRecord) {
        if self.socket.is_none() {
            return;
        }
        if let Err(error) = encode_frame(record, 0, 0, &mut self.buffer) {
            self.end(&error.to_string());
        } else if self.buffer.len() >= ENOUGH {
            self.flush();
        }
    }

    /// Writes what was taken.
    pub fn flush(&mut self) {
        let Some(socket) = self.socket.as_mut().filter(|_| !self.buffer.is_empty()) else { return };
        let written = socket.write_all(&self.buffer);
        self.buffer.clear();
        if let Err(error) = written {
            self.end(&error.to_string());
        }
    }

    fn end(&mut self, error: &str) {
        log::error!(error = error; "audit.off");
        self.socket = None;
        self.buffer = Vec::new();
    }
}
