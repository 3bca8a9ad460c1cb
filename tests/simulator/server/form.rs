//! How a message is written for a client: plain or encoded, whole or in pieces.
//!
//! A message is written once for all who take it alike, and the same bytes are appended to each one's queue.

use super::connection::Connection;
use crate::options::{BodyEncoding, Options};
use slab::Slab;
use touchline_worker::wire::diffusion::{
    BodyEncoder, CAN_BASE64, CAN_COMPRESSED, EncodeError, Encoding, FragmentOf, FrameWriter, MessageType,
    Part, TopicRef, write_fragments,
};

/// What a client can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Bodies as they are.
    Plain,
    /// Bodies as this server writes them.
    Encoded,
}

/// One message as it is sent: a frame, or several.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
}

/// Writes messages.
pub(super) struct Forms {
    encoding: Encoding,
    fragment_above: Option<usize>,
    encoder: BodyEncoder,
    body: Vec<u8>,
    correlation: u64,
    plain: Frames,
    encoded: Frames,
}

impl Forms {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            encoding: match options.encoding {
                BodyEncoding::None => Encoding::Plain,
                BodyEncoding::Zlib => Encoding::Compressed,
                BodyEncoding::Base64 => Encoding::Base64,
            },
            fragment_above: options.fragment_above,
            encoder: BodyEncoder::default(),
            body: Vec::new(),
            correlation: 0,
            plain: Frames::default(),
            encoded: Frames::default(),
        }
    }

    /// What a client with these capability bits takes.
    pub(super) fn takes(&self, capabilities: u8) -> Takes {
        let bit = match self.encoding {
            Encoding::Compressed => CAN_COMPRESSED,
            Encoding::Base64 => CAN_BASE64,
            Encoding::Plain
            | Encoding::EncryptionRequested
            | Encoding::CompressionRequested
            | Encoding::Base64Requested
            | Encoding::Encrypted
            | Encoding::Unknown(_) => return Takes::Plain,
        };
        if capabilities & bit == 0 { Takes::Plain } else { Takes::Encoded }
    }

    /// Writes a message in every form that some client takes.
    fn write(&mut self, kind: MessageType, topic: TopicRef<'_>, body: &[u8]) -> Result<(), EncodeError> {
        self.correlation += 1;
        let correlation = self.correlation.to_string();
        let of = FragmentOf { kind, encoding: Encoding::Plain, topic, correlation: correlation.as_bytes() };
        self.plain.write(&of, body, self.fragment_above)?;
        if self.encoding != Encoding::Plain {
            self.body.clear();
            self.encoder.encode(self.encoding, body, &mut self.body);
            let of = FragmentOf { encoding: self.encoding, ..of };
            self.encoded.write(&of, &self.body, self.fragment_above)?;
        }
        Ok(())
    }

    /// Writes a message and queues it for all of these.
    pub(super) fn deliver(
        &mut self,
        connections: &mut Slab<Connection>,
        to: &[usize],
        kind: MessageType,
        topic: TopicRef<'_>,
        body: &[u8],
    ) {
        if let Err(error) = self.write(kind, topic, body) {
            return log::error!("simulator.write {topic:?}: {error}");
        }
        for at in to {
            if let Some(connection) = connections.get_mut(*at) {
                connection.push(self.written(connection.takes));
            }
        }
    }

    /// The message that was written last, as such a client takes it.
    fn written(&self, takes: Takes) -> &Frames {
        match takes {
            Takes::Plain => &self.plain,
            Takes::Encoded => &self.encoded,
        }
    }
}

impl Frames {
    fn write(&mut self, of: &FragmentOf<'_>, body: &[u8], above: Option<usize>) -> Result<(), EncodeError> {
        self.bytes.clear();
        self.ends.clear();
        match above {
            Some(above) if body.len() > above => {
                let ends = &mut self.ends;
                write_fragments(&mut self.bytes, of, body, above, |bytes| ends.push(bytes.len()))
            }
            Some(_) | None => {
                FrameWriter::dpt_with(&mut self.bytes, of.kind, Part::Whole, of.encoding)
                    .topic(of.topic)
                    .body(body)?;
                self.ends.push(self.bytes.len());
                Ok(())
            }
        }
    }
}
