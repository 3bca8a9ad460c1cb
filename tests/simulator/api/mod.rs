//! A simulated HTTP API with a known truth: a list in pages, a body for each match, fixed documents, and the ways in which such
//! servers fail.
//!
//! `world` is what is true, `fault` what goes wrong, `http` the wire, `socket` the WebSocket beside it; here is the server, a thread for
//! each connection. Paths: `/matches?page=N&page_size=M`, `/matches/ID`, `/matches/ID/events`, `/catalogue/N`, `/socket`, and the truth at
//! `/truth/…`. Callers: the demo, the end-to-end tests, the benchmarks.

mod fault;
mod http;
mod judge;
mod socket;
#[cfg(test)]
mod tests;
mod world;

pub use fault::Behaviour;
pub use judge::{ApiJudge, ApiReport};
pub use world::{EventKind, Happening, Team};

use fault::Behaviours;
use foldhash::quality::FixedState;
use http::{Request, Response, pause, read_request, trickle};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use world::World;

/// Connections at once; more are closed.
const CONNECTIONS: usize = 2_048;
/// How often a thread looks whether the server stops.
const LOOK: Duration = Duration::from_millis(100);
/// How often what is due happens.
const TICK: Duration = Duration::from_millis(5);
const PAGE: usize = 100;

#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Matches in play.
    pub matches: usize,
    pub documents: usize,
    /// Changes a second, over everything.
    pub rate: f64,
    /// Matches that end, and others that appear, a minute.
    pub churn: f64,
    pub seed: u64,
}

impl Default for ApiOptions {
    fn default() -> Self {
        ApiOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            matches: 50,
            documents: 0,
            rate: 100.0,
            churn: 0.0,
            seed: 1,
        }
    }
}

/// What was asked of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub requests: u64,
    /// Answered with 304.
    pub unchanged: u64,
    /// Being answered now, and the most that ever were.
    pub now: u64,
    pub most: u64,
}

struct Shared {
    world: Mutex<World>,
    behaviours: Mutex<Behaviours>,
    /// By path, without the query.
    asked: Mutex<HashMap<String, Asked>>,
    connections: AtomicUsize,
    /// Matches that sockets push, over all of them.
    subscriptions: AtomicUsize,
    sockets_closed: AtomicBool,
    paused: AtomicBool,
    stopped: AtomicBool,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviours(&self) -> MutexGuard<'_, Behaviours> {
        self.behaviours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::SeqCst)
    }
}

/// A server that runs until this is dropped.
pub struct Api {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Api {
    /// Binds and serves on threads of its own.
    ///
    /// # Errors
    /// When the address cannot be bound or a thread not be started.
    pub fn start(options: &ApiOptions) -> io::Result<Api> {
        Api::begin(options, AtomicBool::new(false))
    }

    /// As [`Api::start`]; nothing changes before [`Api::resume`].
    ///
    /// # Errors
    /// As [`Api::start`].
    pub fn start_paused(options: &ApiOptions) -> io::Result<Api> {
        Api::begin(options, AtomicBool::new(true))
    }

