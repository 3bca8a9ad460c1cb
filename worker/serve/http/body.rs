//! The body that follows a head: how long it is, and its bytes as they arrive. Pure.
//!
//! Each byte is looked at once, however the body is cut: what was read is read no more, and only an unfinished line of at most
//! [`SIZE_LINE`] bytes is left for the next time. Called by a client's state machine.

use super::request::BadRequest;
use memchr::memmem;

/// Bytes of one line that gives a chunk's size.
const SIZE_LINE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum BodyLength {
    None,
    Known(usize),
    Chunked,
}

/// What is to come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// So many bytes of a body whose length was said.
    Rest(usize),
    /// The line with a chunk's size,
    Size,
    /// so many bytes of it,
    Chunk(usize),
    /// the end of its line,
    ChunkEnd,
    /// and, after the one without bytes, the end of all.
    LastEnd,
    Nothing,
}

/// A body that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::serve) struct BodyReader {
    most: usize,
    body: Vec<u8>,
    next: Next,
}

impl BodyReader {
    /// A body of at most `most` bytes.
    ///
    /// # Errors
    /// [`BadRequest::BodyTooLong`].
    pub(in crate::serve) fn new(length: BodyLength, most: usize) -> Result<BodyReader, BadRequest> {
        let next = match length {
            BodyLength::None | BodyLength::Known(0) => Next::Nothing,
            BodyLength::Known(length) if length > most => return Err(BadRequest::BodyTooLong { most }),
            BodyLength::Known(length) => Next::Rest(length),
            BodyLength::Chunked => Next::Size,
        };
        Ok(BodyReader { most, body: Vec::new(), next })
    }

    /// Takes what is the body's from the beginning of `bytes`, and says how many bytes that were.
    ///
    /// # Errors
    /// [`BadRequest::BodyTooLong`], as soon as it is certain, and what is no body.
    pub(in crate::serve) fn take(&mut self, bytes: &[u8]) -> Result<usize, BadRequest> {
        let mut at = 0;
        while let Some(taken) = self.step(bytes.get(at..).unwrap_or_default())? {
            at += taken;
        }
        Ok(at)
    }

    pub(in crate::serve) fn is_whole(&self) -> bool {
        self.next == Next::Nothing
    }

    /// Bytes that are there.
    pub(in crate::serve) fn len(&self) -> usize {
        self.body.len()
    }

    pub(in crate::serve) fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// `None`: more is to come, or nothing more.
    fn step(&mut self, rest: &[u8]) -> Result<Option<usize>, BadRequest> {
        match self.next {
            Next::Nothing => Ok(None),
            Next::Rest(left) => Ok(self.take_bytes(rest, left, Next::Rest, Next::Nothing)),
            Next::Chunk(left) => Ok(self.take_bytes(rest, left, Next::Chunk, Next::ChunkEnd)),
            Next::Size => self.take_size(rest),
            Next::ChunkEnd => self.take_end(rest, Next::Size),
            Next::LastEnd => self.take_end(rest, Next::Nothing),
        }
    }

    fn take_bytes(&mut self, rest: &[u8], left: usize, more: fn(usize) -> Next, then: Next) -> Option<usize> {
        let taken = rest.get(..left).unwrap_or(rest);
        if taken.is_empty() {
            return None;
        }
        self.body.extend_from_slice(taken);
        self.next = if taken.len() == left { then } else { more(left - taken.len()) };
        Some(taken.len())
    }

    fn take_size(&mut self, rest: &[u8]) -> Result<Option<usize>, BadRequest> {
        let line = rest.get(..SIZE_LINE).unwrap_or(rest);
        let Some(end) = memmem::find(line, b"\r\n") else {
            return if line.len() < SIZE_LINE { Ok(None) } else { Err(malformed()) };
        };
        let text = line.get(..end).and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(malformed)?;
        // Nothing is known that could stand behind the size.
        let is_size = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(text, 16).ok().filter(|_| is_size).ok_or_else(malformed)?;
        if self.body.len() + size > self.most {
            return Err(BadRequest::BodyTooLong { most: self.most });
        }
        self.next = if size == 0 { Next::LastEnd } else { Next::Chunk(size) };
        Ok(Some(end + 2))
    }

    /// Trailers are refused: no client of ours sends them.
    fn take_end(&mut self, rest: &[u8], then: Next) -> Result<Option<usize>, BadRequest> {
        match rest {
            [b'\r', b'\n', ..] => {
                self.next = then;
                Ok(Some(2))
            }
            [] | [b'\r'] => Ok(None),
            [_, ..] => Err(malformed()),
        }
    }
}

fn malformed() -> BadRequest {
    BadRequest::Malformed { what: "a body that is not in chunks" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A whole body, and how many bytes it was.
    fn read(bytes: &[u8], most: usize) -> Result<Option<(Vec<u8>, usize)>, BadRequest> {
        let mut reader = BodyReader::new(BodyLength::Chunked, most)?;
        let taken = reader.take(bytes)?;
        Ok(reader.is_whole().then(|| (reader.into_body(), taken)))
    }

    fn read_text(text: &str) -> Result<Option<(String, usize)>, BadRequest> {
        let read = read(text.as_bytes(), 20)?;
        Ok(read.map(|(body, size)| (String::from_utf8(body).unwrap(), size)))
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(read_text("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET"), Ok(Some(("hello!".into(), 21))));
        for part in ["", "5", "5\r\nhel", "5\r\nhello\r", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r"] {
            assert_eq!(read_text(part), Ok(None), "{part:?}");
        }
        for bad in
            ["x\r\n", "+1\r\na", "\r\n", "1;a=b\r\na\r\n", "1\r\nab\r\n", "0\r\nA: b\r\n\r\n", "-1\r\n"]
        {
            assert!(matches!(read_text(bad), Err(BadRequest::Malformed { .. })), "{bad:?}");
        }
        for long in ["15\r\n", "ffffffff\r\n", "14\r\naaaaaaaaaaaaaaaaaaaa\r\n1\r\n"] {
            assert_eq!(read_text(long), Err(BadRequest::BodyTooLong { most: 20 }), "{long:?}");
        }
        assert!(matches!(read_text(&"1".repeat(100)), Err(BadRequest::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn how_it_was_cut_does_not_matter(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 0..6),
            cuts in proptest::collection::vec(1..9_usize, 1..50),
        ) {
            let mut bytes = Vec::new();
            for part in &parts {
                bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                bytes.extend_from_slice(part);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let whole = bytes.len();
            prop_assert_eq!(read(&bytes[..whole - 1], 1_000), Ok(None));
            let mut reader = BodyReader::new(BodyLength::Chunked, 1_000).unwrap();
            let (mut came, mut taken) = (0, 0);
            for cut in cuts.iter().cycle() {
                came = whole.min(came + cut);
                taken += reader.take(&bytes[taken..came]).unwrap();
                prop_assert!(came - taken < SIZE_LINE, "nothing is looked at again");
                prop_assert_eq!(reader.is_whole(), came == whole);
                if came == whole {
                    break;
                }
            }
            prop_assert_eq!((taken, reader.into_body()), (whole, parts.concat()));
        }
    }
}
