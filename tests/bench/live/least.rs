//! The least that any client of rooms does: what the server sends is read, unpacked and split into packets, and no more.
//!
//! One thread with a socket for each room, through the codec of the worker. Its processor time is the thread's own: the server is in the
//! same process. Called by `rooms`.

use crate::error::{BenchError, While};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::time::{ClockId, clock_gettime};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use touchline_worker::wire::rooms::{Decoder, JoinAuth, Limits, write_join};

const READ: usize = 64 * 1024;
/// Between two looks at whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A thread that reads rooms. Dropped, it ends.
pub(super) struct Least {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Nanoseconds of processor time.
    used: AtomicU64,
    packets: AtomicU64,
}

/// A room's connection.
struct Room {
    stream: TcpStream,
    decoder: Decoder,
}

impl Least {
    /// Joins these rooms; bodies come in zlib.
    ///
    /// # Errors
    /// When one cannot be joined.
    pub(super) fn start(address: SocketAddr, rooms: &[u64]) -> Result<Least, BenchError> {
        let auth = JoinAuth::parse("protover = 2\n").during("writing a join")?;
        let poll = Poll::new().during("making a poll")?;
        let mut joined = Vec::new();
        for (place, room) in rooms.iter().enumerate() {
            let mut stream = std::net::TcpStream::connect(address).during("connecting to the room server")?;
            let mut join = Vec::new();
            write_join(&mut join, &room.to_string(), &auth);
            stream.write_all(&join).during("joining a room")?;
            stream.set_nonblocking(true).during("joining a room")?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(place), Interest::READABLE)
                .during("watching a socket")?;
            joined.push(Room { stream, decoder: Decoder::new(Limits::default()) });
        }
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("least".into()).spawn(move || run(poll, joined, &told));
        Ok(Least { shared, thread: Some(thread.during("starting a thread")?) })
    }

    /// Processor time so far.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.shared.used.load(Ordering::Relaxed))
    }

    /// Packets so far, of which a message may be several.
    pub(super) fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }
}

impl Drop for Least {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // It looks at that all the time; what it may have panicked with is printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(mut poll: Poll, mut rooms: Vec<Room>, shared: &Shared) {
    let mut events = Events::with_capacity(1_024);
    let mut bytes = vec![0; READ];
    while !shared.is_over.load(Ordering::Relaxed) {
        if poll.poll(&mut events, Some(LOOK)).is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
            return;
        }
        for event in &events {
            let Some(room) = rooms.get_mut(event.token().0) else { continue };
            shared.packets.fetch_add(read(room, &mut bytes), Ordering::Relaxed);
        }
        let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default();
        shared.used.store(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Takes all that a room's socket has; how many packets that were.
fn read(room: &mut Room, bytes: &mut [u8]) -> u64 {
    let Room { stream, decoder } = room;
    let mut packets = 0;
    // What fails here shows by what is missing.
    while let Ok(count @ 1..) = stream.read(bytes) {
        decoder.push(bytes.get(..count).unwrap_or_default());
        while let Some(packet) = decoder.next() {
            packets += u64::from(packet.is_ok());
        }
    }
    packets
}
