//! The head of an HTTP request or answer, as far as a capture needs it: tolerant, for what is captured was taken.

use crate::wire::websocket::HttpHead;

/// The head that `bytes` begin with, and its size, the blank line included; `None` if its end is not there yet.
///
/// # Errors
/// Why they are none.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(HttpHead<'_>, usize)>, &'static str> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(given, wanted)| given == wanted);
    if !begins(b"GET ") && !begins(b"HTTP/1.") {
        return Err("neither the classic protocol nor HTTP");
    }
    HttpHead::find(bytes).map_err(|_| "a head of HTTP without an end")
}

/// The version that the query of a request's line asks for.
pub(super) fn version(line: &str) -> Option<u8> {
    let query = line.split(' ').nth(1)?.split_once('?')?.1;
    query.split('&').find_map(|part| part.strip_prefix("v="))?.parse().ok()
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
    use crate::wire::websocket::HEAD_LIMIT;

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
        let (head, size) = head(whole).unwrap().unwrap();
        let line = std::str::from_utf8(head.first).unwrap();
        assert_eq!((size, version(line)), (whole.len() - 4, Some(4)));
        assert!(head.has_word("upgrade", "websocket") && !head.has_word("connection", "upgrade"));
        assert!(super::head(b"POST / HTTP/1.1").is_err());
        assert!(super::head(&[b"GET ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat()).is_err());
    }
}
