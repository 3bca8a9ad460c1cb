//! The server's side of the saturation row: a thread that does nothing but write prepared bytes.

use crate::error::{BenchError, While};
use crate::mix::Delta;
use crate::payload::{Changes, Generated, Random, Shape};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use touchline_worker::wire::diffusion::{self, ConnectResponse, ResponseCode, TopicRef};

/// Matches of a full connection, 40,000 nodes.
pub const MATCHES: usize = 50;
/// Matches whose trees stay in the processor's nearer caches, 1,600 nodes.
pub const FEW: usize = 2;
/// 1 event, 100 markets and 700 selections in each.
const SHAPE: Shape = Shape { markets: 100, selections: 7 };
/// Bytes of a changed price on the wire.
const PRICE: usize = 43;
/// Diffs in the ring, 11 MB: more than the processor's nearer caches hold.
const RING: usize = 256 * 1024;
/// How often the ring goes over the wire.
const ROUNDS: usize = 12;
/// Diffs written to one connection.
pub const DIFFS: u64 = (RING * ROUNDS) as u64;
/// Bytes per write.
const CHUNK: usize = 256 * 1024;

/// What is written, made once.
pub struct Prepared {
    /// The answer to the handshake and the loads.
    head: Vec<u8>,
    ring: Vec<u8>,
    /// Bytes of the answer to the handshake.
    pub handshake: usize,
    matches: usize,
}

impl Prepared {
    /// The matches' topics.
    pub fn topics(&self) -> impl Iterator<Item = String> {
        (0..self.matches).map(|number| Generated { number, shape: SHAPE }.topic())
    }

    /// Makes the loads and the diffs of so many matches.
    ///
    /// # Errors
    /// When a message cannot be written.
    pub fn new(matches: usize) -> Result<Prepared, BenchError> {
        let mut head = Vec::new();
        let accepted = ConnectResponse::Accepted {
            version: diffusion::VERSION,
            code: ResponseCode::Ok,
            client_id: b"bench",
        };
        accepted.encode(&mut head).during("the handshake")?;
        let handshake = head.len();
        for number in 0..matches {
            let load = Generated { number, shape: SHAPE }.load();
            let topic = TopicRef::Named { name: load.topic.as_bytes(), alias: None };
            diffusion::load(&mut head, topic, &load.body).during("a load")?;
        }
        let mut ring = Vec::with_capacity(RING * PRICE);
        let mut random = Random::new(1);
        let mut changes = vec![Changes::default(); matches];
        for _ in 0..RING {
            let number = random.below(matches);
            let Some(changes) = changes.get_mut(number) else { continue };
            let delta = Delta::draw(Generated { number, shape: SHAPE }, changes, &mut random, None);
            let topic = TopicRef::Named { name: delta.topic.as_bytes(), alias: None };
            diffusion::delta(&mut ring, topic, delta.body.as_bytes()).during("a diff")?;
        }
        Ok(Prepared { head, ring, handshake, matches })
    }
}

/// A server for one connection.
pub struct Flood {
    /// Where it listens.
    pub address: SocketAddr,
    writer: JoinHandle<Result<(), BenchError>>,
}

impl Flood {
    /// Listens.
    ///
    /// # Errors
    /// When that fails.
    pub fn start(prepared: &Arc<Prepared>) -> Result<Flood, BenchError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("listening")?;
        let address = listener.local_addr().during("listening")?;
        let prepared = Arc::clone(prepared);
        let writer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().during("accepting")?;
            // The request is small and comes in one piece; what it says does not matter here.
            let mut request = [0; 4096];
            stream.read(&mut request).during("reading the request")?;
            stream.write_all(&prepared.head).during("writing the loads")?;
            for _ in 0..ROUNDS {
                for chunk in prepared.ring.chunks(CHUNK) {
                    stream.write_all(chunk).during("writing diffs")?;
                }
            }
            // Until the reader closes: what is on its way would be lost if this end went first.
            while stream.read(&mut request).is_ok_and(|count| count > 0) {}
            Ok(())
        });
        Ok(Flood { address, writer })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What went wrong in it.
    pub fn join(self) -> Result<(), BenchError> {
        self.writer.join().unwrap_or_else(|_| Err(BenchError::new("the writer", "it panicked")))
    }
}
