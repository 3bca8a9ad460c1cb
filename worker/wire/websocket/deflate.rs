//! permessage-deflate (RFC 7692): what is agreed upon, and the two contexts.
//!
//! A context is made when it is first needed: one that only listens has no compressor, which is the larger of the two. Both
//! work in steps of [`STEP`] bytes, so that a limit is noticed before the memory is taken.

use super::{Limits, RATIO_FROM, Role, WebSocketError};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a client offers: a compression whose window the server may choose.
pub const OFFER: &str = "permessage-deflate; client_max_window_bits";

const NAME: &str = "permessage-deflate";
/// What a flush ends with, and what is left out on the wire (7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
const STEP: usize = 16 * 1024;
const WINDOW_MAX: u8 = 15;
/// The library has no smaller window. For reading that does no harm, for writing it means not to.
const WINDOW_MIN: u8 = 9;

/// What both sides agreed upon, or what a server wants where the client leaves it the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    pub server_context: Context,
    pub client_context: Context,
    /// The logarithm of the server's window, 8 to 15.
    pub server_window: u8,
    /// The logarithm of the client's window, 8 to 15.
    pub client_window: u8,
}

/// Whether a message may refer to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    #[default]
    Kept,
    Anew,
}

impl Default for Deflate {
    fn default() -> Deflate {
        Deflate {
            server_context: Context::Kept,
            client_context: Context::Kept,
            server_window: WINDOW_MAX,
            client_window: WINDOW_MAX,
        }
    }
}

/// One element of Sec-WebSocket-Extensions. `None` fields were not there.
#[derive(Debug, Default)]
struct Parameters {
    server_context: Context,
    client_context: Context,
    server_window: Option<u8>,
    /// Without a value it says that the other side may choose.
    client_window: Option<Option<u8>>,
}

impl Parameters {
    /// Reads `permessage-deflate; …`; `None` for another extension, or anything odd: it is then to be declined.
    fn parse(element: &str) -> Option<Parameters> {
        let mut parts = element.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut parameters = Parameters::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(window(value.trim().trim_matches('"'))?)),
                None => (part, None),
            };
            let anew = |context: &mut Context| std::mem::replace(context, Context::Anew) == Context::Kept;
            let first = match (name, value) {
                ("server_no_context_takeover", None) => anew(&mut parameters.server_context),
                ("client_no_context_takeover", None) => anew(&mut parameters.client_context),
                ("server_max_window_bits", Some(bits)) => parameters.server_window.replace(bits).is_none(),
                ("client_max_window_bits", bits) => parameters.client_window.replace(bits).is_none(),
                (_, _) => false,
            };
            if !first {
                return None;
            }
        }
        Some(parameters)
    }
}

fn window(value: &str) -> Option<u8> {
    value.parse().ok().filter(|bits| (8..=WINDOW_MAX).contains(bits) && !value.starts_with(['+', '0']))
}

impl Deflate {
    /// What a server's answer to [`OFFER`] says; `None` if it is no answer to that.
    pub(in crate::wire) fn from_answer(header: &str) -> Option<Deflate> {
        let parameters = Parameters::parse(header.trim())?;
        let client_window = match parameters.client_window {
            None => WINDOW_MAX,
            Some(bits) => bits?,
        };
        Some(Deflate {
            server_context: parameters.server_context,
            client_context: parameters.client_context,
            server_window: parameters.server_window.unwrap_or(WINDOW_MAX),
            client_window,
        })
    }

    /// The first of a client's offers that can be taken.
    pub(super) fn from_offers(header: &str, wanted: &Deflate) -> Option<Deflate> {
        header.split(',').find_map(|offer| Deflate::from_offer(offer.trim(), wanted))
    }

    fn from_offer(offer: &str, wanted: &Deflate) -> Option<Deflate> {
        let asked = Parameters::parse(offer)?;
        let server_window =
            asked.server_window.unwrap_or(WINDOW_MAX).min(wanted.server_window.clamp(WINDOW_MIN, WINDOW_MAX));
        if server_window < WINDOW_MIN {
            return None;
        }
        Some(Deflate {
            server_context: asked.server_context.max(wanted.server_context),
            client_context: asked.client_context.max(wanted.client_context),
            server_window,
            client_window: match asked.client_window {
                None => WINDOW_MAX,
                Some(bits) => bits.unwrap_or(WINDOW_MAX).min(wanted.client_window.clamp(8, WINDOW_MAX)),
            },
        })
    }

