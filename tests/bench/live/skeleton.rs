//! The limit of this shape: as many processes as there are connections, each reading and framing one of them and
//! passing the raw frames on over a Unix socket to one sink. No tree, no document, no store.
//!
//! The sink notes when each numbered diff arrived and writes that to a file at its end, so that its readers cost it
//! nothing while it is measured. The processes are the benchmark itself with hidden words (`children`).

use super::hop;
use super::ledger::Ledger;
use crate::children::Child;
use crate::error::{BenchError, While};
use crate::payload::{Generated, Shape};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use touchline_worker::wire::diffusion::{self, ConnectRequest, ConnectResponse, Frame, FrameBuffer};

/// The longest frame, bytes.
pub const FRAME_LIMIT: u32 = 4_000_000;
const START: Duration = Duration::from_secs(10);
/// Number of the match, goals or 0, number of the change, time: each eight bytes.
const RECORD: usize = 32;

/// The running processes. Dropping them ends them.
pub struct Skeleton {
    // Workers go first: the sink ends when they are gone.
    workers: Vec<Process>,
    sink: Process,
    folder: TempDir,
}

struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Skeleton {
    /// Starts it: matches go to the connections by turns. With `ledger` there is a reader behind the sink, which
    /// reports to it.
    ///
    /// # Errors
    /// When a process does not start.
    pub fn start(
        server: SocketAddr,
        matches: usize,
        connections: usize,
        ledger: Option<&Arc<Ledger>>,
    ) -> Result<Skeleton, BenchError> {
        let folder = tempfile::tempdir().during("making a folder")?;
        let socket = folder.path().join("sink.sock");
        let words = [socket.display().to_string(), Skeleton::file(&folder).display().to_string()];
        let words = words.into_iter().chain([connections.to_string()]);
        let reader = folder.path().join("reader.sock");
        let reader = ledger.map(|ledger| hop::attach(&reader, ledger).map(|()| reader.display().to_string()));
        let sink = start(Child::Sink, words.chain(reader.transpose()?))?;
        let deadline = Instant::now() + START;
        while !socket.exists() {
            if Instant::now() > deadline {
                return Err(BenchError::new("starting the skeleton", "its sink does not listen"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let workers = (0..connections)
            .map(|place| {
                let words = [server.to_string(), socket.display().to_string()];
                let numbers = [matches, place, connections].map(|number| number.to_string());
                start(Child::Framer, words.into_iter().chain(numbers))
            })
            .collect::<Result<Vec<Process>, BenchError>>()?;
        Ok(Skeleton { workers, sink, folder })
    }

    /// The processes that read and frame.
    pub fn workers(&self) -> impl Iterator<Item = u32> {
        self.workers.iter().map(|process| process.0.id())
    }

    /// The sink.
    pub fn sink(&self) -> u32 {
        self.sink.0.id()
    }

    /// Ends it and reports what arrived to the ledger.
    ///
    /// # Errors
    /// When the sink has not written down what arrived.
    pub fn finish(mut self, ledger: &Ledger) -> Result<(), BenchError> {
        self.workers.clear();
        self.sink.0.wait().during("waiting for the sink")?;
        let bytes = fs::read(Skeleton::file(&self.folder)).during("reading what arrived at the sink")?;
        for record in bytes.chunks_exact(RECORD) {
            let field = |place: usize| {
                let bytes = record.get(place * 8..).and_then(|rest| rest.first_chunk::<8>());
                bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            let (goals, at) = (field(1), field(3));
            let Ok(number) = usize::try_from(field(0)) else { continue };
            ledger.seen(number, field(2), at);
            if goals > 0 {
                ledger.arrived(number, goals, at);
            }
        }
        Ok(())
    }

    fn file(folder: &TempDir) -> PathBuf {
        folder.path().join("arrived")
    }
}

fn start(child: Child, words: impl Iterator<Item = String>) -> Result<Process, BenchError> {
    let started = child.command().args(words).stdout(Stdio::null()).spawn();
    Ok(Process(started.during("starting the skeleton")?))
}

/// A process that reads and frames one connection; it ends when it is killed or the server closes.
///
/// # Errors
/// [`BenchError`].
pub fn framer(arguments: &[String]) -> Result<String, BenchError> {
    let [server, socket, numbers @ ..] = arguments else {
        return Err(BenchError::new("starting", "the server's address is missing"));
    };
    let server: SocketAddr = server.parse().during("the server's address")?;
    let numbers = numbers.iter().map(|word| word.parse::<usize>().during("a number"));
    let numbers = numbers.collect::<Result<Vec<usize>, BenchError>>()?;
    let &[matches, place, connections] = numbers.as_slice() else {
        return Err(BenchError::new("starting", "three numbers are needed"));
    };
    let mut sink = UnixStream::connect(socket).during("connecting to the sink")?;
    let mut stream = connect(server, (0..matches).filter(|number| number % connections == place))?;
    let mut buffer = FrameBuffer::new(FRAME_LIMIT);
    let mut shaken = false;
    let mut poll = Poll::new().during("epoll")?;
    poll.registry().register(&mut stream, Token(0), Interest::READABLE).during("epoll")?;
    let mut events = Events::with_capacity(1);
    let mut framed: u64 = 0;
    loop {
        poll.poll(&mut events, None).during("waiting")?;
        loop {
            let spare = buffer.spare();
            let room = spare.len();
            let count = match stream.read(spare) {
                Ok(0) => return Ok(framed.to_string()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(BenchError::new("reading", error)),
            };
            buffer.filled(count);
            if !shaken {
                let Some((_, used)) = ConnectResponse::parse(buffer.unread()).during("the handshake")? else {
                    continue;
                };
                buffer.skip(used);
                shaken = true;
            }
            framed += pass_on(&mut buffer, &mut sink)?;
            if count < room {
                break;
            }
        }
    }
}

/// Frames what is whole and writes it on in one piece.
fn pass_on(buffer: &mut FrameBuffer, sink: &mut UnixStream) -> Result<u64, BenchError> {
    let Some(first) = buffer.advance().during("framing")? else { return Ok(0) };
    let mut framed = 1;
    while buffer.advance().during("framing")?.is_some() {
        framed += 1;
    }
    write_from(buffer, first, sink)?;
    Ok(framed)
}

/// Writes the frames taken since `first` in one piece.
///
/// # Errors
/// When it cannot be written.
pub fn write_from(buffer: &mut FrameBuffer, first: Frame, to: &mut UnixStream) -> Result<(), BenchError> {
    let taken = buffer.taken_since(first);
    buffer.step_back(first);
    to.write_all(buffer.unread().get(..taken).unwrap_or_default()).during("passing frames on")?;
    buffer.skip(taken);
    Ok(())
}

fn connect(server: SocketAddr, numbers: impl Iterator<Item = usize>) -> Result<TcpStream, BenchError> {
    let mut stream = std::net::TcpStream::connect(server).during("connecting")?;
    let mut out = Vec::new();
    ConnectRequest::new(0x15, 0).encode(&mut out).during("the handshake")?;
    for number in numbers {
        let one = Generated { number, shape: Shape::of_bytes(1) };
        diffusion::subscribe(&mut out, one.topic().as_bytes()).during("subscribing")?;
    }
    stream.write_all(&out).during("subscribing")?;
    stream.set_nonblocking(true).during("the socket")?;
    Ok(TcpStream::from_std(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream as Pair;

    #[test]
    fn whole_frames_are_passed_on_and_pieces_wait() {
        let (mut near, mut far) = Pair::pair().unwrap();
        let mut bytes = Vec::new();
        for body in ["U|OD=1/2;ZC=7;|", "U|SS=3-0;ZC=8;|"] {
            let topic = diffusion::TopicRef::Named { name: b"6V00000005C1A_1_3", alias: None };
            diffusion::delta(&mut bytes, topic, body.as_bytes()).unwrap();
        }
        let mut buffer = FrameBuffer::new(FRAME_LIMIT);
        let cut = bytes.len() - 3;
        buffer.spare()[..cut].copy_from_slice(&bytes[..cut]);
        buffer.filled(cut);
        assert_eq!(pass_on(&mut buffer, &mut near).unwrap(), 1);
        buffer.spare()[..3].copy_from_slice(&bytes[cut..]);
        buffer.filled(3);
        assert_eq!(pass_on(&mut buffer, &mut near).unwrap(), 1);
        let mut got = vec![0; bytes.len()];
        far.read_exact(&mut got).unwrap();
        assert_eq!(got, bytes);
    }
}
