//! A document put together as one JSON text.

use super::Document;
use super::content::PartId;
use crate::record::time::push_rfc3339;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The text of a document of the feed called `feed`.
pub(super) fn write(document: &Document, feed: &str) -> String {
    let content = &document.content;
    let size: usize = content.markets().map(|(key, text)| key.len() + text.len() + 8).sum();
    let mut out = String::with_capacity(size + 4096);
    out.push_str("{\"match\":");
    push_text(&mut out, document.key.id.as_str());
    out.push_str(",\"feed\":");
    push_text(&mut out, feed);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        r#","source":"{}","epoch":{},"version":{},"received_at":""#,
        document.source(),
        document.epoch,
        document.version
    );
    push_rfc3339(&mut out, document.stamp.received_at);
    out.push_str(r#"","updated_at":""#);
    push_rfc3339(&mut out, document.stamp.updated_at);
    let _ = write!(out, r#"","stale":{}"#, document.stamp.stale);
    for part in [PartId::HEAD, PartId::TAIL] {
        push_members(&mut out, content.text(part).unwrap_or_default());
    }
    out.push_str(",\"markets\":{");
    let mut comma = "";
    for (key, text) in content.markets() {
        out.push_str(comma);
        push_text(&mut out, key);
        out.push(':');
        out.push_str(text);
        comma = ",";
    }
    out.push_str("}}");
    out
}

/// A head as it stands once the match is over: its status says so, and its clock does not run on. `None` where it says so already.
pub(crate) fn ended(head: &str) -> Option<String> {
    let before: Map<String, Value> = serde_json::from_str(head).ok()?;
    let mut after = before.clone();
    let status = after.get("status").and_then(Value::as_str);
    if !matches!(status, Some("finished" | "abandoned")) {
        after.insert("status".to_owned(), Value::from("finished"));
    }
    if let Some(running) = after.get_mut("clock").and_then(|clock| clock.get_mut("running")) {
        *running = Value::Bool(false);
    }
    (after != before).then(|| serde_json::to_string(&after).ok()).flatten()
}

/// Appends `text` as a JSON string.
pub(in crate::record) fn push_text(out: &mut String, text: &str) {
    // A string is always JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Appends the members of a JSON object to an open one that has some already.
pub(crate) fn push_members(out: &mut String, object: &str) {
    let members = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::trim);
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        out.push(',');
        out.push_str(members);
    }
}
