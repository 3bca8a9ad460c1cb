//! The engine against a real server on loopback.

mod server;

use super::*;
use crate::net::Readiness;
use mio::{Events, Poll, Token};
use server::Server;
use std::net::TcpListener;
use std::time::Instant;

/// The window and its limit per host alone, for simulations.
pub(crate) struct Places(queue::Queue);

impl Places {
    pub(crate) fn new(window: usize, per_host: usize) -> Places {
        Places(queue::Queue::new(window, per_host))
    }

    pub(crate) fn push(&mut self, id: u64, url: &str) {
        self.0.push(RequestId(id), Urgency::Normal, redirect::host(url).unwrap());
    }

    pub(crate) fn start(&mut self, now: Instant) -> Option<u64> {
        self.0.start(now).map(|id| id.0)
    }

    pub(crate) fn done(&mut self, id: u64, url: &str) {
        self.0.done(RequestId(id), redirect::host(url).unwrap());
    }

    pub(crate) fn answered(&mut self, took: Duration) {
        self.0.answered(took);
    }

    /// In flight at most, of a window of so many.
    pub(crate) fn most(window: usize) -> usize {
        window * (1 + queue::LATE_PER_PLACE)
    }
}

const TOKEN: Token = Token(7);
const LONG: Duration = Duration::from_secs(20);

struct Loop {
    poll: Poll,
    http: Http,
    turns: u32,
    outcomes: Vec<(RequestId, Outcome)>,
}

impl Loop {
    fn new(window: usize, per_host: usize) -> Loop {
        let http = Http::new(TOKEN, window, per_host).unwrap();
        Loop { poll: Poll::new().unwrap(), http, turns: 0, outcomes: Vec::new() }
    }

    fn start(&mut self, url: &str) -> RequestId {
        self.http.start(request(url), Instant::now()).unwrap()
    }

    fn turn(&mut self, longest: Duration) {
        let now = Instant::now();
        let due = self.http.deadline().map_or(longest, |due| due.saturating_duration_since(now));
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(due.min(longest))).unwrap();
        for event in &events {
            self.http.note(event.token(), Readiness::of(event));
        }
        self.http.advance(self.poll.registry(), Instant::now());
        self.turns += 1;
        self.outcomes.extend(std::iter::from_fn(|| self.http.next()));
    }

    fn until(&mut self, is_done: impl Fn(&Loop) -> bool) {
        let end = Instant::now() + LONG;
        while !is_done(self) {
            assert!(Instant::now() < end, "{:?}, {:?}", self.http, self.outcomes);
            self.turn(end.saturating_duration_since(Instant::now()));
        }
    }

    fn outcome(&mut self, request: Request) -> Outcome {
        let id = self.http.start(request, Instant::now()).unwrap();
        self.until(|this| this.of(id).is_some());
        self.of(id).unwrap().clone()
    }

    fn answer(&mut self, url: &str) -> Answer {
        match self.outcome(request(url)) {
            Outcome::Answered(answer) => answer,
            Outcome::Failed(why) => panic!("{url}: {why}"),
        }
    }

    fn of(&self, id: RequestId) -> Option<&Outcome> {
        self.outcomes.iter().find(|(of, _)| *of == id).map(|(_, outcome)| outcome)
    }
}

fn request(url: &str) -> Request {
    Request {
        url: url.to_owned(),
        headers: Vec::new(),
        proxy: String::new(),
        ca_file: String::new(),
        insecure: false,
        whole: LONG,
        idle: LONG,
        body_limit: 10_000_000,
        urgency: Urgency::Normal,
    }
}

#[test]
fn connections_are_kept_and_bodies_arrive_whole_and_decompressed() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    for n in 0..5 {
        assert_eq!(this.answer(&server.at(&format!("/a{n}"))).body, format!("/a{n}").as_bytes());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(this.answer(&server.at("/large")).body.len(), 5_000_000);
    let gzip = this.answer(&server.at("/gzip"));
    assert_eq!((gzip.body.as_slice(), gzip.header("content-encoding")), (&[b'z'; 50_000][..], Some("gzip")));
    assert!(this.http.is_idle());
}

#[test]
fn a_tag_is_sent_and_an_unchanged_document_is_said_to_be_so() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    assert_eq!(this.answer(&server.at("/tagged")).header("etag"), Some("\"a\""));
    let headers =
        vec![("If-None-Match".to_owned(), "\"a\"".to_owned()), ("X-Empty".to_owned(), String::new())];
    let Outcome::Answered(answer) = this.outcome(Request { headers, ..request(&server.at("/tagged")) })
    else {
        panic!()
    };
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert!(server.heads()[1].contains("X-Empty:"));
}

