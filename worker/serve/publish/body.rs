//! The body of `POST /pub`: `{itemId, channel, message}` as JSON, an array of them, or a form as PHP's `http_build_query` and browsers write it.
//!
//! A message in JSON is passed through unchanged. In a form all values are texts, and `message[price]=5` is a member of an object; a number of
//! brackets alone, from 0 without holes, is an array.

use crate::serve::http::decode_form;
use crate::serve::rooms::{Broadcast, Emitted, RoomName};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Messages of one request at most.
const MESSAGES: usize = 1_000;
/// Arrays and objects within each other at most, of a message: whoever reads it has a bound, too.
const NESTED: usize = 100;
/// Bytes of a channel's name at most.
const CHANNEL: usize = 128;
/// Fields of a form at most, and how deep its brackets go.
const FIELDS: usize = 10_000;
const DEPTH: usize = 16;

/// One message to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Published {
    pub broadcast: Broadcast,
    pub room: RoomName,
    pub channel: String,
    pub retain: Retain,
}

/// Whether the message is kept for who joins later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Retain {
    No,
    Newest,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "itemId", borrow)]
    item_id: Id<'a>,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default)]
    retain: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Integer(i64),
    Number(f64),
}

/// # Errors
/// What is wrong with it.
pub(in crate::serve) fn read(
    kind: Option<&str>,
    body: &[u8],
    retain: Retain,
) -> Result<Vec<Published>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is no UTF-8".to_owned())?;
    if kind.is_some_and(|kind| kind.trim_start().starts_with("application/x-www-form-urlencoded")) {
        return form(text, retain).map(|published| vec![published]);
    }
    let wrong = |error: serde_json::Error| format!("the body is not {{itemId, channel, message}}: {error}");
    let entries: Vec<Entry<'_>> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(text).map_err(wrong)?,
        false => vec![serde_json::from_str(text).map_err(wrong)?],
    };
    if entries.len() > MESSAGES {
        return Err(format!("more than {MESSAGES} messages"));
    }
    let published = entries.iter().map(|entry| {
        let retain = if entry.retain { Retain::Newest } else { retain };
        published(&entry.item_id.text(), &entry.channel, entry.message.get(), retain)
    });
    published.collect()
}

impl Id<'_> {
    /// A number is the room of its digits.
    fn text(&self) -> String {
        match self {
            Id::Text(text) => text.to_string(),
            Id::Integer(number) => number.to_string(),
            Id::Number(number) => number.to_string(),
        }
    }
}

fn published(item: &str, channel: &str, message: &str, retain: Retain) -> Result<Published, String> {
    let room = RoomName::new(item).ok_or("`itemId` is not a text of 1 to 128 bytes")?;
    if !(1..=CHANNEL).contains(&channel.len()) {
        return Err(format!("`channel` is not a text of 1 to {CHANNEL} bytes"));
    }
    if depth(message) > NESTED {
        return Err(format!("`message` has more than {NESTED} arrays and objects within each other"));
    }
    let broadcast = Broadcast::to_room(&room, Emitted::new(channel, message));
    Ok(Published { broadcast, room, channel: channel.to_owned(), retain })
}

/// How deep arrays and objects lie within each other.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !is_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn form(text: &str, retain: Retain) -> Result<Published, String> {
    let mut whole = Value::Object(Map::new());
    for (count, field) in text.split('&').filter(|field| !field.is_empty()).enumerate() {
        if count >= FIELDS {
            return Err(format!("more than {FIELDS} fields"));
        }
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let decoded = decode_form(name).zip(decode_form(value));
        let (name, value) = decoded.ok_or("a field that cannot be decoded")?;
        set(&mut whole, &path(&name)?, value)?;
    }
    let whole = arrays(whole);
    let text = |name: &str| match whole.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) | None => Err(format!("no field `{name}` with a text")),
    };
    let message = whole.get("message").ok_or("no field `message`")?.to_string();
    let retain = match whole.get("retain").and_then(Value::as_str) {
        Some("true" | "1") => Retain::Newest,
        Some(_) | None => retain,
    };
    published(text("itemId")?, text("channel")?, &message, retain)
}

/// `a[b][]` as `a`, `b` and an empty name.
fn path(name: &str) -> Result<Vec<String>, String> {
    let (first, mut rest) = name.split_once('[').map_or((name, ""), |(first, rest)| (first, rest));
    let mut path = vec![first.to_owned()];
    while !rest.is_empty() {
        let (part, after) = rest.split_once(']').ok_or("a bracket that is not closed")?;
        path.push(part.to_owned());
        if path.len() > DEPTH {
            return Err("brackets that go too deep".to_owned());
        }
        rest = match after.strip_prefix('[') {
            Some(rest) => rest,
            None if after.is_empty() => "",
            None => return Err("text behind a bracket".to_owned()),
        };
    }
    Ok(path)
}

fn set(into: &mut Value, path: &[String], value: String) -> Result<(), String> {
    let Some((name, rest)) = path.split_first() else {
        *into = Value::String(value);
        return Ok(());
    };
    let Value::Object(members) = into else { return Err("a field that is both text and object".to_owned()) };
    let name = if name.is_empty() { members.len().to_string() } else { name.clone() };
    let inner = members.entry(name).or_insert_with(|| match rest {
        [] => Value::Null,
        [_, ..] => Value::Object(Map::new()),
    });
    set(inner, rest, value)
}

