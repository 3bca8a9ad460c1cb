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

    /// Writes one record.
    pub fn write(&mut self, record: &AuditRecord) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        self.buffer.clear();
        let written = match encode_frame(record, 0, 0, &mut self.buffer) {
            Ok(()) => socket.write_all(&self.buffer).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            log::error!(error = error.as_str(); "audit.off");
            self.socket = None;
        }
    }
}
