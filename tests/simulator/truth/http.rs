//! The truth over HTTP, for people and scripts: `GET /matches`, `/match/ID`, `/events`, `/connections`,
//! `POST /pause`, `/resume`. One request a connection, one connection at a time, each with a deadline. The room server answers the same
//! way, by routes of its own.

use super::Truth;
use crate::server::Control;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// The most that a request's head may be.
const HEAD: usize = 8_192;
/// How long a client may take to ask, or to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) const OK: &str = "200 OK";
pub(crate) const NOT_FOUND: &str = "404 Not Found";
pub(crate) const NOT_ALLOWED: &str = "405 Method Not Allowed";

/// Status and body of the answer to a method and a path.
pub(crate) type Answer = (&'static str, Value);

/// Serves until the server stops.
pub(crate) fn serve(listener: &TcpListener, truth: &Truth, control: &Control) {
    serve_routes(listener, &|| control.is_stopped(), &|method, path| route(method, path, truth, control));
}

/// Serves what `route` answers until `is_stopped`.
pub(crate) fn serve_routes(
    listener: &TcpListener,
    is_stopped: &dyn Fn() -> bool,
    route: &dyn Fn(&str, &str) -> Answer,
) {
    for connection in listener.incoming() {
        if is_stopped() {
            return;
        }
        if let Ok(mut connection) = connection
            && let Err(error) = answer(&mut connection, route)
        {
            log::debug!("simulator.truth request failed: {error}");
        }
    }
}

fn answer(connection: &mut TcpStream, route: &dyn Fn(&str, &str) -> Answer) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut piece = [0; 1_024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = connection.read(&mut piece)?;
        if read == 0 || head.len() > HEAD {
            return Ok(());
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_ascii_whitespace();
    let (status, body) = route(words.next().unwrap_or(""), words.next().unwrap_or(""));
    let body = body.to_string();
    write!(
        connection,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    connection.flush()
}

fn route(method: &str, path: &str, truth: &Truth, control: &Control) -> Answer {
    match (method, path) {
        ("POST", "/pause") => {
            control.pause();
            (OK, json!({"ok": true}))
        }
        ("POST", "/resume") => {
            control.resume();
            (OK, json!({"ok": true}))
        }
        ("GET", "/matches") => (OK, json!(truth.matches())),
        ("GET", "/events") => (OK, Value::Array(truth.events())),
        ("GET", "/connections") => (OK, Value::Array(control.connections())),
        ("GET", path) => match path.strip_prefix("/match/").and_then(|id| truth.document(id)) {
            Some(document) => (OK, document),
            None => (NOT_FOUND, json!({"ok": false, "error": format!("no {path} here")})),
        },
        _ => (NOT_ALLOWED, json!({"ok": false, "error": format!("{method} {path} is not served")})),
    }
}
