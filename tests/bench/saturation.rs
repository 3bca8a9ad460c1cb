//! As many diffs as one worker can take: socket, session, tree, rendering at the deadline.
//!
//! [`Path::turn`] is a turn of the scanning worker's loop with the same budgets, without coordinator and recorder; the
//! server is a thread that only writes. Beside it the same bytes are only read and framed.

use crate::effort::Effort;
use crate::error::{BenchError, While};
use crate::flood::{self, DIFFS, Flood, Prepared};
use crate::forest::{self, Listener, Telling};
use crate::report::{Figure, Limit, Measured};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::time::{ClockId, clock_gettime};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::Section;
use touchline_worker::feed::Event;
use touchline_worker::feed::diffusion::{Session, SessionConfig, State};
use touchline_worker::payload::{Forest, Payload, Received};
use touchline_worker::wire::diffusion::{FrameBuffer, MessageType};

const RUNS: usize = 3;
/// As in the scanning worker.
const READ_BUDGET: usize = 256 * 1024;
/// As in the scanning worker.
const TIME_BUDGET: Duration = Duration::from_millis(1);
/// The default of the setting of that name.
const PUBLISH_DEADLINE: Duration = Duration::from_millis(20);

/// One run: how long the diffs took, by the wall and by the reading thread's own time.
struct Run {
    wall: Duration,
    cpu: Duration,
    published: u64,
    bytes: usize,
}

impl Run {
    fn rate(&self) -> f64 {
        DIFFS as f64 / 1e6 / self.wall.as_secs_f64()
    }

    fn each_ns(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / DIFFS as f64
    }
}

/// The row.
///
/// # Errors
/// [`BenchError`].
pub fn measure(effort: Effort) -> Result<Measured, BenchError> {
    let prepared = Arc::new(Prepared::new(flood::MATCHES)?);
    let few = Arc::new(Prepared::new(flood::FEW)?);
    let mut whole = Vec::new();
    let mut near = Vec::new();
    let mut encoded = Vec::new();
    let mut framed = Vec::new();
    // In turn, so that whatever else runs on the machine hurts all alike.
    let runs = effort.rounds(RUNS);
    for _ in 0..runs {
        whole.push(through_tree(&prepared, Telling::Counted)?);
        encoded.push(through_tree(&prepared, Telling::Encoded)?);
        near.push(through_tree(&few, Telling::Counted)?);
        framed.push(read_and_frame(&prepared)?);
    }
    let rates = |runs: &[Run]| runs.iter().map(Run::rate).collect::<Vec<f64>>();
    let costs = |runs: &[Run]| runs.iter().map(Run::each_ns).collect::<Vec<f64>>();
    let published = whole.iter().map(|run| run.published).sum::<u64>() as f64 / runs as f64;
    let bytes = whole.iter().map(|run| run.bytes).sum::<usize>() as f64 / runs as f64;
    let limit = costs(&framed);
    Ok(Measured {
        figures: vec![
            Figure::ratio("the whole path / read and frame", Limit::AtMost(10.0), &costs(&whole), &limit),
            Figure::ratio("each observation encoded / read and frame", Limit::None, &costs(&encoded), &limit),
            Figure::new("socket, session, tree, rendering, for a diff", "ns", Limit::None, costs(&whole)),
            Figure::new("the same, each observation encoded", "ns", Limit::None, costs(&encoded)),
            Figure::new("the same over 1,600 nodes in the nearer caches", "ns", Limit::None, costs(&near)),
            Figure::new("read and frame alone, for a diff", "ns", Limit::None, limit.clone()),
            Figure::new("the whole path", "M/s", Limit::None, rates(&whole)),
            Figure::new("read and frame alone", "M/s", Limit::None, rates(&framed)),
        ],
        notes: vec![format!(
            "{:.1} M diffs a run over loopback TCP, one in ten of the event's clock, statistics or score; the thread's \
             own time; {published:.0} sections of {:.0} MB rendered meanwhile",
            DIFFS as f64 / 1e6,
            bytes / 1e6,
        )],
    })
}

fn through_tree(prepared: &Arc<Prepared>, telling: Telling) -> Result<Run, BenchError> {
    let flood = Flood::start(prepared)?;
    let stream = std::net::TcpStream::connect(flood.address).during("connecting")?;
    let mut path = Path::new(stream, prepared, telling)?;
    let mut events = Events::with_capacity(16);
    while path.deltas < DIFFS {
        let wait = if path.drained { Some(PUBLISH_DEADLINE) } else { Some(Duration::ZERO) };
        path.poll.poll(&mut events, wait).during("waiting")?;
        if !events.is_empty() {
            path.drained = false;
        }
        path.turn()?;
    }
    path.render_rest();
    let (began, cpu) = path.began.ok_or_else(|| BenchError::new("counting diffs", "none came"))?;
    let run = Run {
        wall: began.elapsed(),
        cpu: thread_time()?.saturating_sub(cpu),
        published: path.published,
        bytes: path.bytes,
    };
    if path.failed > 0 || path.listener.observed == 0 {
        return Err(BenchError::new("applying diffs", format!("{} failed", path.failed)));
    }
    drop(path);
    flood.join()?;
    Ok(run)
}

/// A worker's path from its socket to its sections.
struct Path {
    poll: Poll,
    stream: TcpStream,
    session: Session,
    forest: Forest,
    listener: Listener,
    sections: Vec<Section<'static>>,
    start: Instant,
    drained: bool,
    deltas: u64,
    failed: u64,
    published: u64,
    bytes: usize,
    /// When the first diff was there.
    began: Option<(Instant, Duration)>,
}

