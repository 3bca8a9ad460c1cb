//! A record as one line, as text or as JSON.
//!
//! Invariants: at most [`MAX_LINE`] bytes with the newline, cut on a character's boundary and then marked `cut`; the only
//! newline is the last byte; text that is no plain word is quoted and escaped. So no value can look like another key or
//! another line, whatever a feed sends.

use super::{LogFormat, Who};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use std::fmt::{self, Write as _};
use std::io;

/// The longest line with its newline: what a pipe takes in one piece.
pub const MAX_LINE: usize = 4096;

const RESERVE: usize = 32;

/// The name of a record whose message is text and no event's name: a dependency's, for instance.
const PLAIN_MESSAGE: &str = "log.message";

/// Writes the line of `record`.
pub(super) fn write(
    out: &mut impl io::Write,
    time: jiff::Timestamp,
    who: Who,
    format: LogFormat,
    record: &Record<'_>,
) -> io::Result<()> {
    let message = raw(format_args!("{}", record.args())).text;
    let mut line = Line::begin(time, record.level(), who, format, &message);
    // A source that fails midway leaves the pairs that came before.
    let _ = record.key_values().visit(&mut line);
    out.write_all(line.finish().as_bytes())
}

struct Line {
    text: String,
    format: LogFormat,
    cut: bool,
}

impl Line {
    fn begin(time: jiff::Timestamp, level: Level, who: Who, format: LogFormat, message: &str) -> Self {
        let named = is_name(message);
        let name = if named { message } else { PLAIN_MESSAGE };
        let text = match format {
            LogFormat::Line => format!("{time:.6} {level:<5} {who} {name}"),
            LogFormat::Json => {
                format!(r#"{{"ts":"{time:.6}","level":"{level}","who":"{who}","event":"{name}""#)
            }
        };
        let mut line = Self { text, format, cut: false };
        if !named {
            line.pair("text", &Shape::Text(message), false);
        }
        line
    }

    /// Adds a pair, or as much of it as there is room for. `more`: the value was longer than what is given.
    fn pair(&mut self, key: &str, value: &Shape<'_>, more: bool) {
        let key = plain_key(key, self.format);
        // Separator, key, quotes and an equals sign or colon.
        let room = (MAX_LINE - RESERVE).saturating_sub(self.text.len() + key.len() + 8);
        if self.cut || room < 16 {
            self.cut = true;
            return;
        }
        let _ = match self.format {
            LogFormat::Line => write!(self.text, " {key}="),
            LogFormat::Json => write!(self.text, r#","{key}":"#),
        };
        let quoted = match (value, self.format) {
            (Shape::Bare(_), _) => false,
            (Shape::Text(_), LogFormat::Json) => true,
            (Shape::Text(text), LogFormat::Line) => more || needs_quotes(text),
        };
        let (Shape::Bare(text) | Shape::Text(text)) = value;
        if !quoted && text.len() <= room {
            self.text.push_str(text);
            return;
        }
        self.text.push('"');
        self.cut = !escape(&mut self.text, text, room) || more;
        self.text.push('"');
    }

    fn finish(mut self) -> String {
        self.text.push_str(match (self.format, self.cut) {
            (LogFormat::Line, false) => "\n",
            (LogFormat::Line, true) => " cut=true\n",
            (LogFormat::Json, false) => "}\n",
            (LogFormat::Json, true) => ",\"cut\":true}\n",
        });
        self.text
    }
}

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(Pair { line: self, key: key.as_str() })
    }
}

/// How a value is written: numbers and the like as they are, text quoted where it must be.
enum Shape<'t> {
    Bare(&'t str),
    Text(&'t str),
}

struct Pair<'l, 'k> {
    line: &'l mut Line,
    key: &'k str,
}

impl Pair<'_, '_> {
    fn bare(&mut self, value: fmt::Arguments<'_>) -> Result<(), kv::Error> {
        self.line.pair(self.key, &Shape::Bare(&raw(value).text), false);
        Ok(())
    }

    fn any(&mut self, value: fmt::Arguments<'_>) -> Result<(), kv::Error> {
        let Raw { text, cut } = raw(value);
        self.line.pair(self.key, &Shape::Text(&text), cut);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Pair<'_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.any(format_args!("{value}"))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.bare(format_args!("null"))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.bare(format_args!("{value}"))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.bare(format_args!("{value}"))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        if value.is_finite() { self.bare(format_args!("{value}")) } else { self.any(format_args!("{value}")) }
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.bare(format_args!("{value}"))
    }
}

/// A value's text, at most so much of it as a line can hold.
struct Raw {
    text: String,
    cut: bool,
}

impl fmt::Write for Raw {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(MAX_LINE - self.text.len());
        self.text.push_str(text.get(..end).unwrap_or_default());
        self.cut = end < text.len();
        // The error stops the value's own formatting: a megabyte is never built up to be thrown away.
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

fn raw(value: fmt::Arguments<'_>) -> Raw {
    let mut raw = Raw { text: String::new(), cut: false };
    let _ = raw.write_fmt(value);
    raw
}

/// An event's name: `match.live`.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed)
}

fn plain_key(key: &str, format: LogFormat) -> String {
    let key = if key == "match_id" { "match" } else { key };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut plain: String = key.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
    // An object's own members must stay single.
    if format == LogFormat::Json && matches!(plain.as_str(), "ts" | "level" | "who" | "event" | "cut") {
        plain.push('_');
    }
    plain
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.chars().any(|c| matches!(c, ' ' | '"' | '=' | '\\') || is_unsafe(c))
}

/// What could break a line, move a terminal's cursor or turn the order of what is read.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Appends `text` escaped as JSON does, at most `room` bytes, whole characters only. Gives whether all of it found room.
fn escape(out: &mut String, text: &str, room: usize) -> bool {
    let end = out.len() + room;
    for c in text.chars() {
        let before = out.len();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
        if out.len() > end {
            out.truncate(before);
            return false;
        }
    }
    true
}
