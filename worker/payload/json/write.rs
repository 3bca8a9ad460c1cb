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

/// Which items of an array are the same, though they stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Items {
    InOrder,
    InAnyOrder,
}

/// A text that two values have alike if they say the same: members of an object have no order, items as `items` says.
pub(super) fn canonical(node: &Node, items: Items) -> String {
    match node {
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => to_text(node),
        Node::Array(list) => {
            let mut texts: Vec<String> = list.iter().map(|item| canonical(item, items)).collect();
            match items {
                Items::InOrder => {}
                Items::InAnyOrder => texts.sort_unstable(),
            }
            format!("[{}]", texts.join(","))
        }
        Node::Object(members) => {
            let text = |(name, value): (&str, &Node)| {
                format!("{}:{}", to_text(&Node::Text(name.into())), canonical(value, items))
            };
            let mut texts: Vec<String> = members.iter().map(text).collect();
            texts.sort_unstable();
            format!("{{{}}}", texts.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Limits;
    use crate::payload::json::parse::parse;

    #[test]
    fn order_counts_where_it_says_something() {
        let of = |text: &str, items| canonical(&parse(text.as_bytes(), &Limits::default()).unwrap(), items);
        let (a, b) = (r#"{"a":[[1,2],[3,0]],"b":{"x":1,"y":2}}"#, r#"{"b":{"y":2,"x":1},"a":[[3,0],[1,2]]}"#);
        assert_eq!(of(a, Items::InAnyOrder), of(b, Items::InAnyOrder));
        assert_ne!(of(a, Items::InOrder), of(b, Items::InOrder));
        let c = r#"{"b":{"y":2,"x":1},"a":[[1,2],[3,0]]}"#;
        assert_eq!(of(a, Items::InOrder), of(c, Items::InOrder));
        assert_ne!(of(a, Items::InAnyOrder), of(&c.replace('3', "4"), Items::InAnyOrder));
    }
}
