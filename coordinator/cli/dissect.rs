//! `touchline dissect FILE`: a captured conversation, one line for each thing that was said, as it is read.
//!
//! Invariants: the file is streamed, never held; passwords are not shown; what came over the wire reaches a terminal only
//! cleaned. A capture that was cut off is told to its last message, a file that is none ends with code 1.

use super::output::{Failure, Outcome, Printer, clean};
use super::{Code, OutputFormat};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use touchline_worker::wire::capture::{Dissector, Ending, Entries, Entry, Sender, Summary, Topic, What};
use touchline_worker::wire::diffusion::{
    ConnectRequest, ConnectResponse, Encoding, Fields, Message, MessageType, Part,
};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Bytes of what is not understood that are shown in a line, and in a line of JSON.
const SHOWN: usize = 64;
const SHOWN_JSON: usize = 64 * 1024;
/// What stands in place of a password.
const HIDDEN: &str = "…";

/// Tells what is in `file`; `-` is standard input.
pub(super) fn dissect(file: &str, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let failed = |why: &dyn std::fmt::Display| Failure::told(Code::Failed, format!("{file}: {why}"));
    let mut input: Box<dyn Read> = match file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|error| failed(&error))?),
    };
    let mut lines = Lines { format, out, failure: None };
    let mut dissector = Dissector::default();
    let mut buffer = vec![0; READ];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(&error)),
        };
        let fed = dissector.feed(buffer.get(..count).unwrap_or_default(), &mut lines);
        lines.settle()?;
        fed.map_err(|error| failed(&error))?;
    }
    let summary = dissector.finish(&mut lines).map_err(|error| failed(&error))?;
    lines.settle()?;
    match format {
        OutputFormat::Text => lines.out.line(in_words(&summary))?,
        OutputFormat::Json => lines.out.json(&of_summary(&summary))?,
    }
    Ok(Code::Done)
}

struct Lines<'a, 'w> {
    format: OutputFormat,
    out: &'a mut Printer<'w>,
    /// The first line that could not be written; nothing is written after it.
    failure: Option<Failure>,
}

impl Lines<'_, '_> {
    fn settle(&mut self) -> Result<(), Failure> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.out.flush(),
        }
    }
}

impl Entries for Lines<'_, '_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        if self.failure.is_some() {
            return;
        }
        let written = match self.format {
            OutputFormat::Text => self.out.line(clean(&line(entry))),
            OutputFormat::Json => self.out.json(&object(entry)),
        };
        self.failure = written.err();
    }
}

fn time(entry: &Entry<'_>) -> Option<String> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(entry.at?)).ok()?;
    Some(format!("{at:.6}"))
}

fn line(entry: &Entry<'_>) -> String {
    let time = time(entry).unwrap_or_else(|| "-".to_owned());
    let way = match entry.sender {
        None => "---",
        Some(Sender::Client) => "C>S",
        Some(Sender::Server) => "S>C",
    };
    format!("{time} #{} {way} {}", entry.connection.0, words(&entry.what))
}

fn words(what: &What<'_>) -> String {
    match what {
        What::Opened { client, server, from_start } => {
            let midst = if *from_start { "" } else { ", its beginning is not in the capture" };
            format!("connection from {client} to {server}{midst}")
        }
        What::ConnectRequest(request) => request_words(request),
        What::ConnectResponse(ConnectResponse::Accepted { version, code, client_id }) => {
            format!("accepted: version {version}, {code}, client id {}", quoted(client_id))
        }
        What::ConnectResponse(ConnectResponse::Refused { version, code }) => {
            format!("refused: version {version}, {code}")
        }
        What::Upgrade { line } => (*line).to_owned(),
        What::Message { message, topic } => message_words(message, topic.as_ref()),
        What::Ping(payload) => format!("websocket ping {}", hex(payload, SHOWN)),
        What::Pong(payload) => format!("websocket pong {}", hex(payload, SHOWN)),
        What::Close { code, reason } => {
            let code = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
            format!("websocket close {code} {}", quoted(reason))
        }
        What::Undecoded { bytes, why } => {
            format!("not decoded ({why}): {} bytes: {}", bytes.len(), hex(bytes, SHOWN))
        }
        What::Lost(count) => format!("{count} bytes are not in the capture"),
        What::Ended(Ending::Closed) => "closed".to_owned(),
        What::Ended(Ending::Reset) => "reset".to_owned(),
    }
}

