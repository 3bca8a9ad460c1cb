//! The head of an HTTP request or answer, as far as a capture needs it: tolerant, for what is captured was taken.

use crate::wire::websocket::{Deflate, HEAD_LIMIT};

pub(super) struct Head<'a> {
    text: &'a str,
    /// Its bytes, the blank line included.
    pub(super) size: usize,
}

/// The head that `bytes` begin with; `None` if its end is not there yet.
///
/// # Errors
/// Why they are none.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, &'static str> {
    const NO_HTTP: &str = "neither the classic protocol nor HTTP";
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(given, wanted)| given == wanted);
    if !begins(b"GET ") && !begins(b"HTTP/1.") {
        return Err(NO_HTTP);
    }
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LIMIT { Err("a head of HTTP without an end") } else { Ok(None) };
    };
    let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or(NO_HTTP)?;
    Ok(Some(Head { text, size: end + 4 }))
}

impl<'a> Head<'a> {
    /// Its first line.
    pub(super) fn line(&self) -> &'a str {
        self.text.lines().next().unwrap_or_default()
    }

    fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.text.lines().skip(1).filter_map(move |line| {
            let (given, value) = line.split_once(':')?;
            given.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn has(&self, name: &str, wanted: &str) -> bool {
        self.values(name).any(|value| value.to_ascii_lowercase().contains(wanted))
    }

    /// The version that a request's query asks for.
    pub(super) fn version(&self) -> Option<u8> {
        let target = self.line().split(' ').nth(1)?;
        let query = target.split_once('?')?.1;
        query.split('&').find_map(|part| part.strip_prefix("v="))?.parse().ok()
    }

    pub(super) fn deflate(&self) -> Option<Deflate> {
        Deflate::from_answer(&self.values("sec-websocket-extensions").collect::<Vec<_>>().join(", "))
    }
}

/// A request's line without the password in its query.
pub(super) fn masked(line: &str) -> String {
    const NAME: &str = "password=";
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        out.push_str(before);
        out.push('…');
        rest = after.find(['&', ' ']).map_or("", |end| after.get(end..).unwrap_or_default());
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let shown = masked("GET /diffusion?v=4&username=a&password=hunter2&c=1 HTTP/1.1");
        assert_eq!(shown, "GET /diffusion?v=4&username=a&password=…&c=1 HTTP/1.1");
        assert_eq!(masked("GET /?password=x HTTP/1.1"), "GET /?password=… HTTP/1.1");
        assert_eq!(masked("GET / HTTP/1.1"), "GET / HTTP/1.1");
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"GET /d?v=4&t=a HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\nmore";
        for end in 1..whole.len() - 4 {
            assert!(matches!(head(&whole[..end]), Ok(None)), "{end}");
        }
        let head = head(whole).unwrap().unwrap();
        assert_eq!((head.size, head.version()), (whole.len() - 4, Some(4)));
        assert!(head.has("upgrade", "websocket") && !head.has("connection", "upgrade"));
        assert!(super::head(b"POST / HTTP/1.1").is_err());
        assert!(super::head(&[b"GET ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat()).is_err());
    }
}
