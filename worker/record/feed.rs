//! The document feed: documents as they change, for readers that may be slow.
//!
//! A reader's queue is the set of what changed and was not sent, taken match by match: bounded by the number of parts, never in
//! the way of the recorder's loop, and what is sent of a match is always a state that its document had. Called by the loop after
//! each rendering and each turn. Its readers are the gateway, by a channel that the coordinator makes, and the tests' oracle, by the
//! socket that [`VARIABLE`] names.

use super::documents::{DocumentId, Documents, PartId};
use super::store::Snapshot;
use crate::net::Watch;
use hashbrown::HashMap;
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::feed::{FeedEnded, VARIABLE};

/// Encoded bytes that wait for a reader before the next match is taken.
const ENOUGH: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderKind {
    /// It learns of ends, too. It may die at any time, which is told elsewhere.
    Gateway,
    Oracle,
}

#[derive(Debug)]
struct Reader {
    kind: ReaderKind,
    socket: UnixStream,
    watch: Watch,
    out: Vec<u8>,
    written: usize,
    /// Whose documents changed, the longest first.
    order: VecDeque<DocumentId>,
    /// Which parts, each once; `None`: all of it.
    changed: HashMap<DocumentId, Option<Vec<PartId>>, foldhash::fast::RandomState>,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    readers: Vec<Reader>,
}

impl Feed {
    /// Connects the reader whose socket the environment names, if any.
    pub(super) fn from_environment(registry: &Registry, token: Token) -> Feed {
        let mut feed = Feed::default();
        let Some(path) = std::env::var_os(VARIABLE) else { return feed };
        match UnixStream::connect(&path)
            .and_then(|socket| Reader::new(ReaderKind::Oracle, socket, registry, token))
        {
            Ok(reader) => feed.readers.push(reader),
            Err(error) => log::error!(error:% = error; "feed.off"),
        }
        feed
    }

    /// Takes the gateway's channel in the place of the one before, and sends it all documents.
    pub(super) fn attach(&mut self, fd: OwnedFd, documents: &Documents, registry: &Registry, token: Token) {
        self.readers.retain(|reader| reader.kind != ReaderKind::Gateway);
        match Reader::new(ReaderKind::Gateway, UnixStream::from(fd), registry, token) {
            Ok(mut reader) => {
                for id in documents.ids() {
                    *reader.entry(id) = None;
                }
                self.readers.push(reader);
            }
            Err(error) => log::error!(error:% = error; "feed.off"),
        }
    }

    /// Whether there is a reader: only then is it worth noting what changed.
    pub(super) fn is_read(&self) -> bool {
        !self.readers.is_empty()
    }

    pub(super) fn changed(&mut self, id: DocumentId, parts: &[PartId]) {
        for reader in &mut self.readers {
            let Some(known) = reader.entry(id) else { continue };
            for part in parts {
                if !known.contains(part) {
                    known.push(*part);
                }
            }
        }
    }

    /// A document is another one: all of it is to be sent.
    pub(super) fn replaced(&mut self, id: DocumentId) {
        for reader in &mut self.readers {
            *reader.entry(id) = None;
        }
    }

    /// A document is about to be forgotten: what was not sent of it is encoded now.
    pub(super) fn ends(&mut self, id: DocumentId, documents: &Documents) {
        for reader in &mut self.readers {
            if let Some(changed) = reader.changed.remove(&id) {
                reader.encode(id, changed.as_deref(), documents);
            }
        }
    }

    /// A match is over: this was the last of its document, of which everything before is encoded.
    pub(super) fn ended(&mut self, last: &Snapshot) {
        let (key, updated_at) = (last.key.clone(), last.stamp.updated_at);
        let message = FeedEnded { key, epoch: last.epoch, version: last.version, updated_at };
        for reader in self.readers.iter_mut().filter(|reader| reader.kind == ReaderKind::Gateway) {
            if let Err(error) = encode_frame(&message, 0, 0, &mut reader.out) {
                log::error!(error:% = error; "feed.not_sent");
            }
        }
    }

    /// Sends what readers take; one whose socket fails is dropped.
    pub(super) fn flush(&mut self, documents: &Documents, registry: &Registry) {
        self.readers.retain_mut(|reader| match reader.flush(documents, registry) {
            Ok(()) => true,
            Err(error) => {
                match reader.kind {
                    ReaderKind::Gateway => log::debug!(error:% = error; "feed.gateway_gone"),
                    ReaderKind::Oracle => log::error!(error:% = error; "feed.off"),
                }
                false
            }
        });
    }
}

impl Reader {
    fn new(kind: ReaderKind, socket: UnixStream, registry: &Registry, token: Token) -> io::Result<Reader> {
        socket.set_nonblocking(true)?;
        let watch = Watch::new(registry, socket.as_raw_fd(), token)?;
        let (out, written) = (Vec::new(), 0);
        Ok(Reader { kind, socket, watch, out, written, order: VecDeque::new(), changed: HashMap::default() })
    }

    fn entry(&mut self, id: DocumentId) -> &mut Option<Vec<PartId>> {
        let Reader { order, changed, .. } = self;
        changed.entry(id).or_insert_with(|| {
            order.push_back(id);
            Some(Vec::new())
        })
    }

    fn flush(&mut self, documents: &Documents, registry: &Registry) -> io::Result<()> {
        loop {
            while self.out.len() - self.written < ENOUGH
                && let Some(id) = self.order.pop_front()
            {
                // One that ended meanwhile was sent then.
                if let Some(changed) = self.changed.remove(&id) {
                    self.encode(id, changed.as_deref(), documents);
                }
            }
            let waiting = self.out.get(self.written..).unwrap_or_default();
            if waiting.is_empty() {
                break;
            }
            match self.socket.write(waiting) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.out.drain(..self.written);
            self.written = 0;
        }
        self.watch.unsent(registry, self.out.len())
    }

    fn encode(&mut self, id: DocumentId, parts: Option<&[PartId]>, documents: &Documents) {
        if let Some(message) = documents.message(id, parts)
            && let Err(error) = encode_frame(&message, 0, 0, &mut self.out)
        {
            log::error!(error:% = error; "feed.not_sent");
        }
    }
}
