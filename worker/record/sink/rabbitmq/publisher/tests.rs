//! A publisher against a broker that answers as it is told.

use super::*;
use crate::wire::amqp::AmqpError;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn settings() -> Settings {
    Settings {
        user: "user".into(),
        password: Secret::new("hunter2".into()),
        host: Short::cut("/"),
        exchange: Short::cut("touchline"),
        declare: Declare::Durable,
        heartbeat: 10,
        patience: PATIENCE,
    }
}

/// A connection, and what its broker has read.
struct Link {
    publisher: Publisher,
    frames: Frames,
    now: Instant,
}

impl Link {
    fn new() -> Link {
        let now = Instant::now();
        Link { publisher: Publisher::new(settings(), now), frames: Frames::new(FRAME as usize), now }
    }

    fn open() -> Link {
        let mut link = Link::new();
        link.answer_until_open().unwrap();
        link
    }

    fn answer_until_open(&mut self) -> Result<(), Failure> {
        assert_eq!(self.output(), PROTOCOL);
        self.say(&start("AMQPLAIN PLAIN"))?;
        let Method::StartOk { mechanism, response, .. } = self.read_one() else { panic!() };
        assert_eq!((mechanism.as_str(), response.expose()), ("PLAIN", "\0user\0hunter2"));
        self.say(&Method::Tune(Tuning { channels: 2047, frame: 4096, heartbeat: 60 }))?;
        assert_eq!(self.read_one(), Method::TuneOk(Tuning { channels: 1, frame: 4096, heartbeat: 10 }));
        assert_eq!(self.read_one(), Method::Open { host: Short::cut("/") });
        self.say(&Method::OpenOk)?;
        assert_eq!(self.read_one(), Method::ChannelOpen);
        self.say(&Method::ChannelOpenOk)?;
        let Method::ExchangeDeclare { exchange, kind, declare: Declare::Durable } = self.read_one() else {
            panic!()
        };
        assert_eq!((exchange.as_str(), kind.as_str()), ("touchline", "topic"));
        self.say(&Method::ExchangeDeclareOk)?;
        assert_eq!(self.read_one(), Method::ConfirmSelect);
        assert!(!self.publisher.is_open());
        self.say(&Method::ConfirmSelectOk)?;
        assert!(self.publisher.is_open());
        Ok(())
    }

    fn output(&mut self) -> Vec<u8> {
        let bytes = self.publisher.output().to_vec();
        self.publisher.sent(bytes.len());
        bytes
    }

    /// What the publisher has said since, as one method.
    fn read_one(&mut self) -> Method {
        let bytes = self.output();
        self.frames.push(&bytes);
        match self.frames.next_frame().unwrap() {
            Some(Frame::Method(_, method)) => method,
            other => panic!("{other:?}"),
        }
    }

    fn say(&mut self, method: &Method) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        method.write(CHANNEL, &mut bytes);
        self.publisher.received(&bytes, self.now)
    }

    fn publish(&mut self, bodies: &[&str]) {
        self.publisher.begin(self.now);
        for (place, body) in bodies.iter().enumerate() {
            let id = Short::cut(&place.to_string());
            let (key, kind, body) = (Short::cut("f.priority.goal"), Short::cut("goal"), body.as_bytes());
            self.publisher.publish(&Message { key, id, kind, body }, self.now);
        }
    }

    fn ack(&mut self, tag: u64, multiple: bool) -> Result<(), Failure> {
        self.say(&Method::Ack { tag, multiple })
    }

    fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        self.now += time;
        self.publisher.tick(self.now)
    }
}

fn start(mechanisms: &str) -> Method {
    let (mechanisms, locales) = (mechanisms.to_owned(), "en_US".to_owned());
    Method::Start { version: (0, 9), properties: Table::default(), mechanisms, locales }
}

fn closing(code: u16, method: (u16, u16)) -> Closing {
    Closing { code, text: Short::cut("WHY"), method }
}