    fn begin(options: &ApiOptions, paused: AtomicBool) -> io::Result<Api> {
        let listener = TcpListener::bind(options.listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(options.seed, options.matches, options.documents)),
            behaviours: Mutex::default(),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            subscriptions: AtomicUsize::new(0),
            sockets_closed: AtomicBool::new(false),
            paused,
            stopped: AtomicBool::new(false),
        });
        let (serving, ticking, options) = (Arc::clone(&shared), Arc::clone(&shared), options.clone());
        let threads = vec![
            thread::Builder::new().name("api".into()).spawn(move || accept(&listener, &serving))?,
            thread::Builder::new().name("api-world".into()).spawn(move || run(&ticking, &options))?,
        ];
        Ok(Api { address, shared, threads })
    }

    /// What happens on paths that begin so, from now on.
    pub fn behave(&self, prefix: &str, behaviour: Behaviour) {
        self.shared.behaviours().set(prefix, behaviour);
    }

    /// Nothing changes any more.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::SeqCst);
        // A tick that had not seen that holds the lock until it is done.
        drop(self.shared.world());
    }

    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    /// WebSockets are ended, and none is accepted.
    pub fn close_sockets(&self) {
        self.shared.sockets_closed.store(true, Ordering::SeqCst);
    }

    pub fn open_sockets(&self) {
        self.shared.sockets_closed.store(false, Ordering::SeqCst);
    }

    /// Matches that are pushed now.
    pub fn pushed(&self) -> usize {
        self.shared.subscriptions.load(Ordering::SeqCst)
    }

    /// A match in play ends, another is listed.
    pub fn churn(&self) {
        self.shared.world().churn();
    }

    /// The list names nothing.
    pub fn empty_list(&self) {
        self.shared.world().empty_list();
    }

    pub fn fill_list(&self) {
        self.shared.world().fill_list();
    }

    pub fn listed(&self) -> Vec<String> {
        self.shared.world().listed()
    }

    /// What is true of a match now: its document's members, and the number of its newest change.
    pub fn truth(&self, id: &str) -> Option<serde_json::Value> {
        self.shared.world().truth(id)
    }

    /// A fixed document as it is now; they count from 0.
    pub fn fixed(&self, place: usize) -> Option<serde_json::Value> {
        self.shared.world().fixed(place)
    }

    /// Requests so far, on all paths.
    pub fn requests(&self) -> u64 {
        self.shared.asked().values().map(|asked| asked.requests).sum()
    }

    /// Each path that was asked for.
    pub fn asked(&self) -> HashMap<String, Asked> {
        self.shared.asked().clone()
    }

    /// A judge of what is made of all this.
    pub fn judge(&self) -> ApiJudge {
        ApiJudge::new(Arc::clone(&self.shared))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Lets happen what is due.
fn run(shared: &Shared, options: &ApiOptions) {
    let (mut changes, mut churned) = (0.0, 0.0);
    let mut before = Instant::now();
    while shared.goes_on() {
        thread::sleep(TICK);
        let elapsed = before.elapsed().as_secs_f64();
        before = Instant::now();
        let mut world = shared.world();
        if shared.paused.load(Ordering::SeqCst) {
            continue;
        }
        changes += elapsed * options.rate;
        churned += elapsed * options.churn / 60.0;
        world.step(changes as usize);
        changes = changes.fract();
        if churned >= 1.0 {
            churned -= 1.0;
            world.churn();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if !shared.goes_on() {
            return;
        }
        if shared.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            shared.connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let of_thread = Arc::clone(shared);
        let serve = move || {
            if let Err(error) = serve(stream, &of_thread) {
                log::debug!("simulator.api connection ended: {error}");
            }
            of_thread.connections.fetch_sub(1, Ordering::SeqCst);
        };
        if let Err(error) =
            thread::Builder::new().name("api-client".into()).stack_size(256 << 10).spawn(serve)
        {
            log::warn!("simulator.api no thread for a client: {error}");
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_nodelay(true)?;
    let go_on = || shared.goes_on();
    while let Some(request) = read_request(&mut stream, &go_on)? {
        if request.place() == socket::PATH {
            return socket::serve(&mut stream, &request, shared);
        }
        {
            let mut asked = shared.asked();
            let of_path = asked.entry(request.place().to_owned()).or_default();
            of_path.requests += 1;
            of_path.now += 1;
            of_path.most = of_path.most.max(of_path.now);
        }
        let answered = answer(&mut stream, &request, shared);
        if let Some(of_path) = shared.asked().get_mut(request.place()) {
            of_path.now = of_path.now.saturating_sub(1);
        }
        answered?;
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let go_on = || shared.goes_on();
    let behaviour = shared.behaviours().of(&request.path);
    let send = |stream: &mut TcpStream, response: &Response| {
        stream.write_all(&[response.head(response.body.len()), response.body.clone()].concat())
    };
    let text =
        |body: String| Response { body: body.into_bytes(), ..Response::json(&serde_json::Value::Null) };
    let redirect = |to: String| Response { headers: vec![("location", to)], ..Response::html(302) };
    match behaviour {
        Behaviour::Prompt => send(stream, &route(request, shared)),
        Behaviour::Slow(time) => {
            pause(time, &go_on);
            send(stream, &route(request, shared))
        }
        Behaviour::Trickle(piece, every) => {
            let response = route(request, shared);
            stream.write_all(&response.head(response.body.len()))?;
            trickle(stream, &response.body, piece, every, &go_on)
        }
        Behaviour::Dead => {
            pause(Duration::from_secs(3_600), &go_on);
            Err(io::ErrorKind::TimedOut.into())
        }
        Behaviour::Status(status) => send(stream, &Response::html(status)),
        Behaviour::TooMany(time) => {
            let headers = vec![("retry-after", time.as_secs().to_string())];
            send(stream, &Response { headers, ..Response::html(429) })
        }
        Behaviour::Cut => {
            let response = route(request, shared);
            let half = response.body.get(..response.body.len() / 2).unwrap_or_default();
            stream.write_all(&[response.head(response.body.len()), half.to_vec()].concat())?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Behaviour::Understated => {
            let response = route(request, shared);
            stream.write_all(&[response.head(response.body.len() / 2), response.body].concat())
        }
        Behaviour::Html => send(stream, &Response::html(200)),
        Behaviour::Garbage => send(stream, &text("[[garbage".to_owned())),
        Behaviour::Deep(depth) => send(stream, &text("[".repeat(depth))),
        Behaviour::Large(bytes) => send(stream, &text(format!("\"{}\"", "x".repeat(bytes)))),
        Behaviour::Circle => send(stream, &redirect(request.path.clone())),
        Behaviour::ToFile => send(stream, &redirect("file:///etc/hostname".to_owned())),
    }
}

fn route(request: &Request, shared: &Shared) -> Response {
    if request.method != "GET" {
        return Response::html(405);
    }
    let number = |name: &str, default: usize| {
        request.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let world = shared.world();
    let place = request.place();
    let found = if place == "/matches" {
        Some(world.page(number("page", 1), number("page_size", PAGE)))
    } else if let Some(rest) = place.strip_prefix("/matches/") {
        match rest.strip_suffix("/events") {
            Some(id) => world.events(id),
            None => world.body(rest),
        }
    } else if let Some(id) = place.strip_prefix("/truth/") {
        world.truth(id)
    } else {
        place.strip_prefix("/catalogue/").and_then(|place| world.fixed(place.parse().ok()?))
    };
    drop(world);
    let Some(body) = found else { return Response::html(404) };
    let mut response = Response::json(&body);
    let tag = format!("\"{:016x}\"", FixedState::default().hash_one(&response.body));
    if request.header("if-none-match") == Some(tag.as_str()) {
        if let Some(of_path) = shared.asked().get_mut(place) {
            of_path.unchanged += 1;
        }
        response = Response { status: 304, headers: Vec::new(), body: Vec::new() };
    }
    response.headers.push(("etag", tag));
    response
}
