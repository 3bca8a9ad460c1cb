//! A coordinator and workers as the recorder sees them, played by a test.

use super::super::*;
use rusqlite::Connection;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tempfile::TempDir;
use touchline_common::config::Config;
use touchline_common::ipc::encode_frame;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::*;
use touchline_common::ipc::messages::data::{EndReason, Extent, Section, SectionKey};
use touchline_common::model::*;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const HOME: Register = Register::Score(Side::Home);

pub(super) fn config(folder: &TempDir) -> Config {
    let mut config = Config::default();
    config.daemon.state_dir = folder.path().to_path_buf();
    config.feed.push(touchline_common::config::FeedConfig { name: "inplay".into(), ..Default::default() });
    config.store.snapshot_interval = "50ms".parse().unwrap();
    config
}

pub(super) fn key(id: &str) -> MatchKey {
    MatchKey { feed: FeedId(0), id: id.into() }
}

/// The coordinator's side.
pub(super) struct Coordinator {
    pub(super) channel: Channel<FromRecorder, ToRecorder>,
    recorder: Option<JoinHandle<Result<(), RecordError>>>,
    path: PathBuf,
    pub(super) ready: Option<(Epoch, u64)>,
}

impl Coordinator {
    pub(super) fn start(config: &Config) -> Coordinator {
        let (near, far) = UnixStream::pair().unwrap();
        let recorder = std::thread::spawn(move || run(far.into()));
        let channel = Channel::new(near.into(), 1 << 20, 1 << 20).unwrap();
        let mut coordinator =
            Coordinator { channel, recorder: Some(recorder), path: config.store_path(), ready: None };
        coordinator.until(|message| matches!(message, FromRecorder::Hello(_)).then_some(()));
        let json = config.to_child_json().unwrap();
        coordinator.send(&ToRecorder::Welcome(Welcome { proto: PROTO, config: json }));
        coordinator.ready = Some(coordinator.until(|message| match message {
            FromRecorder::Ready { highest_epoch, token } => Some((*highest_epoch, *token)),
            _ => None,
        }));
        coordinator
    }

    pub(super) fn send(&mut self, message: &ToRecorder) {
        self.channel.send(message, 0).unwrap();
        assert!(self.channel.flush().unwrap());
    }

