//! The other end of the recorder's audit tap: every published document goes to the oracle as it comes, however often the
//! recorder starts anew.
//!
//! What it cannot read ends that recorder's part, and is counted: a tap that stopped early would prove nothing.

use super::{Oracle, OracleReport};
use crate::truth::Truth;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use touchline_common::ipc::{FrameReader, decode};
use touchline_worker::record::audit::AuditRecord;

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;
/// Bytes of one read.
const BUFFER: usize = 256 * 1024;

/// An oracle that listens.
#[derive(Clone)]
pub struct Auditor {
    socket: PathBuf,
    oracle: Arc<Mutex<Oracle>>,
}

impl Auditor {
    /// Listens at `socket`, which is made anew, on a thread that ends with the program.
    ///
    /// # Errors
    /// Where the socket cannot be made, or the thread.
    pub fn start(socket: &Path, truth: Truth) -> io::Result<Auditor> {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(socket)?;
        let auditor = Auditor { socket: socket.to_owned(), oracle: Arc::new(Mutex::new(Oracle::new(truth))) };
        let shared = auditor.clone();
        // One recorder after another: the next one's store lock comes after the end of the last one's socket.
        let listen = move || listener.incoming().flatten().for_each(|stream| shared.listen(stream));
        thread::Builder::new().name("audit".to_owned()).spawn(listen)?;
        Ok(auditor)
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

    fn listen(&self, mut stream: UnixStream) {
        let mut reader = FrameReader::new(RECORD_LIMIT);
        let mut buffer = vec![0; BUFFER];
        loop {
            match stream.read(&mut buffer) {
                // A recorder that is killed may leave half a record.
                Ok(0) | Err(_) => return,
                Ok(n) => reader.extend(buffer.get(..n).unwrap_or_default()),
            }
            if let Err(error) = self.take(&mut reader) {
                return self.oracle().unreadable(&error);
            }
        }
    }

    fn take(&self, reader: &mut FrameReader) -> Result<(), String> {
        let mut oracle = self.oracle();
        while let Some((header, body)) = reader.next_frame().map_err(|error| error.to_string())? {
            let record: AuditRecord = decode(&header, body).map_err(|error| error.to_string())?;
            let publish = record.publish;
            oracle.published(publish.key.id.as_str(), &publish.sections, publish.extent);
        }
        Ok(())
    }
}
