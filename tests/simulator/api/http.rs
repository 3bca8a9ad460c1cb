//! Just enough of HTTP/1.1 for the simulated API: one request after the other on a connection, answers with a length.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The most that a request's head may be, bytes.
const HEAD: usize = 16 << 10;

#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub head: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The path without the query.
    pub fn place(&self) -> &str {
        self.path.split_once('?').map_or(&self.path, |(place, _)| place)
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(body: &serde_json::Value) -> Response {
        let headers = vec![("content-type", "application/json".to_owned())];
        Response { status: 200, headers, body: body.to_string().into_bytes() }
    }

    pub fn html(status: u16) -> Response {
        let body = format!("<!doctype html><title>{status}</title><p>Sorry.");
        let headers = vec![("content-type", "text/html".to_owned())];
        Response { status, headers, body: body.into_bytes() }
    }

    /// Status line and headers, which promise `length` bytes.
    pub fn head(&self, length: usize) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} .\r\ncontent-length: {length}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// The next request of a connection; none when the client closed it, `go_on` says no, or the head is too long.
///
/// # Errors
/// When the socket fails.
pub fn read_request(stream: &mut TcpStream, go_on: &dyn Fn() -> bool) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            // No method begins so: TLS, say, where it is not spoken.
            Ok(_) if head.is_empty() && !byte.iter().all(u8::is_ascii_uppercase) => {
                stream.write_all(b"HTTP/1.1 400 .\r\ncontent-length: 0\r\n\r\n")?;
                return Ok(None);
            }
            Ok(_) => head.extend_from_slice(&byte),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if !go_on() {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
        if head.len() > HEAD {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    Ok(Some(Request { method, path, headers, head }))
}

/// Waits so long, unless `go_on` says no.
pub fn pause(time: Duration, go_on: &dyn Fn() -> bool) {
    let until = Instant::now() + time;
    while go_on() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Writes `bytes`, so many at a time.
///
/// # Errors
/// When the socket fails.
pub fn trickle(
    stream: &mut TcpStream,
    bytes: &[u8],
    piece: usize,
    every: Duration,
    go_on: &dyn Fn() -> bool,
) -> io::Result<()> {
    for piece in bytes.chunks(piece.max(1)) {
        stream.write_all(piece)?;
        pause(every, go_on);
    }
    Ok(())
}