fn request_words(request: &ConnectRequest<'_>) -> String {
    let mut out = format!(
        "connect: version {}, client type {:#04x}, capabilities {:#04x}",
        request.version, request.client_type, request.capabilities
    );
    if let Some(credentials) = request.credentials {
        let _ = write!(out, ", user {}, password {HIDDEN}", quoted(credentials.username));
    }
    if !request.topics.is_empty() {
        let _ = write!(out, ", topics {}", quoted(request.topics));
    }
    if let Some(client_id) = request.client_id {
        let _ = write!(out, ", goes on with {}", quoted(client_id));
    }
    out
}

fn message_words(message: &Message<'_>, topic: Option<&Topic<'_>>) -> String {
    let mut out = message.kind.to_string();
    if message.part == Part::Fragment {
        out.push_str(", a fragment");
    }
    if let Some(topic) = topic {
        let name = topic.name.map_or_else(|| "unknown".to_owned(), quoted);
        let _ = write!(out, " topic {name}");
        if let Some(alias) = topic.alias {
            let _ = write!(out, " alias {}", quoted(alias));
        }
    }
    let headers = headers(message, topic);
    if !headers.is_empty() {
        let _ = write!(out, " headers {}", Value::from(headers));
    }
    match records(message) {
        Ok(records) if records.is_empty() => {}
        Ok(records) => {
            let _ = write!(out, " records {}", Value::from(records));
        }
        Err(why) => {
            let _ = write!(out, " body ({why}): {}", hex(message.body, SHOWN));
        }
    }
    out
}

/// The headers that the topic does not say already.
fn headers(message: &Message<'_>, topic: Option<&Topic<'_>>) -> Vec<String> {
    let secret = matches!(message.kind, MessageType::Credentials | MessageType::CredentialsRejected);
    let headers = message.headers.iter().enumerate().skip(usize::from(topic.is_some()));
    headers
        .map(|(place, header)| {
            if secret && place == 1 {
                HIDDEN.to_owned()
            } else {
                String::from_utf8_lossy(header).into_owned()
            }
        })
        .collect()
}

/// The body as records of fields.
///
/// # Errors
/// Why it is none.
fn records(message: &Message<'_>) -> Result<Vec<Vec<String>>, String> {
    if let Some(how) = encoded(message.encoding) {
        return Err(how);
    }
    let body = std::str::from_utf8(message.body).map_err(|_| "not UTF-8".to_owned())?;
    let fields = |record: &[u8]| {
        Fields::of(record).map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>()
    };
    Ok(touchline_worker::wire::diffusion::Records::of(body.as_bytes()).map(fields).collect())
}

