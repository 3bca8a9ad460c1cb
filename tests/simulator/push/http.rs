//! Topics and truth over HTTP: `GET /topics`, `/topic/ID`, `/connections`; `POST /pause`, `/resume`, `/cut`, `/replace/PLACE`.

use super::options::{Ending, Which};
use super::{Shared, locked};
use crate::truth::http::{Answer, NOT_ALLOWED, NOT_FOUND, OK, serve_routes};
use serde_json::{Value, json};
use std::net::TcpListener;

/// Serves until the server stops.
pub(super) fn serve(listener: &TcpListener, shared: &Shared) {
    serve_routes(listener, &|| shared.is_stopped(), &|method, path| match method {
        "GET" => get(path, shared),
        "POST" => post(path, shared),
        _ => (NOT_ALLOWED, json!({"ok": false, "error": format!("{method} {path} is not served")})),
    });
}

fn get(path: &str, shared: &Shared) -> Answer {
    match path.split('?').next().unwrap_or_default() {
        "/topics" => {
            let topics: Vec<Value> = shared.topics().iter().map(|id| json!({"id": id})).collect();
            (OK, json!({ "topics": topics }))
        }
        "/connections" => (OK, connections(shared)),
        path => {
            let world = shared.world();
            let id = path.strip_prefix("/topic/").unwrap_or_default();
            let number = world.slot(id).map(|slot| world.number(slot));
            number
                .and_then(|number| world.document_at(id, number))
                .map_or_else(|| nothing(path), |document| (OK, document))
        }
    }
}

fn nothing(path: &str) -> Answer {
    (NOT_FOUND, json!({"ok": false, "error": format!("no {path} here")}))
}

fn connections(shared: &Shared) -> Value {
    let report = locked(&shared.report).clone();
    let of = |one: &super::ConnectionReport| json!({"id": one.id, "peer": one.peer, "subscriptions": one.subscriptions, "most": one.most, "queue": one.queue});
    Value::Array(report.connections.iter().map(of).collect())
}

fn post(path: &str, shared: &Shared) -> Answer {
    let place = path.strip_prefix("/replace/").and_then(|place| place.parse().ok());
    match (path, place) {
        ("/pause", _) => shared.pause(),
        ("/resume", _) => shared.resume(),
        ("/cut", _) => locked(&shared.asked).ends.push((Which::All, Ending::Reset)),
        (_, Some(place)) => locked(&shared.asked).replaced.push(place),
        _ => return nothing(path),
    }
    (OK, json!({"ok": true}))
}
