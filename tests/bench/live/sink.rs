//! The skeleton's sink: takes frames from all who read connections and notes when each numbered diff arrived.

use super::cpu::monotonic;
use super::pulse::number_of;
use super::skeleton::{FRAME_LIMIT, write_from};
use crate::error::{BenchError, While};
use mio::{Events, Interest, Poll, Token};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use touchline_worker::wire::diffusion::{FrameBuffer, MessageType};

/// The sink; it ends when all who write to it are gone, and then writes down what arrived.
///
/// # Errors
/// [`BenchError`].
pub fn sink(arguments: &[String]) -> Result<String, BenchError> {
    let [socket, file, connections, reader @ ..] = arguments else {
        return Err(BenchError::new("starting", "a socket, a file and a number are needed"));
    };
    let connections = connections.parse::<usize>().during("the number of connections")?;
    let mut reader =
        reader.first().map(UnixStream::connect).transpose().during("connecting to the reader")?;
    let listener = UnixListener::bind(socket).during("listening")?;
    let mut poll = Poll::new().during("epoll")?;
    let mut inputs = Vec::new();
    for place in 0..connections {
        let (stream, _) = listener.accept().during("accepting")?;
        stream.set_nonblocking(true).during("the socket")?;
        let mut stream = mio::net::UnixStream::from_std(stream);
        poll.registry().register(&mut stream, Token(place), Interest::READABLE).during("epoll")?;
        inputs.push((stream, FrameBuffer::new(FRAME_LIMIT)));
    }
    let mut events = Events::with_capacity(64);
    let mut arrived = Vec::new();
    let mut open = connections;
    while open > 0 {
        poll.poll(&mut events, None).during("waiting")?;
        for event in &events {
            let Some((stream, buffer)) = inputs.get_mut(event.token().0) else { continue };
            if !drain(stream, buffer, &mut arrived, reader.as_mut())? {
                open -= 1;
            }
        }
    }
    fs::write(file, arrived).during("writing what arrived")?;
    Ok(String::new())
}

/// Reads until drained; false when the writer is gone.
fn drain(
    stream: &mut mio::net::UnixStream,
    buffer: &mut FrameBuffer,
    arrived: &mut Vec<u8>,
    mut reader: Option<&mut UnixStream>,
) -> Result<bool, BenchError> {
    loop {
        let spare = buffer.spare();
        let room = spare.len();
        let count = match stream.read(spare) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            // A writer that was killed with bytes unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(BenchError::new("reading", error)),
        };
        buffer.filled(count);
        let at = monotonic();
        let mut first = None;
        while let Some(frame) = buffer.advance().during("framing")? {
            first = first.or(Some(frame));
            if frame.kind().0 == MessageType::Delta
                && let Some(diff) = recognise(buffer.first_header(frame), buffer.body(frame))
            {
                note(diff, at, arrived);
            }
        }
        if let Some((first, reader)) = first.zip(reader.as_mut()) {
            write_from(buffer, first, reader)?;
        }
        if count < room {
            return Ok(true);
        }
    }
}

/// A numbered diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Its match.
    pub number: usize,
    /// The home side's goals, if it says so.
    pub goals: u64,
    /// Its number.
    pub change: u64,
}

/// A diff by its topic and body, if it is numbered.
pub fn recognise(topic: &[u8], body: &[u8]) -> Option<Diff> {
    const MARK: &[u8] = b"ZC=";
    const SCORE: &[u8] = b"U|SS=";
    let number = std::str::from_utf8(topic).ok().and_then(number_of)?;
    let change = digits_behind(body, MARK)?;
    let goals = if body.starts_with(SCORE) { digits_behind(body, SCORE).unwrap_or(0) } else { 0 };
    Some(Diff { number, goals, change })
}

fn note(diff: Diff, at: u64, arrived: &mut Vec<u8>) {
    for field in [diff.number as u64, diff.goals, diff.change, at] {
        arrived.extend_from_slice(&field.to_le_bytes());
    }
}

/// The number that stands behind `mark`.
fn digits_behind(body: &[u8], mark: &[u8]) -> Option<u64> {
    let at = body.windows(mark.len()).position(|window| window == mark)?;
    let rest = body.get(at + mark.len()..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum: u64, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_diff_is_recognised() {
        let goal = recognise(b"6V00000005C1A_1_3", b"U|SS=3-0;ZC=8;|");
        assert_eq!(goal, Some(Diff { number: 5, goals: 3, change: 8 }));
        let price = recognise(b"OV00000005-000000001_1_3", b"U|OD=3/10;ZC=9;|");
        assert_eq!(price, Some(Diff { number: 5, goals: 0, change: 9 }));
        assert_eq!(recognise(b"TE00000005-0_1_3", b"U|S1=3;|"), None);
    }
}
