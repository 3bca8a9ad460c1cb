//! The WebSocket code of the gateway's side against a suite of cases that others wrote: an echo server of our reader and writer, in this
//! process, with limits that let every case through.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use touchline_harness::wait;
use touchline_worker::wire::websocket::{
    Arrived, CloseCode, Limits, Opcode, Reader, Role, ServerRequest, Writer,
};

/// Cases of frames, pings, reserved bits and opcodes, fragments, UTF-8, limits, close handshakes and masks.
const CASES: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/// How many of them there are at least: a suite that ran next to nothing has shown next to nothing.
const AT_LEAST: usize = 240;
/// A socket that says nothing for so long is given up.
const SILENT: Duration = Duration::from_secs(20);
/// The longest message of the cases, and some.
const MOST: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be done with a connection after a reading.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(SILENT))?;
    socket.set_nodelay(true)?;
    let limits = Limits { frame: MOST, inflated: MOST, ratio: 1 };
    let mut reader = Reader::small(Role::Server, limits);
    let mut writer = Writer::new(Role::Server, None, usize::MAX);
    let (mut room, mut head, mut is_open) = ([0; 4096], Vec::new(), false);
    loop {
        let count = socket.read(&mut room)?;
        let Some(mut came) = room.get(..count).filter(|came| !came.is_empty()) else { return Ok(()) };
        let mut out = Vec::new();
        if !is_open {
            head.extend_from_slice(came);
            let Ok(Some((request, size))) = ServerRequest::parse(&head) else { continue };
            request.accept(None, None, &mut out);
            is_open = true;
            came = head.get(size..).unwrap_or_default();
        }
        reader.feed(came);
        let goes = echo(&mut reader, &mut writer, &mut out);
        socket.write_all(&out)?;
        if goes == Goes::Over {
            socket.shutdown(std::net::Shutdown::Write)?;
            // What is still under way is read: else what was written could be lost.
            while socket.read(&mut room)? > 0 {}
            return Ok(());
        }
    }
}

fn echo(reader: &mut Reader, writer: &mut Writer, out: &mut Vec<u8>) -> Goes {
    loop {
        match reader.advance() {
            Ok(None) => {
                reader.rest();
                return Goes::On;
            }
            Ok(Some(Arrived::Text)) => writer.message(Opcode::Text, reader.payload(), usize::MAX, out),
            Ok(Some(Arrived::Binary)) => writer.message(Opcode::Binary, reader.payload(), usize::MAX, out),
            Ok(Some(Arrived::Ping)) => writer.pong(reader.payload(), out),
            Ok(Some(Arrived::Pong)) => {}
            Ok(Some(Arrived::Close(code))) => {
                writer.close(code.unwrap_or(CloseCode::NORMAL), "", out);
                return Goes::Over;
            }
            Err(error) => {
                writer.close(error.close_code(), &error.to_string(), out);
                return Goes::Over;
            }
        }
    }
}

/// The suite's process. Dropping it ends it.
struct Suite(Child);

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_case_of_the_suite_fails() {
    let Some(packages) = std::env::var_os("TOUCHLINE_WEBSOCKET_PEER") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "TOUCHLINE_WEBSOCKET_PEER is not set; scripts/test sets it"
        );
        eprintln!("SKIPPED: TOUCHLINE_WEBSOCKET_PEER is not set (scripts/need-websocket-peer installs it)");
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // One that is broken off is the suite's doing, and what it makes of it is in its report.
            std::thread::spawn(|| drop(serve(socket)));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; from kosoku._cli import main; sys.exit(main())", "-p", "4", "-o"]);
    command.arg(folder.path()).env("PYTHONPATH", packages).stdin(Stdio::null()).stdout(Stdio::null());
    CASES.iter().for_each(|cases| _ = command.args(["-i", cases]));
    let mut suite = Suite(command.arg(address.to_string()).spawn().unwrap());
    wait::until("the suite's end", PATIENCE, || suite.0.try_wait().unwrap());
    let text = std::fs::read_to_string(folder.path().join("index.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let cases = report.as_object().unwrap().values().next().unwrap().as_object().unwrap();
    let behaviour = |case: &Value, part: &str| case.get(part).and_then(Value::as_str).unwrap().to_owned();
    let is_fine = |text: &str| matches!(text, "OK" | "NON-STRICT" | "INFORMATIONAL");
    let failed: Vec<_> = cases
        .iter()
        .map(|(name, case)| (name, behaviour(case, "behavior"), behaviour(case, "behaviorClose")))
        .filter(|(_, message, close)| !is_fine(message) || !is_fine(close))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(cases.len() >= AT_LEAST, "{} cases", cases.len());
}