/// How a body is written that cannot be taken as it stands.
fn encoded(encoding: Encoding) -> Option<String> {
    match encoding {
        Encoding::Plain
        | Encoding::EncryptionRequested
        | Encoding::CompressionRequested
        | Encoding::Base64Requested => None,
        Encoding::Encrypted => Some("encrypted".to_owned()),
        Encoding::Compressed => Some("compressed".to_owned()),
        Encoding::Base64 => Some("base64".to_owned()),
        Encoding::Unknown(byte) => Some(format!("of the unknown encoding {byte:#04x}")),
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

fn hex(bytes: &[u8], most: usize) -> String {
    let shown = bytes.get(..most.min(bytes.len())).unwrap_or_default();
    let mut out = String::with_capacity(2 * shown.len() + 16);
    for byte in shown {
        let _ = write!(out, "{byte:02x}");
    }
    if bytes.len() > shown.len() {
        let _ = write!(out, "… (+{} bytes)", bytes.len() - shown.len());
    }
    out
}

fn object(entry: &Entry<'_>) -> Value {
    let from = entry.sender.map(|sender| match sender {
        Sender::Client => "client",
        Sender::Server => "server",
    });
    let mut object = json!({"at": time(entry), "connection": entry.connection.0, "from": from});
    let (kind, members) = members(&entry.what);
    if let (Some(object), Value::Object(members)) = (object.as_object_mut(), members) {
        object.insert("kind".to_owned(), kind.into());
        object.extend(members);
    }
    object
}

fn members(what: &What<'_>) -> (&'static str, Value) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match what {
        What::Opened { client, server, from_start } => {
            ("opened", json!({"client": client, "server": server, "from_start": from_start}))
        }
        What::ConnectRequest(request) => (
            "connect",
            json!({"version": request.version, "client_type": request.client_type,
                "capabilities": request.capabilities, "user": request.credentials.map(|c| text(c.username)),
                "topics": text(request.topics), "client_id": request.client_id.map(text)}),
        ),
        What::ConnectResponse(ConnectResponse::Accepted { version, code, client_id }) => (
            "accepted",
            json!({"version": version, "code": code.byte(), "means": code.to_string(), "client_id": text(client_id)}),
        ),
        What::ConnectResponse(ConnectResponse::Refused { version, code }) => {
            ("refused", json!({"version": version, "code": code.byte(), "means": code.to_string()}))
        }
        What::Upgrade { line } => ("upgrade", json!({"line": line})),
        What::Message { message, topic } => ("message", of_message(message, topic.as_ref())),
        What::Ping(payload) => ("websocket_ping", json!({"hex": hex(payload, SHOWN_JSON)})),
        What::Pong(payload) => ("websocket_pong", json!({"hex": hex(payload, SHOWN_JSON)})),
        What::Close { code, reason } => ("websocket_close", json!({"code": code, "reason": text(reason)})),
        What::Undecoded { bytes, why } => {
            ("undecoded", json!({"why": why, "bytes": bytes.len(), "hex": hex(bytes, SHOWN_JSON)}))
        }
        What::Lost(count) => ("lost", json!({"bytes": count})),
        What::Ended(Ending::Closed) => ("ended", json!({"how": "closed"})),
        What::Ended(Ending::Reset) => ("ended", json!({"how": "reset"})),
    }
}

fn of_message(message: &Message<'_>, topic: Option<&Topic<'_>>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut object = json!({
        "type": message.kind.to_string(), "type_byte": message.kind.byte(),
        "fragment": message.part == Part::Fragment,
        "topic": topic.and_then(|topic| topic.name).map(text), "alias": topic.and_then(|topic| topic.alias).map(text),
        "headers": headers(message, topic),
    });
    let (name, value) = match records(message) {
        Ok(records) => ("records", Value::from(records)),
        Err(why) => {
            ("body", json!({"why": why, "bytes": message.body.len(), "hex": hex(message.body, SHOWN_JSON)}))
        }
    };
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
    object
}

fn in_words(summary: &Summary) -> String {
    let mut out = format!("--- {} packets, {} connections", summary.packets, summary.connections);
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            let _ = write!(out, "; {count} {what}");
        }
    };
    say(summary.other, "packets are no TCP");
    say(summary.fragments, "packets are pieces of IP packets, which are not put together");
    say(summary.cut, "packets are cut in their heads");
    if let Some((count, link)) = summary.unknown_links {
        say(count, &format!("packets are of an unknown link (type {link})"));
    }
    say(summary.left_over as u64, "bytes at the end are no whole packet");
    out
}

