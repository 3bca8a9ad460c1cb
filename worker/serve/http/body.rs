//! The body that follows a head: how long it is, and whether all of it is there.

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

impl BodyLength {
    /// The body at the beginning of `bytes`, and how many of them are its; `None`: more is to come.
    ///
    /// # Errors
    /// [`BadRequest::BodyTooLong`], as soon as it is certain, and what is no body.
    pub(in crate::serve) fn read(
        self,
        bytes: &[u8],
        most: usize,
    ) -> Result<Option<(Vec<u8>, usize)>, BadRequest> {
        match self {
            BodyLength::None => Ok(Some((Vec::new(), 0))),
            BodyLength::Known(length) if length > most => Err(BadRequest::BodyTooLong { most }),
            BodyLength::Known(length) => Ok(bytes.get(..length).map(|body| (body.to_vec(), length))),
            BodyLength::Chunked => chunks(bytes, most),
        }
    }
}

fn chunks(bytes: &[u8], most: usize) -> Result<Option<(Vec<u8>, usize)>, BadRequest> {
    let malformed = BadRequest::Malformed { what: "a body that is not in chunks" };
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = memmem::find(rest, b"\r\n") else {
            return if rest.len() > SIZE_LINE { Err(malformed) } else { Ok(None) };
        };
        let size =
            rest.get(..line).and_then(|text| std::str::from_utf8(text).ok()).ok_or(malformed.clone())?;
        // Nothing is known that could stand behind the size.
        let is_size = (1..=8).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| is_size).ok_or(malformed.clone())?;
        at += line + 2;
        if body.len() + size > most {
            return Err(BadRequest::BodyTooLong { most });
        }
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        at += size;
        match bytes.get(at..at + 2) {
            None => return Ok(None),
            // Trailers are refused: no client of ours sends them.
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(malformed),
        }
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<(String, usize)>, BadRequest> {
        let read = BodyLength::Chunked.read(text.as_bytes(), 20)?;
        Ok(read.map(|(body, size)| (String::from_utf8(body).unwrap(), size)))
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(read("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET"), Ok(Some(("hello!".into(), 21))));
        for part in ["", "5", "5\r\nhel", "5\r\nhello\r", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\n\r"] {
            assert_eq!(read(part), Ok(None), "{part:?}");
        }
        for bad in
            ["x\r\n", "+1\r\na", "\r\n", "1;a=b\r\na\r\n", "1\r\nab\r\n", "0\r\nA: b\r\n\r\n", "-1\r\n"]
        {
            assert!(matches!(read(bad), Err(BadRequest::Malformed { .. })), "{bad:?}");
        }
        for long in ["15\r\n", "ffffffff\r\n", "14\r\naaaaaaaaaaaaaaaaaaaa\r\n1\r\n"] {
            assert_eq!(read(long), Err(BadRequest::BodyTooLong { most: 20 }), "{long:?}");
        }
        assert!(matches!(read(&"1".repeat(100)), Err(BadRequest::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn how_it_was_cut_does_not_matter(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 0..6),
        ) {
            let mut bytes = Vec::new();
            for part in &parts {
                bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                bytes.extend_from_slice(part);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let whole = bytes.len();
            for cut in 0..whole {
                prop_assert_eq!(BodyLength::Chunked.read(&bytes[..cut], 1_000), Ok(None));
            }
            let read = BodyLength::Chunked.read(&bytes, 1_000);
            prop_assert_eq!(read, Ok(Some((parts.concat(), whole))));
        }
    }
}