#[test]
fn a_message_is_whole_and_persistent_and_has_its_id() {
    let mut link = Link::open();
    let long = "x".repeat(10_000);
    link.publish(&[&long]);
    let bytes = link.output();
    link.frames.push(&bytes);
    let mut body = Vec::new();
    let (mut key, mut header) = (None, None);
    while let Some(frame) = link.frames.next_frame().unwrap() {
        match &frame {
            Frame::Method(1, Method::Publish { exchange, key: sent }) => {
                assert_eq!(exchange.as_str(), "touchline");
                key = Some(sent.clone());
            }
            Frame::Header(1, content) => header = Some(content.clone()),
            Frame::Body(1, piece) => {
                assert!(piece.len() <= 4096 - 8, "as long as the broker takes them");
                body.extend_from_slice(piece);
            }
            Frame::Method(..) | Frame::Header(..) | Frame::Body(..) | Frame::Heartbeat => panic!("{frame:?}"),
        }
    }
    assert_eq!((key.unwrap().as_str(), body.len()), ("f.priority.goal", 10_000));
    let Content { length, properties } = header.unwrap();
    assert_eq!((length, properties.delivery_mode), (10_000, Some(PERSISTENT)));
    assert_eq!(properties.message_id, Some(Short::cut("0")));
    assert!(!link.publisher.is_settled());
    link.ack(1, false).unwrap();
    assert!(link.publisher.is_settled());
}

#[test]
fn confirmations_come_in_any_order_and_several_at_once() {
    let mut link = Link::open();
    link.publish(&["a", "b", "c", "d"]);
    link.ack(3, false).unwrap();
    assert_eq!(link.publisher.settled(), 0, "the first is not");
    link.ack(2, true).unwrap();
    assert_eq!((link.publisher.settled(), link.publisher.is_settled()), (3, false));
    link.ack(2, false).unwrap();
    link.ack(0, true).unwrap();
    assert_eq!((link.publisher.settled(), link.publisher.is_settled()), (4, true));
    // The next batch has numbers of its own, and a late word about the one before says nothing of it.
    link.publish(&["e", "f"]);
    link.ack(4, true).unwrap();
    assert_eq!(link.publisher.settled(), 0);
    link.ack(6, true).unwrap();
    assert!(link.publisher.is_settled());
    link.publish(&["g"]);
    assert_eq!(link.ack(8, false), Err(Failure::Tag { tag: 8 }));
}

#[test]
fn a_broker_that_never_confirms_fails_in_time_and_says_what_is_settled() {
    let mut link = Link::open();
    link.publish(&["a", "b", "c"]);
    link.ack(1, false).unwrap();
    link.wait(PATIENCE - Duration::from_secs(1)).unwrap();
    let failed = link.wait(Duration::from_secs(1));
    assert_eq!(failed, Err(Failure::Unconfirmed { count: 2, patience: PATIENCE, blocked: None }));
    assert_eq!(link.publisher.settled(), 1);
    assert!(!link.publisher.close(), "there is nobody to say goodbye to");
}

#[test]
fn a_broker_that_blocks_says_so() {
    let mut link = Link::open();
    link.publish(&["a"]);
    link.say(&Method::Blocked { reason: Short::cut("low on memory") }).unwrap();
    link.wait(PATIENCE / 2).unwrap();
    let Err(failure) = link.wait(PATIENCE) else { panic!() };
    assert!(failure.to_string().contains("(low on memory)"), "{failure}");

    let mut link = Link::open();
    link.publish(&["a"]);
    link.say(&Method::Blocked { reason: Short::cut("low on disk") }).unwrap();
    link.say(&Method::Unblocked).unwrap();
    link.ack(1, false).unwrap();
    assert!(link.publisher.is_settled());
}

#[test]
fn a_channel_that_is_closed_is_explained() {
    for (code, method, part) in [
        (403, (40, 10), "the right to write"),
        (404, (40, 10), "declare the exchange"),
        (406, (40, 10), "another than a durable one of type topic"),
    ] {
        let mut link = Link::open();
        let Err(failure) = link.say(&Method::ChannelClose(closing(code, method))) else { panic!() };
        assert!(failure.to_string().contains(&format!("{code} WHY")), "{failure}");
        assert!(failure.to_string().contains(part), "{failure}");
        assert!(!failure.is_of_message());
        assert_eq!(link.read_one(), Method::ChannelCloseOk);
    }
    for (code, method) in [(406, PUBLISH), (311, (0, 0))] {
        let mut link = Link::open();
        link.publish(&["a"]);
        let Err(failure) = link.say(&Method::ChannelClose(closing(code, method))) else { panic!() };
        assert!(failure.is_of_message(), "{failure}");
    }
}

