//! The touchline program as tests break it: with failpoints, and with workers that misbehave on their channel.
//!
//! `TOUCHLINE_BAD_CHILD="KIND,FILE"` makes the one worker that creates FILE a bad one; all others are real. A coordinator starts its
//! children from its own image, so this program's children are of this program.
#![allow(clippy::expect_used)]

use nix::sys::signal::Signal;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use touchline::cli::{Code, CommandError, Commands, DemoOptions, OutputFormat};
use touchline::pool::Child;
use touchline::program::Program;
use touchline_common::config::Config;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::worker::{ConnectionState, FromWorker, LoadReport};
use touchline_common::ipc::{PROTO, encode_frame};
use touchline_common::sys::child;
use touchline_simulator::api::ApiOptions;
use touchline_simulator::push::PushOptions;
use touchline_simulator::{Options, RoomOptions};

/// The longest body that the coordinator takes, bytes.
const LIMIT: usize = 4 * 1024 * 1024;
const HEADER: usize = 16;

struct Faulty;

impl Commands for Faulty {
    fn run(&self, config: Config, socket: PathBuf) -> Result<Code, CommandError> {
        Program.run(config, socket)
    }

    fn demo(&self, options: DemoOptions) -> Result<Code, CommandError> {
        Program.demo(options)
    }

    fn demo_rooms(&self, options: DemoOptions<RoomOptions>) -> Result<Code, CommandError> {
        Program.demo_rooms(options)
    }

    fn simulate_rooms(&self, server: RoomOptions, output: OutputFormat) -> Result<Code, CommandError> {
        Program.simulate_rooms(server, output)
    }

    fn demo_poll(&self, options: DemoOptions<ApiOptions>) -> Result<Code, CommandError> {
        Program.demo_poll(options)
    }

    fn demo_push(&self, options: DemoOptions<PushOptions>) -> Result<Code, CommandError> {
        Program.demo_push(options)
    }

    fn simulate_poll(&self, server: ApiOptions, output: OutputFormat) -> Result<Code, CommandError> {
        Program.simulate_poll(server, output)
    }

    fn simulate_push(&self, server: PushOptions, output: OutputFormat) -> Result<Code, CommandError> {
        Program.simulate_push(server, output)
    }

    fn simulate(&self, server: Options, output: OutputFormat) -> Result<Code, CommandError> {
        Program.simulate(server, output)
    }

    fn child(&self, child: Child, parent: u32) -> Code {
        match (child, chosen()) {
            (Child::Worker(_), Some(kind)) => {
                let channel = child::enter(parent, "tl-bad", Signal::SIGKILL).expect("a child's start");
                misbehave(&kind, channel)
            }
            (Child::Worker(_) | Child::RECORDER | Child::GATEWAY, _) => Program.child(child, parent),
        }
    }
}

fn main() -> ExitCode {
    touchline::cli::main(&Faulty)
}

/// Which bad child this process is, if it is the one.
fn chosen() -> Option<String> {
    let text = std::env::var("TOUCHLINE_BAD_CHILD").ok()?;
    let (kind, file) = text.split_once(',')?;
    OpenOptions::new().write(true).create_new(true).open(file).ok().map(|_| kind.to_owned())
}

fn misbehave(kind: &str, channel: OwnedFd) -> Code {
    let mut socket = UnixStream::from(channel);
    socket.set_nonblocking(false).expect("a blocking channel");
    match kind {
        "other-version" => {
            let mut frame = hello(PROTO);
            // The low byte of the first field is the version of everything that follows.
            if let Some(version) = frame.first_mut() {
                *version = 9;
            }
            send(&mut socket, &frame);
            wait_for_the_end(socket)
        }
        "other-range" => {
            send(&mut socket, &hello(9));
            wait_for_the_end(socket)
        }
        "longest-frame" => {
            begin(&mut socket);
            let long = |detail: usize| {
                let state = ConnectionState::Up;
                frame(&FromWorker::Connection { state, detail: "x".repeat(detail), lost: None })
            };
            let around = long(0).len() - HEADER;
            send(&mut socket, &long(LIMIT - around));
            report_for_ever(&mut socket, Duration::from_millis(500))
        }
        "too-long-frame" => {
            begin(&mut socket);
            send(&mut socket, &header(LIMIT + 1));
            wait_for_the_end(socket)
        }
        "half-frame" => {
            begin(&mut socket);
            send(&mut socket, &header(1_000));
            send(&mut socket, &[0; 500]);
            wait_for_the_end(socket)
        }
        "half-frame-then-end" => {
            begin(&mut socket);
            send(&mut socket, &header(1_000));
            send(&mut socket, &[0; 500]);
            Code::Done
        }
        "single-bytes" => {
            for byte in hello(PROTO).into_iter().chain(frame(&FromWorker::Ready)) {
                send(&mut socket, &[byte]);
            }
            report_for_ever(&mut socket, Duration::from_millis(500))
        }
        "flood" => {
            begin(&mut socket);
            report_for_ever(&mut socket, Duration::ZERO)
        }
        "not-a-message" => {
            begin(&mut socket);
            send(&mut socket, &header(64));
            send(&mut socket, &[0xff; 64]);
            wait_for_the_end(socket)
        }
        _ => Code::Usage,
    }
}

/// HELLO and READY, without waiting for what comes between.
fn begin(socket: &mut UnixStream) {
    send(socket, &hello(PROTO));
    send(socket, &frame(&FromWorker::Ready));
}

fn hello(proto: u16) -> Vec<u8> {
    let build = "bad".to_owned();
    frame(&FromWorker::Hello(Hello { proto_min: proto, proto_max: proto, build, pid: std::process::id() }))
}

fn frame(message: &FromWorker) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(message, 0, 0, &mut bytes).expect("a frame");
    bytes
}

/// The header of a message that claims a body of this length.
fn header(length: usize) -> Vec<u8> {
    let mut bytes = frame(&FromWorker::Ready);
    let length = u32::try_from(length).expect("a length");
    bytes.truncate(HEADER);
    // The header's last field.
    bytes.splice(HEADER - 4.., length.to_le_bytes());
    bytes
}

/// Reports without a word about what it was asked: alive, and of no use.
fn report_for_ever(socket: &mut UnixStream, pause: Duration) -> Code {
    let until = Instant::now() + Duration::from_secs(120);
    let many: Vec<u8> = (0..64)
        .flat_map(|turns| frame(&FromWorker::Load(LoadReport { turns, ..LoadReport::default() })))
        .collect();
    while Instant::now() < until {
        let bytes =
            if pause.is_zero() { many.as_slice() } else { many.get(..many.len() / 64).unwrap_or_default() };
        send(socket, bytes);
        std::thread::sleep(pause);
    }
    Code::Done
}

/// A coordinator that ended the conversation is no reason to complain.
fn send(socket: &mut UnixStream, bytes: &[u8]) {
    if socket.write_all(bytes).is_err() {
        std::process::exit(0);
    }
}

/// Takes whatever comes until the channel ends.
fn wait_for_the_end(mut socket: UnixStream) -> Code {
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
    Code::Done
}