fn of_summary(summary: &Summary) -> Value {
    json!({"kind": "end", "packets": summary.packets, "connections": summary.connections,
        "no_tcp": summary.other, "fragments": summary.fragments, "cut": summary.cut,
        "unknown_link": summary.unknown_links.map(|(count, link)| json!({"packets": count, "type": link})),
        "left_over_bytes": summary.left_over})
}

#[cfg(test)]
mod tests {
    use crate::cli::{Code, Commands, main_with};
    use serde_json::Value;
    use std::ffi::OsString;
    use std::io::{self, Write};
    use touchline_harness::data;

    /// No verb here needs more than the command line.
    struct Nobody;

    impl Commands for Nobody {
        fn run(&self, _: touchline_common::config::Config, _: crate::cli::RunOptions) -> Code {
            Code::Failed
        }
        fn demo(&self, _: crate::cli::DemoOptions) -> Code {
            Code::Failed
        }
        fn simulate(&self, _: crate::cli::SimulateOptions) -> Code {
            Code::Failed
        }
        fn child(&self, _: crate::cli::ChildOptions) -> Code {
            Code::Failed
        }
    }

    fn run(args: &[&str], out: &mut dyn Write) -> (Code, String) {
        let mut err = Vec::new();
        let args = ["touchline", "dissect"].iter().chain(args).map(OsString::from);
        let code = main_with(args, &Nobody, out, &mut err);
        (code, String::from_utf8(err).unwrap())
    }

    fn lines(args: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        assert_eq!(run(args, &mut out), (Code::Done, String::new()));
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_capture_is_told_line_by_line_for_people_and_for_programs() {
        let Some(path) = data::path("diffusion-pcaps/acknowledgements.pcap") else { return };
        let path = path.to_str().unwrap();
        let text = lines(&[path]);
        assert!(
            text[0].starts_with("2014-04-26T") && text[0].contains(" #1 --- connection from "),
            "{}",
            text[0]
        );
        let has = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
        has("C>S connect: version 4, client type 0x15");
        has("S>C delta with acknowledgement topic \"base/ack\" alias \"2\"");
        assert!(text.last().unwrap().starts_with("--- "));
        let json: Vec<Value> =
            lines(&[path, "--json"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(json.len(), text.len());
        let ack = json.iter().find(|entry| entry["type_byte"] == 0x1f).unwrap();
        assert_eq!(
            (&ack["topic"], &ack["alias"], &ack["from"]),
            (&"base/ack".into(), &"2".into(), &"server".into())
        );
        assert_eq!(json.last().unwrap()["kind"], "end");
    }

    #[test]
    fn no_capture_shows_a_password() {
        for file in ["credentials.pcap", "reconnect.pcap", "wsRejectedConnection.pcap"] {
            let Some(path) = data::path(&format!("diffusion-pcaps/{file}")) else { return };
            let path = path.to_str().unwrap();
            for told in [lines(&[path]), lines(&[path, "--json"])] {
                assert!(!told.join("\n").contains("Guest"), "{file}: {told:#?}");
            }
        }
    }

    #[test]
    fn what_is_no_capture_is_one_line_and_code_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        std::fs::write(&path, b"#!/bin/sh\n").unwrap();
        let (code, err) = run(&[path.to_str().unwrap()], &mut Vec::new());
        assert_eq!(code, Code::Failed);
        assert!(
            err.lines().count() == 1 && err.contains("x.pcap: not a capture: it begins with 23 21"),
            "{err}"
        );
        let (code, err) = run(&["/nowhere/x.pcap"], &mut Vec::new());
        assert!(code == Code::Failed && err.lines().count() == 1, "{err}");
    }

    #[test]
    fn a_closed_pipe_is_success() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        // A head, and nothing else: the last line finds the pipe closed.
        std::fs::write(&path, [0xd4, 0xc3, 0xb2, 0xa1].iter().chain(&[0; 20]).copied().collect::<Vec<u8>>())
            .unwrap();
        assert_eq!(run(&[path.to_str().unwrap()], &mut Closed), (Code::Done, String::new()));
    }
}
