//! Ranking and truth over HTTP: `GET /ranking`, `/rooms`, `/room/ID`, `/lines`, `/connections`; `POST /pause`, `/resume`,
//! `/ranking/serve`, `/ranking/empty`, `/ranking/fail`, `/cut`, `/cut/ROOM`, `/refuse/ROOM`, `/admit/ROOM`, `/down`, `/up`.

use super::options::{Cut, Host, Ranking, Refusal};
use super::{Shared, locked};
use crate::truth::http::{Answer, NOT_ALLOWED, NOT_FOUND, OK, serve_routes};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::atomic::Ordering;

/// Serves until the server stops.
pub(super) fn serve(listener: &TcpListener, shared: &Shared) {
    serve_routes(listener, &|| shared.is_stopped(), &|method, path| match method {
        "GET" => get(path, shared),
        "POST" => post(path, shared),
        _ => (NOT_ALLOWED, json!({"ok": false, "error": format!("{method} {path} is not served")})),
    });
}

fn get(path: &str, shared: &Shared) -> Answer {
    let truth = &shared.truth;
    match path.split('?').next().unwrap_or_default() {
        "/ranking" => ranking(shared),
        "/rooms" => (OK, json!(truth.rooms())),
        "/lines" => (OK, truth.lines_json()),
        "/connections" => (OK, connections(shared)),
        path => {
            let id = path.strip_prefix("/room/").and_then(|id| id.parse().ok());
            id.and_then(|id| truth.document(id)).map_or_else(|| nothing(path), |document| (OK, document))
        }
    }
}

fn nothing(path: &str) -> Answer {
    (NOT_FOUND, json!({"ok": false, "error": format!("no {path} here")}))
}

fn ranking(shared: &Shared) -> Answer {
    shared.rankings.fetch_add(1, Ordering::SeqCst);
    let list = match shared.faults().ranking {
        Ranking::Failing => {
            return ("500 Internal Server Error", json!({"code": -500, "message": "try later"}));
        }
        Ranking::Empty => Vec::new(),
        Ranking::EmptyOnce => {
            locked(&shared.faults).ranking = Ranking::Served;
            Vec::new()
        }
        Ranking::Served => shared.truth.with(|ledger| {
            let rooms = ledger.open().iter().filter_map(|id| ledger.room(*id));
            rooms
                .map(|room| json!({"roomid": room.id, "title": room.title, "online": room.popularity}))
                .collect()
        }),
    };
    (OK, json!({"code": 0, "data": {"list": list}}))
}

fn connections(shared: &Shared) -> Value {
    let report = locked(&shared.report).clone();
    let of = |one: &super::ConnectionReport| json!({"id": one.id, "peer": one.peer, "transport": one.transport, "room": one.room, "queue": one.queue});
    Value::Array(report.connections.iter().map(of).collect())
}

fn post(path: &str, shared: &Shared) -> Answer {
    let set_ranking = |ranking| locked(&shared.faults).ranking = ranking;
    let set_host = |host| locked(&shared.faults).host = host;
    let cut = |which| locked(&shared.cuts).push(which);
    let mut parts = path.trim_start_matches('/').split('/');
    let (verb, what) = (parts.next().unwrap_or_default(), parts.next());
    let room = what.and_then(|what| what.parse::<u64>().ok());
    match (verb, what, room) {
        ("pause", None, _) => shared.pause(),
        ("resume", None, _) => shared.resume(),
        ("ranking", Some("serve"), _) => set_ranking(Ranking::Served),
        ("ranking", Some("empty"), _) => set_ranking(Ranking::Empty),
        ("ranking", Some("fail"), _) => set_ranking(Ranking::Failing),
        ("cut", None, _) => cut(Cut::All),
        ("cut", _, Some(room)) => cut(Cut::Room(room)),
        ("refuse", _, Some(room)) => drop(locked(&shared.faults).refused.insert(room, Refusal::Code)),
        ("admit", _, Some(room)) => drop(locked(&shared.faults).refused.remove(&room)),
        ("down", None, _) => set_host(Host::Down),
        ("up", None, _) => set_host(Host::Up),
        _ => return nothing(path),
    }
    (OK, json!({"ok": true}))
}
