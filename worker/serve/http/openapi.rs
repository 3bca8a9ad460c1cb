//! `/api/openapi.json`: an OpenAPI 3.1 document of what may be asked here, for programs that make clients of it.
//!
//! It is a file of the source tree, written by hand. That it names what there is, is tested here; that answers are as it says,
//! with a running gateway (tests/e2e/tests/gateway_openapi.rs).

use super::{Answer, Body, ContentType, Status};

const DOCUMENT: &str = include_str!("openapi.json");

pub(in crate::serve) fn answer() -> Answer {
    Answer { status: Status::Ok, content: ContentType::Json, body: Body::Fixed(DOCUMENT) }
}

#[cfg(test)]
mod tests {
    use super::super::request::parse;
    use super::super::route::{FIXED, Publisher, Route, publisher_route, route};
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Paths that are not among the fixed ones: of the page, of matches, of sessions.
    const OTHERS: [&str; 5] =
        ["/", "/api/matches/{id}", "/api/matches/{id}/odds", "/api/matches/{id}/chat", "/socket.io/"];
    const PUBLISHERS: [&str; 1] = ["/pub"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn request(method: &str, path: &str) -> super::super::Request {
        let path = path.replace("{id}", "inplay/A1");
        parse(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn each_route_is_described_and_nothing_else() {
        let fixed = FIXED.iter().map(|(path, _)| *path);
        let known: BTreeSet<&str> = fixed.chain(OTHERS).chain(PUBLISHERS).collect();
        let document = document();
        let described: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, known);
    }

    #[test]
    fn what_is_described_leads_somewhere_and_says_whether_it_needs_the_token() {
        let document = document();
        for (path, item) in document["paths"].as_object().unwrap() {
            if PUBLISHERS.contains(&path.as_str()) {
                assert_eq!(publisher_route(&request("POST", path)), Ok(Publisher::Publish));
                continue;
            }
            let led = route(&request("GET", path)).unwrap_or_else(|answer| panic!("{path}: {answer:?}"));
            let is_open = item["get"]["security"].as_array().is_some_and(Vec::is_empty);
            // The token of a session may be asked for later than the route.
            assert_eq!(is_open, led.is_open() && led != Route::Socket, "{path}");
        }
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn no_reference_leads_nowhere() {
        fn check(document: &Value, at: &Value) -> usize {
            let own = match at.get("$ref").and_then(Value::as_str) {
                Some(reference) => {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    1
                }
                None => 0,
            };
            match at {
                Value::Object(members) => {
                    own + members.values().map(|inner| check(document, inner)).sum::<usize>()
                }
                Value::Array(items) => items.iter().map(|inner| check(document, inner)).sum(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => own,
            }
        }
        let document = document();
        assert!(check(&document, &document) > 50);
    }
}