#[test]
fn a_slow_host_takes_no_more_than_its_places_and_holds_up_nobody() {
    let (slow, quick) = (Server::start(), Server::start());
    let mut this = Loop::new(6, 4);
    let held: Vec<_> = (0..8).map(|_| this.start(&slow.at("/held"))).collect();
    let quick: Vec<_> = (0..20).map(|n| this.start(&quick.at(&format!("/{n}")))).collect();
    this.until(|this| this.outcomes.len() == 20);
    let order: Vec<_> = this.outcomes.iter().map(|(id, _)| *id).collect();
    assert!(quick.iter().all(|id| order.contains(id)));
    slow.wait_for(4);
    assert_eq!((this.http.in_flight(), this.http.queued()), (4, 4));
    held.iter().for_each(|_| slow.release());
    this.until(|this| this.http.is_idle());
    assert_eq!(slow.most(), 4);
}

#[test]
fn whoever_is_complete_first_comes_first() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    let held = this.start(&server.at("/held"));
    let quick = this.start(&server.at("/quick"));
    this.until(|this| this.of(quick).is_some());
    assert_eq!(this.of(held), None);
    server.release();
    this.until(|this| this.of(held).is_some());
}

#[test]
fn it_does_not_spin_while_it_waits() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    let held = [this.start(&server.at("/held")), this.start(&server.at("/held"))];
    let end = Instant::now() + Duration::from_millis(700);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        this.turn(left);
    }
    // Connecting, sending, and libcurl's own timers; a loop that spins has many thousands.
    assert!(this.turns < 60, "{} turns", this.turns);
    held.iter().for_each(|_| server.release());
    this.until(|this| this.http.is_idle());
}

#[test]
fn a_body_a_byte_at_a_time_ends_by_the_whole_limit_and_silence_by_the_other() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    let limits = |path: &str, whole, idle| Request {
        whole: Duration::from_millis(whole),
        idle: Duration::from_millis(idle),
        ..request(&server.at(path))
    };
    assert_eq!(this.outcome(limits("/trickle", 400, 300)), Outcome::Failed(HttpError::Timeout));
    assert_eq!(this.outcome(limits("/silent", 10_000, 200)), Outcome::Failed(HttpError::Stalled));
    assert_eq!(this.outcome(limits("/held", 10_000, 200)), Outcome::Failed(HttpError::Stalled));
}

#[test]
fn what_a_server_does_wrong_is_named() {
    let server = Server::start();
    let mut this = Loop::new(4, 4);
    let failed = |outcome: Outcome| match outcome {
        Outcome::Failed(why) => why,
        Outcome::Answered(answer) => panic!("{answer:?}"),
    };
    assert_eq!(failed(this.outcome(request(&server.at("/short")))), HttpError::Cut);
    for (path, limit) in [("/large", 1_000_000), ("/endless", 1_000_000), ("/gzip", 49_999)] {
        let outcome = this.outcome(Request { body_limit: limit, ..request(&server.at(path)) });
        assert_eq!(failed(outcome), HttpError::TooLarge, "{path}");
    }
    for path in ["/circle", "/to-file"] {
        assert_eq!(failed(this.outcome(request(&server.at(path)))), HttpError::Redirect, "{path}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(failed(this.outcome(request(&format!("http://{closed}/")))), HttpError::Connect);
    let tls = server.at("/ok").replace("http:", "https:");
    assert_eq!(failed(this.outcome(request(&tls))), HttpError::Tls);
    assert_eq!(this.http.start(request("file:///etc/passwd"), Instant::now()), Err(HttpError::Scheme));
    assert!(this.http.is_idle());
}

#[test]
fn a_redirect_is_followed_and_the_headers_stay_with_the_server_they_are_for() {
    let (first, other) = (Server::start(), Server::start());
    let mut this = Loop::new(1, 1);
    assert_eq!(this.answer(&first.at("/hop")).body, b"/ok");
    let path = format!("/to/{}", other.url.trim_start_matches("http://"));
    let headers = vec![("X-Key".to_owned(), "secret".to_owned())];
    assert!(matches!(this.outcome(Request { headers, ..request(&first.at(&path)) }), Outcome::Answered(_)));
    assert!(first.heads()[2].contains("X-Key: secret"));
    assert!(!other.heads()[0].contains("secret"));
}

#[test]
fn what_is_cancelled_has_no_outcome_and_its_place_is_given_on() {
    let server = Server::start();
    let mut this = Loop::new(1, 1);
    let (held, queued, next) =
        (this.start(&server.at("/held")), this.start(&server.at("/b")), this.start(&server.at("/c")));
    this.turn(Duration::ZERO);
    this.http.cancel(queued);
    this.http.cancel(held);
    this.until(|this| this.of(next).is_some());
    assert_eq!(this.outcomes.len(), 1);
    assert!(this.http.is_idle());
}
