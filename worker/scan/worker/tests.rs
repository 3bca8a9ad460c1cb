//! The loop over real sockets: the test is the coordinator, the recorder and the server at once, and drives every step.

#![allow(clippy::wildcard_enum_match_arm)] // A test looks for one thing among many.

mod audits;
mod logins;
mod resuming;
mod rooms;
mod rules;

use super::{Ending, Worker};
use crate::feed::Plan;
use crate::feed::diffusion::{self as feed, SessionConfig};
use crate::payload::{self, Limits};
use crate::scan::coordinator::Control;
use crate::scan::setup::Parts;
use crate::scan::tests::{FakeRecorder, Sent};
use crate::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, FrameBuffer, MessageType, ResponseCode, TopicRef,
};
use jiff::tz::TimeZone;
use mio::Events;
use nix::sys::signal::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use touchline_common::config::{Coalesce, LogFormat, Payload};
use touchline_common::ipc::messages::data::{BulkBody, FromRecorderData, MatchBody, PerStream, Stream};
use touchline_common::ipc::messages::worker::{FromWorker, LoadReport, MatchState, ReleaseReason, ToWorker};
use touchline_common::ipc::{Channel, PROTO};
use touchline_common::logging::{self, LogHandle, Target, Who};
use touchline_common::model::{Epoch, FeedId, Generation, Handle, Listing, MatchId, Register, Side, SlotId};
use touchline_common::sys::signals::Signals;

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);
/// What the server sends for any match.
const LOAD: &str = "F|EV;IT=e;ID=1;NA=A v B;CL=1;SS=0-0;|TG;IT=tg;|TE;IT=t1;NA=A;|TE;IT=t2;NA=B;\
                    |MA;IT=m1;ID=10;NA=M;|PA;IT=p1;ID=11;NA=A;OD=1/2;|PA;IT=p2;ID=12;NA=B;OD=2/1;|";

fn log() -> LogHandle {
    static LOG: OnceLock<LogHandle> = OnceLock::new();
    let begin = || logging::init(Who::Worker(SlotId(1)), "error", LogFormat::Line, Target::Stderr).unwrap();
    LOG.get_or_init(begin).clone()
}

/// What a test may want different.
struct Wish {
    cap: usize,
    publish_deadline: Duration,
    list_topic: &'static str,
    payload: Payload,
    time_topic: &'static str,
    login_topics: &'static [&'static str],
    reconcile_every: Duration,
}

impl Default for Wish {
    fn default() -> Wish {
        let publish_deadline = Duration::from_millis(20);
        Wish {
            cap: 10,
            publish_deadline,
            list_topic: "L",
            payload: Payload::Inplay,
            time_topic: "",
            login_topics: &[],
            reconcile_every: Duration::ZERO,
        }
    }
}

/// A scanner and everybody around it.
struct Stage {
    scanner: Worker,
    events: Events,
    ended: Option<Ending>,
    coordinator: Channel<FromWorker, ToWorker>,
    heard: Vec<FromWorker>,
    listener: TcpListener,
    server: Option<Server>,
    recorder: Option<FakeRecorder>,
    sent: Vec<Sent>,
    acknowledges: bool,
    resume: Resume,
}

/// What the server does when a client wants to go on with its session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// It has the session still.
    Known,
    /// It opens another one.
    Forgotten,
}

/// The server's side of one connection.
struct Server {
    stream: TcpStream,
    raw: Vec<u8>,
    open: bool,
    asked: Vec<String>,
    left: Vec<String>,
    resume: Resume,
}

impl Stage {
    fn new(wish: &Wish) -> Stage {
        Stage::following(wish, |authority, session| {
            Plan::Diffusion(Box::new(feed::Plan {
                authority,
                session,
                tls: None,
                tunnel: None,
                list_topic: wish.list_topic.to_owned(),
                time_topic: wish.time_topic.to_owned(),
            }))
        })
    }

