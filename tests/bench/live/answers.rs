//! An HTTP server for the row `poll`: a document for each of many sources, after a fixed time; some much later, some never.
//!
//! Healthy sources are spread over addresses of the loopback, as real ones are over hosts; the slow ones share one of their own, and so do the
//! dead ones. A thread for each connection, of which a window has few.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Addresses of healthy sources.
const HOSTS: usize = 10;
/// How long a slow one takes.
const SLOW: Duration = Duration::from_secs(10);
/// How long a dead one takes.
const NEVER: Duration = Duration::from_secs(86_400);
/// How often a thread looks whether the server stops.
const LOOK: Duration = Duration::from_millis(50);
/// Courses in a document: some 2 kB.
const COURSES: usize = 24;

/// What is asked for; each counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Healthy(usize),
    Slow(usize),
    Dead(usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Healthy(n) => write!(f, "healthy-{n}"),
            Source::Slow(n) => write!(f, "slow-{n}"),
            Source::Dead(n) => write!(f, "dead-{n}"),
        }
    }
}

/// So many of each, evenly mixed.
pub fn mixed(healthy: usize, slow: usize, dead: usize) -> Vec<Source> {
    let bad = (0..slow).map(Source::Slow).chain((0..dead).map(Source::Dead));
    let mut sources: Vec<Source> = (0..healthy).map(Source::Healthy).collect();
    let apart = healthy / (slow + dead).max(1) + 1;
    for (n, one) in bad.enumerate() {
        sources.insert((n * apart).min(sources.len()), one);
    }
    sources
}

#[derive(Debug, Default)]
struct Counted {
    /// When the first healthy source was asked for.
    first: Option<Instant>,
    /// When each answer of a healthy source was written.
    answered: Vec<Instant>,
}

struct Shared {
    latency: Duration,
    counted: Mutex<Counted>,
    stopped: AtomicBool,
}

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long; whether the server still runs then.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.stopped.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK));
        }
        false
    }
}

/// A server that runs until this is dropped.
pub struct Answers {
    port: u16,
    shared: Arc<Shared>,
}

impl Answers {
    /// Starts it; a healthy answer takes `latency`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(latency: Duration) -> io::Result<Answers> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { latency, counted: Mutex::default(), stopped: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::Builder::new().name("answers".to_owned()).spawn(move || accept(&listener, &accepting))?;
        Ok(Answers { port, shared })
    }

    /// Where a source is.
    pub fn url(&self, source: Source) -> String {
        let host = match source {
            Source::Healthy(n) => Ipv4Addr::new(127, 0, 1, u8::try_from(n % HOSTS).unwrap_or(0) + 1),
            Source::Slow(_) => Ipv4Addr::new(127, 0, 2, 1),
            Source::Dead(_) => Ipv4Addr::new(127, 0, 2, 2),
        };
        format!("http://{}/{source}", SocketAddr::from((host, self.port)))
    }

    /// When the first healthy source was asked for.
    pub fn first(&self) -> Option<Instant> {
        self.shared.counted().first
    }

    /// Answers of healthy sources so far.
    pub fn answered(&self) -> usize {
        self.shared.counted().answered.len()
    }

    /// How long after the first request so many of them were answered.
    pub fn answered_after(&self, count: usize) -> Option<Duration> {
        let counted = self.shared.counted();
        let at = counted.answered.get(count.checked_sub(1)?)?;
        Some(at.saturating_duration_since(counted.first?))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(shared);
        // Whoever gets no thread is closed, and comes again.
        let _ = thread::Builder::new().stack_size(128 << 10).spawn(move || serve(stream, &shared));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        while !line.trim_end().is_empty() {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        if !answer(&mut writer, &path, shared)? {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
fn answer(writer: &mut TcpStream, path: &str, shared: &Shared) -> io::Result<bool> {
    let is_healthy = path.starts_with("healthy-");
    let latency = if is_healthy {
        shared.counted().first.get_or_insert_with(Instant::now);
        shared.latency
    } else if path.starts_with("slow-") {
        SLOW
    } else {
        NEVER
    };
    if !shared.wait(latency) {
        return Ok(false);
    }
    let body = body(path);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    if is_healthy {
        shared.counted().answered.push(Instant::now());
    }
    Ok(true)
}

fn body(path: &str) -> String {
    let course = |n: usize| {
        format!(
            "{{\"id\":\"{path}-{n}\",\"title\":\"Course {n}\",\"places\":{},\"taught\":[\"Monday\",\"Friday\"]}}",
            n % 40
        )
    };
    let courses: Vec<String> = (0..COURSES).map(course).collect();
    format!("{{\"title\":\"Catalogue {path}\",\"courses\":[{}]}}", courses.join(","))
}
