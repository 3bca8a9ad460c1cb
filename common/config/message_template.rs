//! A message to a server as the configuration writes it: any text, most often JSON, with places such as `{TOPIC}`.
//!
//! A place is a word of capital letters, digits and `_` in braces, which no JSON text has; all other braces are the message's own. Invariant:
//! what fills a place inside of a JSON text is escaped for it, so that no topic and no password can change the message's form.

use super::units::as_text;
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessagePart {
    Text(String),
    Place(MessagePlace),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessagePlace {
    /// `{TOPIC}`: one topic, escaped for a JSON text.
    Topic,
    /// `{TOPICS}`: an array of topics.
    Topics,
    /// `{N}`: a number that rises by one with each message.
    Number,
    /// `{USERNAME}` and `{PASSWORD}`: the feed's, escaped for a JSON text.
    Username,
    Password,
    /// `{VALUE}`: what the server sent, as it was written.
    Value,
    /// Any other word: a token that the server sent before, escaped for a JSON text.
    Token(String),
}

impl MessagePlace {
    fn of(word: &str) -> MessagePlace {
        match word {
            "TOPIC" => Self::Topic,
            "TOPICS" => Self::Topics,
            "N" => Self::Number,
            "USERNAME" => Self::Username,
            "PASSWORD" => Self::Password,
            "VALUE" => Self::Value,
            token => Self::Token(token.to_owned()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Topic => "TOPIC",
            Self::Topics => "TOPICS",
            Self::Number => "N",
            Self::Username => "USERNAME",
            Self::Password => "PASSWORD",
            Self::Value => "VALUE",
            Self::Token(name) => name,
        }
    }
}

/// Empty by default: nothing is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageTemplate {
    text: String,
    parts: Vec<MessagePart>,
}

impl MessageTemplate {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn places(&self) -> impl Iterator<Item = &MessagePlace> {
        self.parts.iter().filter_map(|part| match part {
            MessagePart::Text(_) => None,
            MessagePart::Place(place) => Some(place),
        })
    }

    pub fn has(&self, place: &MessagePlace) -> bool {
        self.places().any(|other| other == place)
    }

    /// The text with every place filled by `put`, which appends what stands there.
    pub fn fill(&self, mut put: impl FnMut(&MessagePlace, &mut String)) -> String {
        let mut filled = String::with_capacity(self.text.len() + 64);
        for part in &self.parts {
            match part {
                MessagePart::Text(text) => filled.push_str(text),
                MessagePart::Place(place) => put(place, &mut filled),
            }
        }
        filled
    }
}

/// Appends a text as the inside of a JSON text.
pub fn escape_json(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            control if u32::from(control) < 0x20 => into.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => into.push(plain),
        }
    }
}

impl FromStr for MessageTemplate {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let (mut rest, mut plain) = (text, String::new());
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            match after.split_once('}').filter(|(word, _)| is_word(word)) {
                Some((word, behind)) => {
                    if !plain.is_empty() {
                        parts.push(MessagePart::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(MessagePart::Place(MessagePlace::of(word)));
                    rest = behind;
                }
                None => {
                    plain.push('{');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(MessagePart::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

fn is_word(word: &str) -> bool {
    let is_in_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(is_in_word)
}

impl fmt::Display for MessageTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(MessageTemplate, "a message as text, such as '{\"op\":\"subscribe\",\"topics\":{TOPICS}}'");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_of_capitals_and_other_braces_are_the_messages() {
        let text = r#"{"op":{"a":{}},"t":{TOPICS},"n":{N},"clk":"{CLK}","x":"{a}"}"#;
        let template: MessageTemplate = text.parse().unwrap();
        let places: Vec<&str> = template.places().map(MessagePlace::name).collect();
        assert_eq!(places, ["TOPICS", "N", "CLK"]);
        assert_eq!(template.to_string(), text);
        let filled = template.fill(|place, out| match place {
            MessagePlace::Topics => out.push_str("[]"),
            MessagePlace::Number => out.push('7'),
            MessagePlace::Token(name) => escape_json(&format!("{name}\""), out),
            MessagePlace::Topic | MessagePlace::Username | MessagePlace::Password | MessagePlace::Value => {}
        });
        assert_eq!(filled, r#"{"op":{"a":{}},"t":[],"n":7,"clk":"CLK\"","x":"{a}"}"#);
    }

    #[test]
    fn nothing_is_sent_by_an_empty_one() {
        let template = MessageTemplate::default();
        assert!(template.is_empty() && template.places().next().is_none());
        assert_eq!("".parse(), Ok(template));
    }

    #[test]
    fn an_escaped_text_is_that_text() {
        let text: String = (0..300_u32).filter_map(char::from_u32).collect();
        let mut escaped = String::from("\"");
        escape_json(&text, &mut escaped);
        escaped.push('"');
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