    /// With a plan made of the address of the stage's server and of settings for sessions.
    fn following(wish: &Wish, plan: impl FnOnce(String, SessionConfig) -> Plan) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (near, far) = UnixStream::pair().unwrap();
        let session = SessionConfig {
            max_subscriptions: wish.cap,
            subscribes_per_s: 1e6,
            ping_interval: None,
            login_topics: wish.login_topics.iter().map(|&topic| topic.to_owned()).collect(),
            ..SessionConfig::default()
        };
        let zone = TimeZone::UTC;
        let parts = Parts {
            signals: Some(Signals::open(&[Signal::SIGTERM]).unwrap()),
            crash_marker: None,
            log: log(),
            feed: FeedId(0),
            feed_name: "f".to_owned(),
            slot: SlotId(1),
            generation: Generation(1),
            trees: payload::hold(wish.payload, None, Limits::default(), zone).unwrap(),
            plan: plan(authority, session),
            list_topic: wish.list_topic.to_owned(),
            time_topic: wish.time_topic.to_owned(),
            match_id: "{ID}".parse().unwrap(),
            match_topics: vec!["6V{ID}".parse().unwrap()],
            capacity: wish.cap,
            window: None,
            stale_after: Duration::from_secs(60),
            reconcile_every: wish.reconcile_every,
            publish_deadline: wish.publish_deadline,
            coalesce: Coalesce::Auto,
            outbox: PerStream { matches: 1 << 20, bulk: 1 << 20 },
            raw: None,
        };
        let control: Control = Channel::new(far.into(), 1 << 20, 1 << 20).unwrap();
        Stage {
            scanner: Worker::new(control, parts).unwrap(),
            events: Events::with_capacity(64),
            ended: None,
            coordinator: Channel::new(near.into(), 1 << 20, 1 << 20).unwrap(),
            heard: Vec::new(),
            listener,
            server: None,
            recorder: None,
            sent: Vec::new(),
            acknowledges: true,
            resume: Resume::Forgotten,
        }
    }

    /// With a recorder and a server that has accepted the session.
    fn up(wish: &Wish) -> Stage {
        let mut stage = Stage::new(wish);
        stage.connect_recorder();
        stage.until("the session is open", |stage| stage.server.as_ref().filter(|s| s.open).map(|_| ()));
        stage
    }

    fn connect_recorder(&mut self) {
        let (near, far) = UnixStream::pair().unwrap();
        self.recorder = Some(FakeRecorder::new(near));
        self.coordinator.send_fd(&ToWorker::Data, 0, far.into()).unwrap();
        self.until("the recorder's answer is heard", |stage| {
            stage.heard.contains(&FromWorker::DataOpened).then_some(())
        });
    }

    /// One step of everybody.
    fn pump(&mut self) {
        self.coordinator.flush().unwrap();
        if self.ended.is_none() {
            self.ended = self.scanner.step(&mut self.events, STEP).unwrap();
        }
        self.coordinator.read().unwrap();
        while let Some((message, _, _)) = self.coordinator.next().unwrap() {
            if message == FromWorker::RequestConnect {
                self.coordinator.send(&ToWorker::PermitConnect, 0).unwrap();
                self.coordinator.flush().unwrap();
            }
            self.heard.push(message);
        }
        if let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            self.server = Some(Server {
                stream,
                raw: Vec::new(),
                open: false,
                asked: Vec::new(),
                left: Vec::new(),
                resume: self.resume,
            });
        }
        if let Some(server) = &mut self.server {
            server.turn();
        }
        self.record();
    }

    fn record(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        let sent = recorder.read();
        if sent.iter().any(|sent| matches!(sent, Sent::Open(_))) {
            let resume_after = PerStream::default();
            recorder.send(&FromRecorderData::Opened { proto: PROTO, run: 1, resume_after });
        }
        self.sent.extend(sent);
        for (stream, n) in [Stream::Match, Stream::Bulk].into_iter().zip(recorder.got) {
            if self.acknowledges && n > 0 {
                recorder.send(&FromRecorderData::Ack { stream, n });
            }
        }
    }

    /// The id of the match that a handle stands for.
    fn id(&self, handle: Handle) -> &str {
        self.recorder.as_ref().unwrap().of(handle).map_or("", |(key, _)| key.id.as_str())
    }

    /// What was sent in the match stream, by match.
    fn matches(&self) -> impl Iterator<Item = (&str, &MatchBody<'static>)> {
        self.sent.iter().filter_map(|sent| match sent {
            Sent::Match(frame) => Some((self.id(frame.handle), &frame.body)),
            _ => None,
        })
    }

    /// Observations in both streams.
    fn observations(&self) -> usize {
        let odds = self
            .sent
            .iter()
            .filter(|sent| matches!(sent, Sent::Bulk(frame) if matches!(frame.body, BulkBody::Obs { .. })));
        self.matches().filter(|(_, body)| matches!(body, MatchBody::Obs { .. })).count() + odds.count()
    }

    fn bases(&self) -> usize {
        self.matches().filter(|(_, body)| matches!(body, MatchBody::Base(_))).count()
    }

    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Stage) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(
                Instant::now() < end,
                "not in time: {what}; heard {:?}; sent {:?}",
                self.heard,
                self.sent
            );
            self.pump();
        }
    }

    fn tell(&mut self, message: &ToWorker) {
        self.coordinator.send(message, 0).unwrap();
    }

    fn assign(&mut self, id: &str, epoch: u64, topics: &[&str]) {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.tell(&ToWorker::Assign {
            id: id.into(),
            epoch: Epoch(epoch),
            topics,
            listing: Listing::default(),
        });
    }

    /// The newest report that has taken so many commands.
    fn report(&mut self, commands: u64) -> LoadReport {
        self.until("a report", |stage| {
            let reports = stage.heard.iter().rev().filter_map(|message| match message {
                FromWorker::Load(report) if report.commands_seen == commands => Some(report.clone()),
                _ => None,
            });
            reports.into_iter().next()
        })
    }

    fn until_asked(&mut self, topic: &str) {
        self.until(&format!("{topic} is subscribed"), |stage| stage.server().asks(topic).then_some(()));
    }

    fn until_state(&mut self, id: &str, state: MatchState) {
        let id = MatchId::from(id);
        self.until(&format!("{id:?} is {state:?}"), |stage| {
            let mut last = None;
            for message in &stage.heard {
                if let FromWorker::Match(report) = message
                    && report.id == id
                {
                    last = Some(report.state);
                }
            }
            (last == Some(state)).then_some(())
        });
    }

    /// A match that is live and published.
    fn live(&mut self, id: &str, epoch: u64, topic: &str) {
        self.assign(id, epoch, &[topic]);
        self.until_asked(topic);
        self.server().load(topic, LOAD);
        self.until_state(id, MatchState::Live);
        self.until("its document", |stage| stage.publications(id).checked_sub(1));
    }

    fn publications(&self, id: &str) -> usize {
        let of = |sent: &&Sent| matches!(sent, Sent::Publish(publish) if self.id(publish.handle) == id);
        self.sent.iter().filter(of).count()
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().unwrap()
    }
}

