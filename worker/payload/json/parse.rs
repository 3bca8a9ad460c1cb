//! JSON text (RFC 8259) to a value within limits.
//!
//! Numbers stay as they are written, of two members with one name the last counts, half of a surrogate pair becomes U+FFFD. What is
//! no JSON is an error with its place; nothing is allocated for what a text claims, only for what it has.

use super::node::{MAX_DEPTH, Members, Node, Size};
use crate::payload::Limits;
use compact_str::CompactString;
use std::fmt;

/// Why a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It is a page.
    Html,
    /// Not UTF-8 from this byte on.
    Utf8 {
        at: usize,
    },
    /// Something else stands at this byte.
    Expected {
        what: &'static str,
        at: usize,
    },
    /// It ends within a value.
    Cut,
    Nodes {
        limit: usize,
    },
    Bytes {
        limit: usize,
    },
    Depth {
        limit: usize,
    },
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Html => f.write_str("it is HTML, not JSON: check the url, and whether it asks for a login"),
            Self::Utf8 { at } => write!(f, "it is not UTF-8 at byte {at}"),
            Self::Expected { what, at } => write!(f, "it is not JSON: expected {what} at byte {at}"),
            Self::Cut => f.write_str("it ends within a value: the answer was cut short, or is no JSON"),
            Self::Nodes { limit } => write!(f, "it has more than {limit} values: raise limits.nodes"),
            Self::Bytes { limit } => write!(f, "it has more than {limit} bytes"),
            Self::Depth { limit } => write!(f, "it is deeper than {limit}: raise limits.depth"),
        }
    }
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(body: &[u8], limits: &Limits) -> Result<Node, JsonError> {
    if body.len() > limits.bytes {
        return Err(JsonError::Bytes { limit: limits.bytes });
    }
    let text = std::str::from_utf8(body).map_err(|error| JsonError::Utf8 { at: error.valid_up_to() })?;
    let mut parser =
        Parser { text, at: 0, size: Size::default(), limits, depth: limits.depth.min(MAX_DEPTH) };
    parser.blank();
    if parser.peek() == Some(b'<') {
        return Err(JsonError::Html);
    }
    let value = parser.value(0)?;
    parser.blank();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    size: Size,
    limits: &'a Limits,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        if self.at >= self.text.len() { JsonError::Cut } else { JsonError::Expected { what, at: self.at } }
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// The value at `at`, which stands within `depth` others.
    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.size.nodes += 1;
        if self.size.nodes > self.limits.nodes {
            return Err(JsonError::Nodes { limit: self.limits.nodes });
        }
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(_) | None => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Node) -> Result<Node, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        Err(if word.starts_with(rest) { JsonError::Cut } else { self.expected("a value") })
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > self.depth {
            return Err(JsonError::Depth { limit: self.depth });
        }
        self.at += 1;
        self.blank();
        Ok(())
    }

    /// Whether another element follows; the bracket that ends them is taken.
    fn goes_on(&mut self, bracket: u8) -> Result<bool, JsonError> {
        self.blank();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blank();
                Ok(true)
            }
            Some(byte) if byte == bracket => {
                self.at += 1;
                Ok(false)
            }
            Some(_) | None => Err(self.expected("`,` or the end of an array or object")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.goes_on(b']')? {
                items.shrink_to_fit();
                return Ok(Node::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.enter(depth)?;
        let mut members = Members::default();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member's name"));
            }
            let name = self.string()?;
            self.blank();
            self.take(b':', "`:`")?;
            self.blank();
            let value = self.value(depth)?;
            members.set(name, value);
            if !self.goes_on(b'}')? {
                return Ok(Node::Object(members));
            }
        }
    }

    fn number(&mut self) -> Result<Node, JsonError> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            Some(_) | None => return Err(self.expected("a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Node::Number(self.text.get(from..self.at).unwrap_or_default().into()))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == from { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// The string at `at`.
    fn string(&mut self) -> Result<CompactString, JsonError> {
        self.at += 1;
        let mut out = CompactString::default();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let end = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            let end = end.ok_or(JsonError::Cut)?;
            out.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) | None => return Err(self.expected("no control character in a text")),
            }
        }
    }

    /// The character that the escape at `at` stands for.
    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let Some(kind) = self.peek() else { return Err(JsonError::Cut) };
        let char = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unit_pair();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// The character of one or two `\u` escapes, of which the first four digits are at `at`.
    fn unit_pair(&mut self) -> Result<char, JsonError> {
        let first = self.unit()?;
        if let 0xd800..0xdc00 = first
            && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"))
        {
            let back = self.at;
            self.at += 2;
            let second = self.unit()?;
            if let 0xdc00..0xe000 = second {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unit(&mut self) -> Result<u32, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests;