const PUBLISH: (u16, u16) = (60, 40);

#[test]
fn a_login_that_is_refused_is_explained() {
    let mut link = Link::new();
    link.output();
    link.say(&start("PLAIN")).unwrap();
    link.read_one();
    let Err(failure) = link.say(&Method::Close(closing(403, (0, 0)))) else { panic!() };
    assert!(failure.to_string().ends_with("check user and password"), "{failure}");
    assert_eq!(link.read_one(), Method::CloseOk);
    let mut link = Link::new();
    let Err(failure) = link.say(&start("EXTERNAL")) else { panic!() };
    assert!(failure.to_string().contains("'EXTERNAL'"), "{failure}");
    let mut link = Link::new();
    link.say(&start("PLAIN")).unwrap();
    let tune = Method::Tune(Tuning { channels: 0, frame: 100, heartbeat: 0 });
    assert_eq!(link.say(&tune), Err(Failure::Frame { bytes: 100 }));
}

#[test]
fn an_opening_that_goes_nowhere_fails_in_time() {
    let mut link = Link::new();
    link.wait(PATIENCE / 2).unwrap();
    assert_eq!(link.publisher.deadline(), Some(link.now + PATIENCE / 2));
    let step = "its greeting";
    assert_eq!(link.wait(PATIENCE), Err(Failure::Silent { step, patience: PATIENCE }));
    let mut link = Link::new();
    link.say(&start("PLAIN")).unwrap();
    assert_eq!(link.publisher.ended(), Failure::Ended { step: "its answer to the login" });
}

#[test]
fn heartbeats_go_out_and_are_missed() {
    let mut link = Link::open();
    link.wait(Duration::from_secs(4)).unwrap();
    assert_eq!(link.output(), b"");
    link.wait(Duration::from_secs(1)).unwrap();
    let mut beat = Vec::new();
    heartbeat(&mut beat);
    assert_eq!(link.output(), beat);
    let now = link.now;
    link.publisher.received(&beat, now).unwrap();
    link.wait(Duration::from_secs(19)).unwrap();
    let silence = Duration::from_secs(20);
    assert_eq!(link.wait(Duration::from_secs(1)), Err(Failure::Dead { silence }));
}

#[test]
fn a_nack_fails_the_batch() {
    let mut link = Link::open();
    link.publish(&["a", "b"]);
    link.ack(1, false).unwrap();
    assert_eq!(link.say(&Method::Nack { tag: 2, multiple: false }), Err(Failure::Nacked));
    assert_eq!(link.publisher.settled(), 1);
}

#[test]
fn goodbye_is_said_and_answered() {
    let mut link = Link::open();
    assert!(link.publisher.close());
    let Method::Close(closing) = link.read_one() else { panic!() };
    assert_eq!(closing.code, 200);
    link.ack(7, false).unwrap();
    link.say(&Method::CloseOk).unwrap();
    assert!(link.publisher.is_closed());
}

#[test]
fn what_nothing_asked_for_is_passed_over_or_named() {
    let mut link = Link::open();
    link.say(&Method::Other { class: 10, method: 70 }).unwrap();
    let (text, exchange, key) = (Short::default(), Short::default(), Short::default());
    link.say(&Method::Return { code: 312, text, exchange, key }).unwrap();
    assert_eq!(link.say(&Method::OpenOk), Err(Failure::Unexpected { class: 10, method: 41 }));
    let mut link = Link::new();
    let failed = link.publisher.received(b"HTTP/1.1 400\r\n", link.now);
    assert_eq!(failed, Err(Failure::Amqp(AmqpError::NotAmqp { first: b'H' })));
}

proptest! {
    /// Whatever a broker says at whatever time, nothing panics, and what counts as settled never exceeds what was sent.
    #[test]
    fn no_broker_does_harm(
        said in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), 0_u64..8, any::<bool>()), 0..20)
    ) {
        let mut link = Link::open();
        link.publish(&["a", "b", "c"]);
        for (bytes, tag, multiple) in said {
            let answered = if multiple && bytes.len() > 20 {
                link.publisher.received(&bytes, link.now)
            } else {
                link.ack(tag, multiple)
            };
            prop_assert!(link.publisher.settled() <= 3);
            if answered.is_err() || link.wait(Duration::from_millis(200)).is_err() {
                break;
            }
        }
    }
}