impl Server {
    fn turn(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => self.raw.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        if !self.open {
            let Some((request, used)) = ConnectRequest::parse(&self.raw).unwrap() else { return };
            let goes_on = self.resume == Resume::Known && request.client_id == Some(b"c");
            self.raw.drain(..used);
            let answer = ConnectResponse::Accepted {
                version: diffusion::VERSION,
                code: if goes_on { ResponseCode::Reconnected } else { ResponseCode::Ok },
                client_id: b"c",
            };
            let mut out = Vec::new();
            answer.encode(&mut out).unwrap();
            self.stream.write_all(&out).unwrap();
            self.open = true;
        }
        let mut frames = FrameBuffer::new(1 << 20);
        let bytes = std::mem::take(&mut self.raw);
        frames.spare()[..bytes.len()].copy_from_slice(&bytes);
        frames.filled(bytes.len());
        while let Some(message) = frames.next_message().unwrap() {
            let topics = message.selectors().map(|topic| String::from_utf8(topic.to_vec()).unwrap());
            match message.kind {
                MessageType::Subscribe => self.asked.extend(topics),
                MessageType::Unsubscribe => self.left.extend(topics),
                _ => {}
            }
        }
        self.raw = frames.unread().to_vec();
    }

    fn asks(&self, topic: &str) -> bool {
        self.asked.iter().any(|asked| asked == topic)
    }

    fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    fn load(&mut self, topic: &str, body: &str) {
        self.send(|out| diffusion::load(out, named(topic), body.as_bytes()).unwrap());
    }

    fn delta(&mut self, path: &str, body: &str) {
        self.send(|out| diffusion::delta(out, named(path), body.as_bytes()).unwrap());
    }

    fn remove(&mut self, topic: &str) {
        self.send(|out| diffusion::topic_status(out, named(topic), b"R").unwrap());
    }
}

fn named(topic: &str) -> TopicRef<'_> {
    TopicRef::Named { name: topic.as_bytes(), alias: None }
}