    pub(super) fn to_answer(self) -> String {
        let mut text = NAME.to_owned();
        if self.server_context == Context::Anew {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_context == Context::Anew {
            text.push_str("; client_no_context_takeover");
        }
        if self.server_window != WINDOW_MAX {
            text.push_str(&format!("; server_max_window_bits={}", self.server_window));
        }
        if self.client_window != WINDOW_MAX {
            text.push_str(&format!("; client_max_window_bits={}", self.client_window));
        }
        text
    }

    /// Window and context of what `role` sends.
    fn sent_by(&self, role: Role) -> (u8, Context) {
        match role {
            Role::Client => (self.client_window, self.client_context),
            Role::Server => (self.server_window, self.server_context),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inflater {
    window: u8,
    context: Context,
    limits: Limits,
    stream: Option<Decompress>,
    /// Compressed bytes of the message so far.
    taken: usize,
}

impl Inflater {
    /// For what comes to `role`.
    pub(super) fn new(deflate: &Deflate, role: Role, limits: Limits) -> Inflater {
        let (window, context) = deflate.sent_by(match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        });
        Inflater { window: window.max(WINDOW_MIN), context, limits, stream: None, taken: 0 }
    }

    /// Inflates a piece of a message onto `out`.
    pub(super) fn more(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), WebSocketError> {
        self.taken += input.len();
        self.inflate(input, out)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), WebSocketError> {
        self.inflate(&TAIL, out)?;
        self.taken = 0;
        if self.context == Context::Anew
            && let Some(stream) = &mut self.stream
        {
            stream.reset(false);
        }
        Ok(())
    }

    fn inflate(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), WebSocketError> {
        let Inflater { window, limits, taken, .. } = *self;
        let most = limits.inflated.min(taken.saturating_mul(limits.ratio).max(RATIO_FROM));
        let stream = self.stream.get_or_insert_with(|| Decompress::new_with_window_bits(false, window));
        loop {
            if out.capacity() - out.len() < STEP {
                // One byte beyond the limit is room enough to see that it is passed.
                let room = STEP.max(out.len()).min((most + 1).saturating_sub(out.len()));
                out.reserve_exact(room.max(64));
            }
            let (before_in, before_out) = (stream.total_in(), out.len());
            let status = stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| WebSocketError::Deflate)?;
            let used = usize::try_from(stream.total_in() - before_in).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            if out.len() > most {
                return Err(too_much(out.len(), &limits));
            }
            match status {
                // A message may end a whole stream of blocks (7.2.3.4); what follows begins another.
                Status::StreamEnd => stream.reset(false),
                Status::Ok | Status::BufError => {
                    let stuck = used == 0 && out.len() == before_out;
                    if stuck && !input.is_empty() {
                        return Err(WebSocketError::Deflate);
                    }
                    if input.is_empty() && (stuck || out.len() < out.capacity()) {
                        return Ok(());
                    }
                }
            }
            if input.is_empty() && status == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

fn too_much(length: usize, limits: &Limits) -> WebSocketError {
    if length > limits.inflated {
        WebSocketError::Inflated { limit: limits.inflated }
    } else {
        WebSocketError::Ratio { limit: limits.ratio }
    }
}

#[derive(Debug)]
pub(super) struct Deflater {
    window: u8,
    context: Context,
    stream: Option<Compress>,
}

impl Deflater {
    /// For what `role` sends; `None` if its window is one that we cannot keep to.
    pub(super) fn new(deflate: &Deflate, role: Role) -> Option<Deflater> {
        let (window, context) = deflate.sent_by(role);
        (window >= WINDOW_MIN).then_some(Deflater { window, context, stream: None })
    }

    /// Appends a message, compressed; without the tail. An empty one is not to be compressed.
    pub(super) fn message(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        let window = self.window;
        let stream = self
            .stream
            .get_or_insert_with(|| Compress::new_with_window_bits(Compression::fast(), false, window));
        loop {
            out.reserve(STEP.max(input.len() / 2));
            let before = stream.total_in();
            // Cannot fail: compressing has no bad input, and there is always room.
            let _ = stream.compress_vec(input, out, FlushCompress::Sync);
            let used = usize::try_from(stream.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            if input.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if self.context == Context::Anew {
            stream.reset();
        }
    }
}
