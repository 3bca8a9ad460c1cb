//! The `payload` and `score` columns, written straight into text, without a tree of JSON values.

use crate::record::ledger::{Color, Payload};
use std::fmt::Write;

// Writing to a string cannot fail, so results of `write!` are dropped throughout.

pub fn push(out: &mut String, payload: &Payload) {
    let _ = match payload {
        Payload::None => write!(out, "{{}}"),
        Payload::Count { n } => write!(out, r#"{{"n":{n}}}"#),
        Payload::Card { color, n } => {
            let color = match color {
                Color::Yellow => "yellow",
                Color::Red => "red",
            };
            write!(out, r#"{{"color":"{color}","n":{n}}}"#)
        }
        Payload::Change { from, to } => {
            write!(out, r#"{{"from":{from},"to":{to},"by":{}}}"#, to.saturating_sub(*from))
        }
        Payload::Period { period } => write!(out, r#"{{"period":{period}}}"#),
        Payload::Place { set, game, index, points } => {
            return push_place(out, *set, *game, *index, *points);
        }
        Payload::Comment { text } => {
            push_member(out, '{', "text", text);
            return out.push('}');
        }
        Payload::Stat { key, text } => {
            push_member(out, '{', "key", key);
            push_member(out, ',', "value", text);
            return out.push('}');
        }
        Payload::Retracted { kind, n } => write!(out, r#"{{"type":"{}","n":{n}}}"#, kind.as_str()),
        Payload::Jump { register, from, to } => {
            out.push_str(r#"{"register":"#);
            push_text(out, register);
            write!(out, r#","from":{from},"to":{to}}}"#)
        }
        Payload::Gap { reason } => write!(out, r#"{{"reason":"{reason}"}}"#),
    };
}

/// Appends `{"home":1,"away":0}`, or nothing.
pub fn push_score(out: &mut String, score: Option<(i64, i64)>) {
    if let Some((home, away)) = score {
        let _ = write!(out, r#"{{"home":{home},"away":{away}}}"#);
    }
}

fn push_place(out: &mut String, set: u8, game: Option<i64>, index: i64, points: Option<(u16, u16)>) {
    out.push('{');
    if set > 0 {
        let _ = write!(out, r#""set":{set},"#);
    }
    if let Some(game) = game {
        let _ = write!(out, r#""game":{game},"#);
    }
    let _ = write!(out, r#""index":{index}"#);
    if let Some((home, away)) = points {
        let shown = |points: u16| if points == 50 { "A".to_owned() } else { points.to_string() };
        let _ = write!(out, r#","points":"{}-{}""#, shown(home), shown(away));
    }
    out.push('}');
}

fn push_member(out: &mut String, before: char, name: &str, value: &str) {
    out.push(before);
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    push_text(out, value);
}

/// Appends `text` as a JSON string.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(plain..at).unwrap_or_default());
        let _ = match byte {
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            _ => write!(out, "\\u{byte:04x}"),
        };
        plain = at + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_as_documented() {
        let mut out = String::new();
        push(&mut out, &Payload::Stat { key: "shots".into(), text: "\"7\"".into() });
        push(&mut out, &Payload::Comment { text: "Goal".into() });
        assert_eq!(out, r#"{"key":"shots","value":"\"7\""}{"text":"Goal"}"#);
    }

    proptest! {
        #[test]
        fn any_text_is_json(text in any::<String>()) {
            let mut out = String::new();
            push_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