/// Objects whose names are 0, 1, 2 and so on become arrays.
fn arrays(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let mut members: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name, arrays(value))).collect();
    let is_array = !members.is_empty() && (0..members.len()).all(|at| members.contains_key(&at.to_string()));
    if !is_array {
        return Value::Object(members);
    }
    Value::Array((0..members.len()).filter_map(|at| members.remove(&at.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(kind: Option<&str>, body: &str) -> Result<(String, String), String> {
        let published = read(kind, body.as_bytes(), Retain::No)?;
        Ok((published[0].room.to_string(), published[0].broadcast.event.json.to_string()))
    }

    #[test]
    fn what_lies_within_each_other_is_counted_outside_of_texts() {
        for (json, deep) in
            [("1", 0), ("[]", 1), (r#"{"a":[{}]}"#, 3), (r#"["[[[", "\"[["]"#, 1), (r#"["\\",[1]]"#, 2)]
        {
            assert_eq!(depth(json), deep, "{json}");
        }
    }

    fn ok(room: &str, json: &str) -> Result<(String, String), String> {
        Ok((room.to_owned(), json.to_owned()))
    }

    #[test]
    fn json_is_passed_through() {
        let body = r#"{"itemId":100, "channel":"bid","message":{"b": 1.50,"a":[ 1 ]}}"#;
        assert_eq!(one(None, body), ok("100", r#"["bid",{"b": 1.50,"a":[ 1 ]}]"#));
        let body = r#"{"itemId":"a\"b","channel":"x\"y","message":"z","other":1}"#;
        assert_eq!(one(Some("application/json"), body), ok("a\"b", r#"["x\"y","z"]"#));
        let two = r#"[{"itemId":1,"channel":"a","message":1,"retain":true},{"itemId":2,"channel":"a","message":null}]"#;
        let published = read(None, two.as_bytes(), Retain::No).unwrap();
        assert_eq!(published.iter().map(|one| one.retain).collect::<Vec<_>>(), [Retain::Newest, Retain::No]);
        assert_eq!(&*published[1].broadcast.event.json, r#"["a",null]"#);
        assert!(read(None, b"[]", Retain::No).unwrap().is_empty());
    }

    #[test]
    fn a_form_is_read_as_php_writes_it() {
        const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");
        let body = "itemId=100&channel=auction&message%5Bprice%5D=5&message%5Bby%5D=a+b&message%5Btags%5D%5B0%5D=x&message%5Btags%5D%5B1%5D=y";
        let json = r#"["auction",{"by":"a b","price":"5","tags":["x","y"]}]"#;
        let sorted = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        let (room, found) = one(FORM, body).unwrap();
        assert_eq!((room.as_str(), sorted(&found)), ("100", sorted(json)));
        assert_eq!(
            one(FORM, "itemId=1&channel=c&message=%7B%22a%22%3A1%7D"),
            ok("1", r#"["c","{\"a\":1}"]"#)
        );
        assert_eq!(one(FORM, "itemId=1&channel=c&message[]=a&message[]=b"), ok("1", r#"["c",["a","b"]]"#));
        for bad in [
            "itemId=1&channel=c",
            "channel=c&message=1",
            "itemId[a]=1&channel=c&message=1",
            "itemId=1&channel=c&message=1&message[a]=2",
            "itemId=1&channel=c&message[a=1",
            "itemId=1&channel=c&message=%zz",
            "itemId=&channel=c&message=1",
        ] {
            assert!(one(FORM, bad).is_err(), "{bad}");
        }
        let deep = format!("itemId=1&channel=c&message{}=1", "[a]".repeat(100));
        assert!(one(FORM, &deep).is_err());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let long = format!(r#"{{"itemId":"{}","channel":"c","message":1}}"#, "x".repeat(129));
        let many = format!("[{}]", vec![r#"{"itemId":1,"channel":"c","message":1}"#; 1_001].join(","));
        for bad in [
            "",
            "1",
            "{}",
            r#"{"itemId":1,"channel":"c"}"#,
            r#"{"itemId":null,"channel":"c","message":1}"#,
            r#"{"itemId":1,"channel":1,"message":1}"#,
            r#"{"itemId":1,"channel":"","message":1}"#,
            r#"{"itemId":1,"channel":"c","message":}"#,
            r#"{"itemId":1,"channel":"c","message":1}x"#,
            r#"[{"itemId":1,"channel":"c","message":1},2]"#,
            &long,
            &many,
        ] {
            assert!(one(None, bad).is_err(), "{bad}");
        }
        assert!(read(None, b"\xff", Retain::No).is_err());
        let bomb = format!(r#"{{"itemId":1,"channel":"c","message":{}"#, "[".repeat(500_000));
        assert!(one(None, &bomb).is_err());
    }

    proptest! {
        #[test]
        fn no_body_is_a_panic(body in "[\\[\\]{}\":,a-z0-9&=%]{0,80}") {
            let _ = read(None, body.as_bytes(), Retain::No);
            let _ = read(Some("application/x-www-form-urlencoded"), body.as_bytes(), Retain::No);
        }
    }
}