    pub(super) fn until<T>(&mut self, want: impl Fn(&FromRecorder) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some((message, _, _)) = self.channel.next().unwrap() {
                if let Some(found) = want(&message) {
                    return found;
                }
            }
            assert!(Instant::now() < end, "the recorder did not send it");
            self.channel.read().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn switched(&mut self, id: &str, epoch: u64) {
        self.until(|message| {
            (*message == FromRecorder::Switched { key: key(id), epoch: Epoch(epoch) }).then_some(())
        });
    }

    pub(super) fn worker(&mut self, slot: u16, generation: u32) -> Peer {
        let (near, far) = UnixStream::pair().unwrap();
        let (slot, generation) = (SlotId(slot), Generation(generation));
        self.channel.send_fd(&ToRecorder::Attach { slot, generation }, 0, far.into()).unwrap();
        assert!(self.channel.flush().unwrap());
        let mut peer = Peer {
            channel: Channel::new(near.into(), 1 << 20, 1 << 30).unwrap(),
            next: 1,
            handles: HashMap::new(),
            sent: (0, 0),
            acked: (0, 0),
        };
        peer.send(&Open { proto_min: PROTO, proto_max: PROTO, slot, generation });
        peer.sent = peer.until(|message| match message {
            FromRecorderData::Opened { resume_after, .. } => Some((resume_after.matches, resume_after.bulk)),
            _ => None,
        });
        peer.acked = peer.sent;
        peer
    }

    pub(super) fn ask(&mut self, verb: &str, args: &str) -> BufReader<UnixStream> {
        let (near, far) = UnixStream::pair().unwrap();
        let query = ToRecorder::Query { verb: verb.into(), args: args.into() };
        self.channel.send_fd(&query, 0, far.into()).unwrap();
        assert!(self.channel.flush().unwrap());
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(near)
    }

    pub(super) fn answer(&mut self, verb: &str, args: &str) -> serde_json::Value {
        line(&mut self.ask(verb, args))
    }

    /// When the one gap began that is open, microseconds.
    pub(super) fn gap_since(&mut self) -> i64 {
        self.until(|message| match message {
            FromRecorder::Stats(stats) if stats.gaps_open == 1 => Some(()),
            _ => None,
        });
        let gaps = self.answer("gaps", "{}");
        let open = gaps["result"].as_array().unwrap().iter().find(|gap| gap["ended_at"].is_null()).unwrap();
        open["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    pub(super) fn stop(mut self) -> Connection {
        self.send(&ToRecorder::Stop { deadline_ms: 500 });
        self.end().unwrap();
        sqlite::open_to_read(&self.path).unwrap()
    }

    /// What the recorder returns.
    pub(super) fn end(&mut self) -> Result<(), RecordError> {
        self.recorder.take().unwrap().join().unwrap()
    }
}

pub(super) fn line(reader: &mut impl BufRead) -> serde_json::Value {
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// A worker's side.
pub(super) struct Peer {
    pub(super) channel: Channel<FromRecorderData, Open>,
    next: u32,
    handles: HashMap<String, Handle>,
    /// The newest numbers of the match stream and of the bulk stream: sent,
    pub(super) sent: (u64, u64),
    /// and acknowledged.
    acked: (u64, u64),
}

impl Peer {
    pub(super) fn send(&mut self, message: &impl Message) {
        let mut frame = Vec::new();
        encode_frame(message, 0, 0, &mut frame).unwrap();
        self.channel.send_encoded(&frame).unwrap();
        self.channel.flush().unwrap();
    }

    pub(super) fn until<T>(&mut self, want: impl Fn(&FromRecorderData) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            self.channel.flush().unwrap();
            self.channel.read().unwrap();
            while let Some((message, _, _)) = self.channel.next().unwrap() {
                match message {
                    FromRecorderData::Ack { stream, n } => {
                        let acked = match stream {
                            Stream::Match => &mut self.acked.0,
                            Stream::Bulk => &mut self.acked.1,
                        };
                        assert!(n > *acked, "acknowledgements rise");
                        *acked = n;
                    }
                    // As a worker that has nothing in its receive queue.
                    FromRecorderData::Mark { token } => self.body(Handle(0), MatchBody::Mark { token }),
                    FromRecorderData::Opened { .. } | FromRecorderData::Refused { .. } => {}
                }
                if let Some(found) = want(&message) {
                    return found;
                }
            }
            assert!(Instant::now() < end, "the recorder did not answer");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits until all that was sent is committed.
    pub(super) fn acknowledged(&mut self) {
        while self.acked != self.sent {
            self.until(|message| matches!(message, FromRecorderData::Ack { .. }).then_some(()));
        }
    }

    /// Waits until the recorder has closed the channel.
    pub(super) fn closed(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !matches!(self.channel.read(), Ok(ReadOutcome::Closed)) {
            while self.channel.next().unwrap().is_some() {}
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn name(&mut self, named: Named<'_>) -> Handle {
        let handle = Handle(self.next);
        self.next += 1;
        self.send(&Name { handle, named });
        handle
    }

    fn named(&mut self, what: String, named: Named<'_>) -> Handle {
        match self.handles.get(&what) {
            Some(handle) => *handle,
            None => {
                let handle = self.name(named);
                self.handles.insert(what, handle);
                handle
            }
        }
    }

    pub(super) fn of(&mut self, id: &str, epoch: u64) -> Handle {
        self.named(format!("{id} {epoch}"), Named::Match { key: key(id), epoch: Epoch(epoch) })
    }

    pub(super) fn market(&mut self, id: &str, epoch: u64, market: &str) -> Handle {
        let of = self.of(id, epoch);
        let named = Named::Market { of, key: market.to_owned().into(), name: format!("the {market}").into() };
        self.named(format!("{id} {epoch} {market}"), named)
    }

    pub(super) fn selection(&mut self, id: &str, epoch: u64, (market, selection): (&str, &str)) -> Handle {
        let of = self.market(id, epoch, market);
        let named = Named::Selection { of, key: selection.to_owned().into(), name: "".into() };
        self.named(format!("{id} {epoch} {market} {selection}"), named)
    }

    pub(super) fn body(&mut self, handle: Handle, body: MatchBody<'_>) {
        self.sent.0 += 1;
        self.send(&MatchFrame { n: self.sent.0, handle, body });
    }

    pub(super) fn bulk(&mut self, handle: Handle, body: BulkBody<'_>) {
        self.sent.1 += 1;
        self.send(&BulkFrame { n: self.sent.1, handle, body });
    }

    pub(super) fn base(&mut self, id: &str, epoch: u64, home: i64) {
        self.base_of(id, epoch, home, time::wall_us());
    }

    /// What the worker saw at `at`.
    pub(super) fn base_of(&mut self, id: &str, epoch: u64, home: i64, at: i64) {
        let registers = [(HOME, home), (Register::Score(Side::Away), 0), (Register::Phase, 1)];
        let handle = self.of(id, epoch);
        self.body(
            handle,
            MatchBody::Base(MatchBase {
                facts: Facts { sport: Some("soccer".into()), scoring: Scoring::Goals },
                registers: registers.into_iter().collect(),
                at,
                ..MatchBase::default()
            }),
        );
    }

    pub(super) fn obs(&mut self, id: &str, epoch: u64, home: i64) {
        let registers = [RegisterChange { register: HOME, value: home }];
        let clock = Some(Clock { seconds: 61 });
        let handle = self.of(id, epoch);
        let (registers, changes) = (Cow::Borrowed(&registers[..]), Cow::Borrowed(&[][..]));
        self.body(handle, MatchBody::Obs { registers, changes, clock, at: time::wall_us() });
    }

    /// All odds of a match: selections of markets with their prices.
    pub(super) fn odds_base(&mut self, id: &str, epoch: u64, odds: &[((&str, &str), &'static str)]) {
        let mut markets: Vec<MarketValue> = Vec::new();
        let mut selections = Vec::new();
        for (of, text) in odds {
            let market = self.market(id, epoch, of.0);
            if !markets.iter().any(|known| known.market == market) {
                markets.push(MarketValue { market, suspended: false });
            }
            let (selection, price) = (self.selection(id, epoch, *of), Price::from_text(text));
            let (text, suspended, won) = ((*text).into(), false, None);
            selections.push(SelectionValue { selection, price, text, suspended, won });
        }
        let handle = self.of(id, epoch);
        let at = time::wall_us();
        self.bulk(
            handle,
            BulkBody::Base { markets: markets.into(), selections: selections.into(), left_out: 0, at },
        );
    }

    pub(super) fn price(&mut self, id: &str, epoch: u64, of: (&str, &str), text: &str) {
        let selection = self.selection(id, epoch, of);
        let changes = [OddsChange::Price { selection, price: Price::from_text(text), text: text.into() }];
        let handle = self.of(id, epoch);
        self.bulk(handle, BulkBody::Obs { changes: Cow::Borrowed(&changes), at: time::wall_us() });
    }

    pub(super) fn publish(
        &mut self,
        id: &str,
        epoch: u64,
        extent: Extent,
        sections: &[(&str, Option<&str>)],
    ) {
        self.publish_at(id, epoch, extent, sections, 1_700_000_000_000_000);
    }

    pub(super) fn publish_at(
        &mut self,
        id: &str,
        epoch: u64,
        extent: Extent,
        sections: &[(&str, Option<&str>)],
        received_at: i64,
    ) {
        let mut parts = Vec::new();
        for (market, body) in sections {
            let key = match *market {
                "" => SectionKey::Head,
                "tail" => SectionKey::Tail,
                market => SectionKey::Market(self.market(id, epoch, market)),
            };
            parts.push(Section { key, body: body.map(Cow::Borrowed) });
        }
        let (handle, updated_at) = (self.of(id, epoch), received_at + 100);
        let stamp = Stamp { stale: false, received_at, updated_at };
        self.send(&Publish { handle, extent, sections: parts, stamp });
    }

    pub(super) fn end(&mut self, id: &str, epoch: u64, why: EndReason) {
        let (handle, at) = (self.of(id, epoch), time::wall_us());
        self.body(handle, MatchBody::End { why, lost: None, at });
        self.bulk(handle, BulkBody::End { why, at });
    }
}
