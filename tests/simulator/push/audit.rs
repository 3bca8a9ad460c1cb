//! Reads the recorder's document feed: every delivered document goes to the judge as it comes, however often the recorder starts anew.
//!
//! Sections are held as values, so that only what came is parsed. A recorder that is killed may leave half a record.

use super::judge::{Judgement, PushJudge};
use super::locked;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use touchline_common::ipc::messages::feed::{FeedDocument, VARIABLE};
use touchline_common::ipc::{FrameReader, decode_borrowed};

/// The longest record, bytes: a whole document.
const RECORD_LIMIT: u32 = 64 * 1024 * 1024;
/// Bytes of one read.
const BUFFER: usize = 256 * 1024;
/// What the name of a market's section begins with; its key follows.
const MARKET: &str = "market:";

/// A judge that reads the feed.
#[derive(Clone)]
pub struct PushAuditor {
    socket: PathBuf,
    judge: Arc<Mutex<PushJudge>>,
}

impl PushAuditor {
    /// The environment variable that names the socket to the recorder.
    pub const VARIABLE: &str = VARIABLE;

    /// Listens at `socket`, which must not be there, on a thread that ends with the program.
    ///
    /// # Errors
    /// Where the socket cannot be made, or the thread.
    pub fn start(socket: &Path, judge: PushJudge) -> io::Result<PushAuditor> {
        let listener = UnixListener::bind(socket)?;
        let auditor = PushAuditor { socket: socket.to_owned(), judge: Arc::new(Mutex::new(judge)) };
        let shared = auditor.clone();
        let listen = move || listener.incoming().flatten().for_each(|stream| shared.read(stream));
        thread::Builder::new().name("audit".to_owned()).spawn(listen)?;
        Ok(auditor)
    }

    /// Where the recorder is to connect.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What was found so far.
    pub fn report(&self) -> Judgement {
        locked(&self.judge).report().clone()
    }

    fn read(&self, mut stream: UnixStream) {
        let mut reader = FrameReader::new(RECORD_LIMIT);
        let mut buffer = vec![0; BUFFER];
        let mut held = HashMap::new();
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => reader.extend(buffer.get(..n).unwrap_or_default()),
            }
            if let Err(error) = self.take(&mut reader, &mut held) {
                return locked(&self.judge).unreadable(error);
            }
        }
    }

    fn take(&self, reader: &mut FrameReader, held: &mut HashMap<String, Held>) -> Result<(), String> {
        while let Some((header, body)) = reader.next_frame().map_err(|error| error.to_string())? {
            let document: FeedDocument<'_> =
                decode_borrowed(&header, body).map_err(|error| error.to_string())?;
            let id = document.key.id.as_str();
            let of_match = held.entry(id.to_owned()).or_default();
            if document.whole {
                *of_match = Held::default();
            }
            for (name, text) in &document.sections {
                of_match.put(name, text.as_deref()).map_err(|error| format!("{id} {name}: {error}"))?;
            }
            locked(&self.judge).delivered(id, &of_match.document());
        }
        Ok(())
    }
}

/// A document section by section.
#[derive(Default)]
struct Held {
    /// The head and the tail.
    parts: HashMap<String, Map<String, Value>>,
    markets: Map<String, Value>,
}

impl Held {
    fn put(&mut self, name: &str, text: Option<&str>) -> serde_json::Result<()> {
        match (name.strip_prefix(MARKET), text) {
            (Some(market), Some(text)) => {
                drop(self.markets.insert(market.to_owned(), serde_json::from_str(text)?));
            }
            (Some(market), None) => drop(self.markets.remove(market)),
            (None, Some(text)) => drop(self.parts.insert(name.to_owned(), serde_json::from_str(text)?)),
            (None, None) => drop(self.parts.remove(name)),
        }
        Ok(())
    }

    fn document(&self) -> Value {
        let mut document: Map<String, Value> =
            self.parts.values().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
        document.insert("markets".to_owned(), Value::Object(self.markets.clone()));
        Value::Object(document)
    }
}
