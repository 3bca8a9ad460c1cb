//! The requests of one libcurl multi handle: who waits, who is in flight, what came of it.
//!
//! Invariants: each request that was started and not cancelled has one outcome, in the order in which they were complete; a place in
//! the window is given on in the same turn. Redirects are followed here, not by libcurl: each hop is judged, and has a place under
//! its own host's limit.

use super::queue::{Host, Queue, WAITING_MAX};
use super::redirect;
use super::sockets::{Sockets, Timer};
use super::transfer::{self, Collector, Headers, Size, TurnTime};
use super::{Answer, HttpError, Outcome, Request, RequestId};
use crate::net::Readiness;
use curl::easy::Easy2;
use curl::multi::{Easy2Handle, Multi};
use mio::{Registry, Token};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

/// Connections that are kept open for the next request of their host.
const CONNECTIONS_KEPT: usize = 1_024;
/// How often libcurl is called in a turn when it wants to be called again at once.
const CALLS_PER_TURN: usize = 8;
/// The time limits are looked at this often at least, so that no sum of times overflows.
const LOOK_MAX: Duration = Duration::from_secs(3600);

/// See the module. It is driven by its owner's loop: [`Http::note`], [`Http::advance`], [`Http::next`], and [`Http::deadline`] to wait.
pub struct Http {
    // Before `multi`: a handle that is dropped calls back into it.
    flights: Slab<Flight>,
    multi: Multi,
    sockets: Sockets,
    queue: Queue,
    waiting: HashMap<RequestId, Job>,
    /// Where those in flight are.
    places: HashMap<RequestId, usize>,
    finished: VecDeque<(RequestId, Outcome)>,
    time: TurnTime,
    /// When the next time limit of one in flight may pass.
    limits_at: Option<Instant>,
    started: u64,
    /// Followed, and not taken.
    redirects: u32,
    opened: Instant,
}

/// A request from its start to its outcome.
#[derive(Debug)]
struct Job {
    request: Request,
    /// Where it goes now, after redirects another than the request's.
    url: String,
    host: Host,
    home: Host,
    redirects: u32,
    /// When it first had a place.
    began: Option<Instant>,
}

#[derive(Debug)]
struct Flight {
    id: RequestId,
    job: Job,
    began: Instant,
    /// When this hop was sent.
    sent: Instant,
    handle: Easy2Handle<Collector>,
}

impl Http {
    /// With one token, `first`; `window` requests in flight at most and beside them those that are late (see `queue`), `per_host` of one
    /// server.
    ///
    /// # Errors
    /// [`HttpError::Other`]: the kernel or libcurl cannot.
    pub fn new(first: Token, window: usize, per_host: usize) -> Result<Http, HttpError> {
        let cannot = |why: &dyn fmt::Display| HttpError::Other(format!("HTTP cannot be set up: {why}"));
        let mut multi = Multi::new();
        multi.pipelining(false, true).map_err(|error| cannot(&error))?;
        multi.set_max_connects(CONNECTIONS_KEPT.max(window)).map_err(|error| cannot(&error))?;
        let sockets = Sockets::new(first, &mut multi).map_err(|error| cannot(&error))?;
        Ok(Http {
            flights: Slab::new(),
            multi,
            sockets,
            queue: Queue::new(window, per_host),
            waiting: HashMap::new(),
            places: HashMap::new(),
            finished: VecDeque::new(),
            time: TurnTime::new(),
            limits_at: None,
            started: 0,
            redirects: 0,
            opened: Instant::now(),
        })
    }

    /// Asks, as soon as the window and the host have room: of the hosts with room the longest waiting request goes
    /// first, see [`Urgency`](super::Urgency).
    ///
    /// # Errors
    /// [`HttpError`]: a url that is neither http nor https, or more than 100,000 wait.
    pub fn start(&mut self, request: Request, now: Instant) -> Result<RequestId, HttpError> {
        let host = redirect::host(&request.url)?;
        if self.queue.waiting() >= WAITING_MAX {
            return Err(HttpError::Other(format!("{WAITING_MAX} requests wait already")));
        }
        self.started += 1;
        let id = RequestId(self.started);
        let url = request.url.clone();
        self.enqueue(id, Job { request, url, home: host.clone(), host, redirects: 0, began: None });
        self.fill(now);
        Ok(id)
    }

