//! Reads the recorder's document feed: every delivered document goes to who judges it as it comes, however often the recorder
//! starts anew.
//!
//! All that knows the feed's messages is here. What cannot be read ends that
//! recorder's part, and is counted: a reader that stopped early would prove nothing.

use super::{Oracle, OracleReport, Section};
use crate::truth::Truth;
use std::borrow::Cow;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use touchline_common::ipc::messages::feed::{FeedDocument, VARIABLE};
use touchline_common::ipc::{FrameReader, decode_borrowed};

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;
/// Bytes of one read.
const BUFFER: usize = 256 * 1024;

/// Holds delivered documents against a truth.
pub trait DocumentJudge: Send + 'static {
    /// One delivered state of a match, in the order of delivery; of `whole` ones these are all sections.
    fn delivered(&mut self, id: &str, sections: &[Section], whole: bool);
    /// Something was delivered that cannot be read.
    fn unreadable(&mut self, error: &str);
}

/// A judge that reads the feed, usually the oracle.
pub struct Auditor<J = Oracle> {
    socket: PathBuf,
    oracle: Arc<Mutex<J>>,
}

impl<J> Clone for Auditor<J> {
    fn clone(&self) -> Auditor<J> {
        Auditor { socket: self.socket.clone(), oracle: Arc::clone(&self.oracle) }
    }
}

impl Auditor {
    /// The environment variable that names the socket to the recorder.
    pub const VARIABLE: &str = VARIABLE;

    /// As [`Auditor::judged`], by the oracle of a truth.
    ///
    /// # Errors
    /// As [`Auditor::judged`].
    pub fn start(socket: &Path, truth: Truth) -> io::Result<Auditor> {
        Auditor::judged(socket, Oracle::new(truth))
    }

    /// What was found so far.
    pub fn report(&self) -> OracleReport {
        self.oracle().report().clone()
    }
}

impl<J: DocumentJudge> Auditor<J> {
    /// Listens at `socket`, which is made anew, on a thread that ends with the program.
    ///
    /// # Errors
    /// Where the socket cannot be made, or the thread.
    pub fn judged(socket: &Path, judge: J) -> io::Result<Auditor<J>> {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(socket)?;
        let auditor = Auditor { socket: socket.to_owned(), oracle: Arc::new(Mutex::new(judge)) };
        let shared = auditor.clone();
        // One recorder after another: the next one's store lock comes after the end of the last one's socket.
        let listen = move || listener.incoming().flatten().for_each(|stream| shared.read(stream));
        thread::Builder::new().name("audit".to_owned()).spawn(listen)?;
        Ok(auditor)
    }

    /// Where the recorder is to connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The judge, for the comparison at the end.
    pub fn oracle(&self) -> MutexGuard<'_, J> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut stream: UnixStream) {
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
            let document: FeedDocument<'_> =
                decode_borrowed(&header, body).map_err(|error| error.to_string())?;
            let owned = |(name, text): &(Cow<'_, str>, Option<Cow<'_, str>>)| {
                (name.clone().into_owned(), text.clone().map(Cow::into_owned))
            };
            let sections: Vec<Section> = document.sections.iter().map(owned).collect();
            oracle.delivered(document.key.id.as_str(), &sections, document.whole);
        }
        Ok(())
    }
}
