//! The other end of the recorder's audit tap: every published document goes to the oracle, however often the recorder starts anew.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use touchline_common::ipc::{FrameReader, decode};
use touchline_simulator::{Oracle, Truth};
use touchline_worker::record::audit::AuditRecord;

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;

/// An oracle that listens.
#[derive(Clone)]
pub(crate) struct Auditor(Arc<Mutex<Oracle>>);

impl Auditor {
    /// Listens at `socket` on a thread that ends with the program.
    pub(crate) fn start(socket: &Path, truth: Truth) -> Auditor {
        let listener = UnixListener::bind(socket).expect("listening for the audit tap");
        let auditor = Auditor(Arc::new(Mutex::new(Oracle::new(truth))));
        let shared = auditor.clone();
        // One recorder after another: the next one's store lock comes after the end of the last one's socket.
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| shared.listen(stream)));
        auditor
    }

    /// The oracle.
    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut stream: UnixStream) {
        let mut reader = FrameReader::new(RECORD_LIMIT);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match stream.read(&mut buffer) {
                // A recorder that is killed may leave half a record.
                Ok(0) | Err(_) => return,
                Ok(n) => reader.extend(buffer.get(..n).unwrap_or_default()),
            }
            let mut oracle = self.oracle();
            while let Ok(Some((header, body))) = reader.next_frame() {
                let record: AuditRecord = decode(&header, body).expect("a record of the audit tap");
                let publish = record.publish;
                oracle.published(publish.key.id.as_str(), &publish.sections, publish.extent);
            }
        }
    }
}
