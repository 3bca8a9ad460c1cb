//! The other end of the recorder's audit tap: each published document, held against the truth as it comes.

use super::DemoError;
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use touchline_common::ipc::{FrameReader, decode};
use touchline_simulator::{Oracle, OracleReport, Truth};
use touchline_worker::record::audit::AuditRecord;

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;

/// Listens to the recorder, however often it is started.
pub struct Auditor {
    socket: PathBuf,
    oracle: Arc<Mutex<Oracle>>,
}

impl Auditor {
    /// Listens at `socket` on a thread that ends with the program.
    pub fn start(socket: &Path, truth: Truth) -> Result<Auditor, DemoError> {
        let failed = |error| DemoError::new("listening for the audit tap", error);
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).map_err(failed)?;
        let oracle = Arc::new(Mutex::new(Oracle::new(truth)));
        let shared = Arc::clone(&oracle);
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    listen(stream, &shared);
                }
            })
            .map_err(failed)?;
        Ok(Auditor { socket: socket.to_owned(), oracle })
    }

    /// Where the recorder is to connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What was found so far.
    pub fn report(&self) -> OracleReport {
        self.oracle().report().clone()
    }

    /// The oracle, for the comparison at the end.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One recorder's life. A bad frame ends it, which the counts at the end would show.
fn listen(mut stream: UnixStream, oracle: &Mutex<Oracle>) {
    let mut reader = FrameReader::new(RECORD_LIMIT);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => reader.extend(buffer.get(..n).unwrap_or_default()),
        }
        let mut oracle = oracle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(Some((header, body))) = reader.next_frame() {
            match decode::<AuditRecord>(&header, body) {
                Ok(AuditRecord { publish, .. }) => {
                    oracle.published(publish.key.id.as_str(), &publish.sections, publish.extent);
                }
                Err(error) => {
                    log::error!(error:% = error; "audit.unreadable");
                    return;
                }
            }
        }
    }
}
