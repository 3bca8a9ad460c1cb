//! Compressed bodies, and the memory that unpacking them takes.
//!
//! A compressed body stands alone: nothing of it is needed for the next. So one inflater and a few buffers serve all decoders of a
//! thread, of which there may be hundreds at rest. Output grows in steps, so that a limit is noticed before the memory is taken.

use super::BodyForm;
use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::cell::RefCell;

const STEP: usize = 16 * 1024;
/// Buffers of each kind that a thread keeps for its decoders, and how large each of them may be.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 256 * 1024;

#[derive(Default)]
struct Kept {
    /// Empty.
    read: Vec<Vec<u8>>,
    /// With what they held: it is written over, so nothing has to be cleared.
    unpacked: Vec<Vec<u8>>,
    inflater: Option<Decompress>,
}

thread_local! {
    static THREAD: RefCell<Kept> = RefCell::default();
}

/// What a thread keeps; nothing at its end, when that is gone.
fn kept<T: Default>(take: impl FnOnce(&mut Kept) -> T) -> T {
    THREAD.try_with(|kept| take(&mut kept.borrow_mut())).unwrap_or_default()
}

fn keep(buffers: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if (1..=KEPT_BYTES).contains(&buffer.capacity()) && buffers.len() < KEPT {
        buffers.push(buffer);
    }
}

/// An empty buffer, with room if the thread keeps one.
pub(super) fn read_buffer() -> Vec<u8> {
    kept(|kept| kept.read.pop()).unwrap_or_default()
}

/// Gives back what [`read_buffer`] gave.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    kept(|kept| keep(&mut kept.read, buffer));
}

/// Why a body was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Damaged,
    TooMuch,
}

/// A body that was compressed.
#[derive(Debug)]
pub(super) struct Unpacked {
    bytes: Vec<u8>,
    /// Of `bytes`, what was unpacked.
    length: usize,
    /// How far it is taken.
    pub(super) at: usize,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        kept(|kept| keep(&mut kept.unpacked, buffer));
    }
}

impl Unpacked {
    /// Unpacks a body of form `form`, whole; what lies behind its end is ignored.
    ///
    /// # Errors
    /// [`Fault::TooMuch`] once there are more than `most` bytes.
    pub(super) fn new(form: BodyForm, input: &[u8], most: usize) -> Result<Unpacked, Fault> {
        let bytes = kept(|kept| kept.unpacked.pop()).unwrap_or_default();
        let mut unpacked = Unpacked { bytes, length: 0, at: 0 };
        match form {
            BodyForm::Plain | BodyForm::Control => {
                unpacked.bytes = input.to_vec();
                unpacked.length = input.len();
            }
            BodyForm::Zlib => {
                let mut stream = kept(|kept| kept.inflater.take()).unwrap_or_else(|| Decompress::new(true));
                let inflated = unpacked.inflate(&mut stream, input, most);
                kept(|kept| kept.inflater = Some(stream));
                inflated?;
            }
            BodyForm::Brotli => unpacked.debrotli(input, most)?,
        }
        Ok(unpacked)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn inflate(&mut self, stream: &mut Decompress, mut input: &[u8], most: usize) -> Result<(), Fault> {
        stream.reset(true);
        loop {
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(input, self.room(most), FlushDecompress::None);
            let status = status.map_err(|_| Fault::Damaged)?;
            let used = usize::try_from(stream.total_in() - before_in).unwrap_or(usize::MAX);
            let made = usize::try_from(stream.total_out() - before_out).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            self.made(made, most)?;
            match status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if used == 0 && made == 0 => return Err(Fault::Damaged),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    fn debrotli(&mut self, input: &[u8], most: usize) -> Result<(), Fault> {
        let alloc = StandardAlloc::default;
        // Strict: no window beyond 16 MB, whatever the body says; the library takes as much of it as there is output.
        let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
        let (mut left, mut at, mut total) = (input.len(), 0, 0);
        loop {
            let room = self.room(most);
            let (mut free, mut made) = (room.len(), 0);
            let result = BrotliDecompressStream(
                &mut left, &mut at, input, &mut free, &mut made, room, &mut total, &mut state,
            );
            self.made(made, most)?;
            match result {
                BrotliResult::ResultSuccess => return Ok(()),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(Fault::Damaged),
            }
        }
    }

    /// Room behind what is unpacked, to one byte beyond `most`: that is enough to see that it is passed.
    fn room(&mut self, most: usize) -> &mut [u8] {
        let end = most.saturating_add(1);
        if self.bytes.len() <= self.length {
            let more = STEP.max(self.length).min(end.saturating_sub(self.length));
            self.bytes.resize(self.length + more, 0);
        }
        let end = end.min(self.bytes.len());
        self.bytes.get_mut(self.length..end).unwrap_or_default()
    }

    fn made(&mut self, made: usize, most: usize) -> Result<(), Fault> {
        self.length = self.length.saturating_add(made);
        if self.length > most { Err(Fault::TooMuch) } else { Ok(()) }
    }
}

/// Appends `body` as `form` writes it.
pub(super) fn pack(form: BodyForm, body: &[u8], out: &mut Vec<u8>) {
    match form {
        BodyForm::Plain | BodyForm::Control => out.extend_from_slice(body),
        BodyForm::Zlib => deflate(body, out),
        BodyForm::Brotli => {
            let mut rest = body;
            // A middle way: batches are short and many.
            let params = BrotliEncoderParams { quality: 4, lgwin: 18, ..BrotliEncoderParams::default() };
            // Neither reading a slice nor writing to a vector fails.
            let _ = brotli::BrotliCompress(&mut rest, out, &params);
        }
    }
}

fn deflate(mut body: &[u8], out: &mut Vec<u8>) {
    let mut stream = Compress::new(Compression::fast(), true);
    loop {
        out.reserve(STEP.max(body.len() / 2));
        let before = stream.total_in();
        // Compressing has no bad input, and there is always room.
        let Ok(status) = stream.compress_vec(body, out, FlushCompress::Finish) else { return };
        let used = usize::try_from(stream.total_in() - before).unwrap_or(usize::MAX);
        body = body.get(used..).unwrap_or_default();
        if status == Status::StreamEnd {
            return;
        }
    }
}
