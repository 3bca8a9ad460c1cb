//! A value as JSON text.

use super::node::Node;
use crate::payload::json_text::Json;

/// Writes a value as it was read; names and texts are escaped anew.
pub(super) fn write(node: &Node, out: &mut Json) {
    match node {
        Node::Null => out.fixed(b"null"),
        Node::Bool(true) => out.fixed(b"true"),
        Node::Bool(false) => out.fixed(b"false"),
        Node::Number(text) => out.put(text.as_bytes()),
        Node::Text(text) => out.string(text.as_bytes()),
        Node::Array(items) => {
            out.fixed(b"[");
            for item in items {
                write(item, out);
                out.fixed(b",");
            }
            out.close(b']');
        }
        Node::Object(members) => {
            out.fixed(b"{");
            for (name, value) in members.iter() {
                out.string(name.as_bytes());
                out.fixed(b":");
                write(value, out);
                out.fixed(b",");
            }
            out.close(b'}');
        }
    }
}

pub(super) fn to_text(node: &Node) -> String {
    let mut out = Json::default();
    write(node, &mut out);
    out.to_text()
}