impl Path {
    fn new(stream: std::net::TcpStream, prepared: &Prepared, telling: Telling) -> Result<Path, BenchError> {
        stream.set_nonblocking(true).during("the socket")?;
        let mut stream = TcpStream::from_std(stream);
        let poll = Poll::new().during("epoll")?;
        poll.registry().register(&mut stream, Token(0), Interest::READABLE).during("epoll")?;
        let start = Instant::now();
        let mut session = Session::new(SessionConfig::default(), None, start);
        let sent = stream.write(session.output()).during("the handshake")?;
        session.output_sent(sent);
        let mut forest = forest::empty()?;
        for topic in prepared.topics() {
            forest::follow(&mut forest, &topic)?;
        }
        Ok(Path {
            poll,
            stream,
            session,
            forest,
            listener: Listener::new(telling),
            sections: Vec::new(),
            start,
            drained: true,
            deltas: 0,
            failed: 0,
            published: 0,
            bytes: 0,
            began: None,
        })
    }

    fn turn(&mut self) -> Result<(), BenchError> {
        let began = Instant::now();
        let (mut taken, mut now) = (0, began);
        loop {
            if !self.drained {
                taken += self.read(now)?;
            }
            self.apply(now)?;
            if self.drained || taken >= READ_BUDGET {
                break;
            }
            now = Instant::now();
            if now - began >= TIME_BUDGET {
                break;
            }
        }
        self.session.timer(now);
        self.render_overdue();
        if self.drained {
            self.render_rest();
        }
        Ok(())
    }

    fn read(&mut self, now: Instant) -> Result<usize, BenchError> {
        let spare = self.session.spare();
        let room = spare.len();
        match self.stream.read(spare) {
            Ok(0) => Err(BenchError::new("reading", "the server closed")),
            Ok(count) => {
                self.session.filled(count, now);
                self.drained = count < room;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.drained = true;
                Ok(0)
            }
            Err(error) => Err(BenchError::new("reading", error)),
        }
    }

    fn apply(&mut self, now: Instant) -> Result<(), BenchError> {
        let received = Received { wall_us: 0, mono_ns: nanoseconds(now - self.start) };
        loop {
            if let Some(mut upcoming) = self.session.look_ahead() {
                self.forest.expect(&mut upcoming);
            }
            let Some(event) = self.session.next_event(now) else { break };
            let applied = match event {
                Event::Delta { topic, body } => {
                    if self.began.is_none() {
                        self.began = Some((now, thread_time()?));
                    }
                    self.deltas += 1;
                    self.forest.delta(topic, body, received, &mut self.listener)
                }
                Event::Snapshot { topic, body } => {
                    self.forest.load(topic, body, received, &mut self.listener)
                }
                Event::Connection(_)
                | Event::Removed { .. }
                | Event::Status { .. }
                | Event::Interrupted { .. }
                | Event::Refused { .. }
                | Event::Unchanged { .. }
                | Event::RoundEnd { .. }
                | Event::QueueDepth(_)
                | Event::Skipped(_) => continue,
            };
            self.failed += u64::from(applied.is_err());
        }
        match self.session.state() {
            State::Closed { why } => Err(BenchError::new("the session", why)),
            State::Shaking { .. } | State::Open => Ok(()),
        }
    }

    fn render_overdue(&mut self) {
        let began = Instant::now();
        let now = nanoseconds(began - self.start);
        while let Some((slot, since)) = self.forest.oldest_dirty() {
            if now.saturating_sub(since) < nanoseconds(PUBLISH_DEADLINE) {
                return;
            }
            self.publish(slot);
            if began.elapsed() >= TIME_BUDGET {
                return;
            }
        }
    }

    fn render_rest(&mut self) {
        while let Some((slot, _)) = self.forest.oldest_dirty() {
            self.publish(slot);
        }
    }

    fn publish(&mut self, slot: touchline_worker::payload::MatchSlot) {
        self.forest.render(slot, &mut self.listener, &mut self.sections);
        self.published += self.sections.len() as u64;
        self.bytes += self
            .sections
            .iter()
            .filter_map(|section| section.body.as_ref())
            .map(|body| body.len())
            .sum::<usize>();
        self.sections.clear();
    }
}

/// The same bytes, and nothing done with them.
fn read_and_frame(prepared: &Arc<Prepared>) -> Result<Run, BenchError> {
    let flood = Flood::start(prepared)?;
    let mut stream = std::net::TcpStream::connect(flood.address).during("connecting")?;
    stream.write_all(b"#").during("the handshake")?;
    let mut buffer = FrameBuffer::new(4_000_000);
    let mut deltas = 0;
    let mut began = None;
    let mut shaken = false;
    while deltas < DIFFS {
        let count = stream.read(buffer.spare()).during("reading")?;
        if count == 0 {
            return Err(BenchError::new("reading", "the server closed"));
        }
        buffer.filled(count);
        // The answer to the handshake comes with the first read, in front of the loads.
        if !shaken {
            buffer.skip(prepared.handshake);
            shaken = true;
        }
        while let Some(frame) = buffer.advance().during("framing")? {
            if frame.kind().0 == MessageType::Delta {
                if began.is_none() {
                    began = Some((Instant::now(), thread_time()?));
                }
                deltas += 1;
            }
        }
    }
    let (began, cpu) = began.ok_or_else(|| BenchError::new("counting diffs", "none came"))?;
    let run = Run { wall: began.elapsed(), cpu: thread_time()?.saturating_sub(cpu), published: 0, bytes: 0 };
    drop(stream);
    flood.join()?;
    Ok(run)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_time() -> Result<Duration, BenchError> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).during("the thread's clock")
}
