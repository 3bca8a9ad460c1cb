//! Captured conversations: bytes of a capture file in, messages out.
//!
//! [`Dissector`] is the whole of it, [`Recorded`] the same for what a worker recorded: `file` finds the packets, `packet` the TCP segments in them, `stream` puts their
//! streams together, `conversation` reads those as DPT or WebSocket (`search` finds the latter's frames where the beginning
//! is missing), `text` the messages in them, whole or in pieces, `bodies` their bodies. Pure and streaming: memory is
//! bounded whatever the file holds, and what it holds is hostile until proven otherwise. Callers: the verb `dissect`, a
//! fuzz target.

mod bodies;
mod conversation;
mod entry;
mod file;
mod packet;
mod recorded;
mod search;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod upgrade;

pub use bodies::{BODY_MAX, RATIO_MAX};
pub use conversation::Entries;
pub use entry::{Body, ConnectionId, Cut, Ending, Entry, GaveUp, PieceOf, Sender, Topic, Undecoded, What};
pub use file::CaptureError;
pub use recorded::Recorded;

use self::bodies::Bodies;
use self::conversation::Place;
use self::file::CaptureReader;
use self::packet::Passed;
use self::stream::Streams;

#[derive(Default)]
pub struct Dissector {
    reader: CaptureReader,
    streams: Streams,
    bodies: Bodies,
    summary: Summary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub packets: u64,
    /// Of a recording, which has no packets.
    pub records: u64,
    /// Those that were no TCP.
    pub other: u64,
    /// Those on a link of a type that is not known, and the last such type.
    pub unknown_links: Option<(u64, u32)>,
    /// Pieces of IP packets, which are not put together.
    pub fragments: u64,
    /// Packets of which too little was captured to read their heads.
    pub cut: u64,
    pub connections: u64,
    /// Messages that were put together from pieces.
    pub joined: u64,
    pub cancelled: u64,
    /// Messages in pieces of which not all came, or that were given up.
    pub unfinished: u64,
    /// Bytes at the end that are no whole packet.
    pub left_over: usize,
}

impl Dissector {
    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`CaptureError`]: nothing can be read after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut dyn Entries) -> Result<(), CaptureError> {
        let Dissector { reader, streams, bodies, summary } = self;
        reader.feed(bytes);
        while let Some(packet) = reader.next_packet()? {
            summary.packets += 1;
            match packet::segment(packet.link, packet.data) {
                Ok(segment) => streams.segment(&segment, &mut Place::new(packet.at, bodies, summary, out)),
                Err(passed) => summary.pass(passed),
            }
        }
        Ok(())
    }

    /// The file ends: reports what is left.
    ///
    /// # Errors
    /// [`CaptureError::NotACapture`] if it was too short to be one.
    pub fn finish(mut self, out: &mut dyn Entries) -> Result<Summary, CaptureError> {
        self.summary.left_over = self.reader.finish()?;
        let Dissector { streams, bodies, summary, .. } = &mut self;
        streams.finish(&mut Place::new(None, bodies, summary, out));
        Ok(self.summary)
    }
}

impl Summary {
    fn pass(&mut self, passed: Passed) {
        match passed {
            Passed::Link(link) => {
                let (count, _) = self.unknown_links.unwrap_or_default();
                self.unknown_links = Some((count + 1, link));
            }
            Passed::Other => self.other += 1,
            Passed::Fragment => self.fragments += 1,
            Passed::Cut => self.cut += 1,
        }
    }
}