    /// Gives a request up; it has no outcome.
    pub fn cancel(&mut self, id: RequestId) {
        if let Some(job) = self.waiting.remove(&id) {
            self.queue.withdraw(id, job.host);
        } else if let Some(flight) = self.places.get(&id).and_then(|place| self.flights.try_remove(*place)) {
            let _ = self.land(flight);
            // Its place is free, which nothing else announces.
            self.sockets.wake();
        } else {
            self.finished.retain(|(finished, _)| *finished != id);
        }
    }

    /// The poll saw something of the socket of `token`.
    pub fn note(&mut self, token: Token, _: Readiness) {
        self.sockets.note(token);
    }

    /// When [`Http::advance`] has something to do, readiness apart.
    pub fn deadline(&self) -> Option<Instant> {
        let timer = match self.sockets.timer() {
            Timer::Never => None,
            Timer::Soon => Some(self.opened),
            Timer::At(due) => Some(due),
        };
        [timer, self.limits_at, self.queue.late_at()].into_iter().flatten().min()
    }

    /// Does what is due, and what a readiness event may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        self.time.set(now);
        // What the kernel refuses here stalls, and fails by its time limit.
        let _ = self.sockets.act(&self.multi, registry);
        self.collect(now);
        self.check_limits(now);
        self.fill(now);
        for _ in 0..CALLS_PER_TURN {
            if !self.sockets.take_due(now) {
                return;
            }
            let _ = self.multi.timeout();
            self.collect(now);
            self.fill(now);
        }
    }

    /// The next outcome: of what was complete first.
    #[allow(clippy::should_implement_trait, reason = "no iterator: after none there may be more")]
    pub fn next(&mut self) -> Option<(RequestId, Outcome)> {
        self.finished.pop_front()
    }

    /// Whether nothing waits, nothing is in flight, and each outcome was taken.
    pub fn is_idle(&self) -> bool {
        self.queue.in_flight() == 0 && self.queue.waiting() == 0 && self.finished.is_empty()
    }

    /// Redirects that were followed since the last time: each is a request that a server counts.
    pub fn take_redirects(&mut self) -> u32 {
        std::mem::take(&mut self.redirects)
    }

    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    pub fn queued(&self) -> usize {
        self.queue.waiting()
    }

    fn enqueue(&mut self, id: RequestId, job: Job) {
        self.queue.push(id, job.request.urgency, job.host.clone());
        self.waiting.insert(id, job);
    }

    /// Starts whoever has room.
    fn fill(&mut self, now: Instant) {
        while let Some(id) = self.queue.start(now) {
            let Some(job) = self.waiting.remove(&id) else { continue };
            let host = job.host.clone();
            if let Err(why) = self.launch(id, job, now) {
                self.queue.done(id, host);
                self.finished.push_back((id, Outcome::Failed(why)));
            }
        }
    }

    fn launch(&mut self, id: RequestId, mut job: Job, now: Instant) -> Result<(), HttpError> {
        let headers = if job.host == job.home { Headers::OfRequest } else { Headers::None };
        let easy = transfer::easy(&job.request, &job.url, headers, self.time.clone())?;
        let other = |error: &dyn fmt::Display| HttpError::Other(format!("libcurl takes no request: {error}"));
        let mut handle = self.multi.add2(easy).map_err(|error| other(&error))?;
        let place = self.flights.vacant_entry();
        handle.set_token(place.key()).map_err(|error| other(&error))?;
        let began = *job.began.get_or_insert(now);
        self.places.insert(id, place.key());
        let flight = place.insert(Flight { id, job, began, sent: now, handle });
        let left = flight.left(now).map_or(Duration::ZERO, |left| left.min(LOOK_MAX));
        let limit = now + left;
        self.limits_at = Some(self.limits_at.map_or(limit, |at| at.min(limit)));
        Ok(())
    }

    /// Takes what libcurl is done with.
    fn collect(&mut self, now: Instant) {
        let mut done = Vec::new();
        let Http { multi, flights, .. } = self;
        multi.messages(|message| {
            if let Ok(place) = message.token()
                && let Some(flight) = flights.get(place)
                && let Some(result) = message.result_for2(&flight.handle)
            {
                done.push((place, result.map_err(HttpError::from)));
            }
        });
        for (place, result) in done {
            if let Some(flight) = self.flights.try_remove(place) {
                self.finish(flight, result, now);
            }
        }
    }

    /// Ends what passed its time.
    fn check_limits(&mut self, now: Instant) {
        if self.limits_at.is_none_or(|at| now < at) {
            return;
        }
        let mut passed = Vec::new();
        let mut next: Option<Duration> = None;
        for (place, flight) in &self.flights {
            match flight.left(now) {
                Ok(left) => next = Some(next.map_or(left, |next| next.min(left))),
                Err(why) => passed.push((place, why)),
            }
        }
        self.limits_at = next.map(|left| now + left.min(LOOK_MAX));
        for (place, why) in passed {
            if let Some(flight) = self.flights.try_remove(place) {
                self.finish(flight, Err(why), now);
            }
        }
    }

    fn finish(&mut self, flight: Flight, result: Result<(), HttpError>, now: Instant) {
        let (id, began, sent) = (flight.id, flight.began, flight.sent);
        let (job, easy) = self.land(flight);
        let Some(mut easy) = easy else {
            return self.fail(id, HttpError::Other("libcurl gave a request up".to_owned()));
        };
        if easy.get_ref().size == Size::TooLarge {
            return self.fail(id, HttpError::TooLarge);
        }
        if let Err(why) = result {
            return self.fail(id, why);
        }
        let status = easy.response_code().ok().and_then(|code| u16::try_from(code).ok()).unwrap_or_default();
        if let Some(to) = redirects_to(status, &easy) {
            return self.redirect(id, job, to);
        }
        let collector = easy.get_mut();
        let since = |at: Instant| at.saturating_duration_since(began);
        let answer = Answer {
            status,
            body: std::mem::take(&mut collector.body),
            headers: std::mem::take(&mut collector.headers),
            first_byte: since(collector.first_byte.unwrap_or(now)),
            took: since(now),
        };
        self.queue.answered(now.saturating_duration_since(sent));
        self.finished.push_back((id, Outcome::Answered(answer)));
    }

    fn redirect(&mut self, id: RequestId, mut job: Job, to: String) {
        job.redirects += 1;
        match redirect::target(&job.host, &to, job.redirects) {
            Ok(host) => {
                self.redirects = self.redirects.saturating_add(1);
                job.host = host;
                job.url = to;
                self.enqueue(id, job);
            }
            Err(why) => self.fail(id, why),
        }
    }

    fn fail(&mut self, id: RequestId, why: HttpError) {
        self.finished.push_back((id, Outcome::Failed(why)));
    }

    /// Takes a request out of the multi handle, and gives its place back.
    fn land(&mut self, flight: Flight) -> (Job, Option<Easy2<Collector>>) {
        let Flight { id, job, handle, .. } = flight;
        self.places.remove(&id);
        self.queue.done(id, job.host.clone());
        (job, self.multi.remove2(handle).ok())
    }
}

impl Flight {
    /// The time it has left.
    ///
    /// # Errors
    /// It has none: [`HttpError::Timeout`] or [`HttpError::Stalled`].
    fn left(&self, now: Instant) -> Result<Duration, HttpError> {
        let heard = self.handle.get_ref().last_byte.map_or(self.sent, |at| at.max(self.sent));
        let of = |limit: Duration, since: Instant, why: HttpError| {
            let left = limit.saturating_sub(now.saturating_duration_since(since));
            if left.is_zero() { Err(why) } else { Ok(left) }
        };
        let whole = of(self.job.request.whole, self.began, HttpError::Timeout)?;
        let idle = of(self.job.request.idle, heard, HttpError::Stalled)?;
        Ok(whole.min(idle))
    }
}

fn redirects_to(status: u16, easy: &Easy2<Collector>) -> Option<String> {
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    is_redirect.then(|| easy.redirect_url().ok().flatten().map(str::to_owned)).flatten()
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, waiting) = (self.queue.in_flight(), self.queue.waiting());
        f.debug_struct("Http").field("in_flight", &running).field("queued", &waiting).finish_non_exhaustive()
    }
}
