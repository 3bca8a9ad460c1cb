//! What a topic that only the login asked for may say: that the server refuses the session, `F|ER;RT=2;IT=S_1;|`.
//!
//! One recording knows it, so little is read into it: only a load whose root node is an error counts. Callers: the scanning
//! loop and the probe, which know whose topic it is.

use memchr::memchr;

/// The type of a node that states an error.
const ERROR: &[u8] = b"ER";

/// Why the server refuses the session, its own word for it (`RT`, empty if it has none); `None` if this load does not say so.
pub fn session_error(body: &[u8]) -> Option<&[u8]> {
    let nodes = body.strip_prefix(b"F|")?;
    let root = memchr(b'|', nodes).and_then(|end| nodes.get(..end)).unwrap_or(nodes);
    let mut attributes = root.split(|byte| *byte == b';');
    attributes.next().filter(|kind| *kind == ERROR)?;
    Some(attributes.find_map(|attribute| attribute.strip_prefix(b"RT=")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_as_the_root_of_a_load_and_nothing_else() {
        assert_eq!(session_error(b"F|ER;RT=2;IT=S_1;|"), Some(&b"2"[..]));
        assert_eq!(session_error(b"F|ER;IT=S_1;RT=x y;|"), Some(&b"x y"[..]));
        assert_eq!(session_error(b"F|ER;|"), Some(&b""[..]));
        assert_eq!(session_error(b"F|ER"), Some(&b""[..]));
        for other in [
            &b""[..],
            b"F",
            b"F|",
            b"F||",
            b"U|ER;RT=2;|",
            b"F|ERR;RT=2;|",
            b"F|IN;TI=1;|ER;RT=2;|",
            b"F|EV;NA=ER;|",
            b"ER;RT=2;|",
        ] {
            assert_eq!(session_error(other), None, "{}", other.escape_ascii());
        }
    }
}
