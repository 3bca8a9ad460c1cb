//! What the tests of this folder share: a recorder that reads what a worker sends and holds it to the rules of the wire.

use nix::sys::socket::{MsgFlags, recv};
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{
    BulkBody, BulkFrame, EndReason, FromRecorderData, MatchBody, MatchFrame, Name, Named, Open, Publish,
    SectionKey,
};
use touchline_common::ipc::{FrameReader, decode, decode_borrowed, encode_frame};
use touchline_common::model::{Epoch, Handle, MarketValue, MatchKey, OddsChange, SelectionValue};

#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Open(Open),
    Name(Name<'static>),
    Match(MatchFrame<'static>),
    Bulk(BulkFrame<'static>),
    Publish(Publish<'static>),
}

pub struct FakeRecorder {
    stream: UnixStream,
    reader: FrameReader,
    matches: HashMap<Handle, (MatchKey, Epoch)>,
    named: HashSet<Handle>,
    ended: [HashSet<Handle>; 2],
    /// The highest numbers of both streams.
    pub got: [u64; 2],
}

impl FakeRecorder {
    pub fn new(stream: UnixStream) -> FakeRecorder {
        FakeRecorder {
            stream,
            reader: FrameReader::new(1 << 20),
            matches: HashMap::new(),
            named: HashSet::new(),
            ended: [HashSet::new(), HashSet::new()],
            got: [0; 2],
        }
    }

    pub fn send(&mut self, message: &FromRecorderData) {
        let mut frame = Vec::new();
        encode_frame(message, 0, 0, &mut frame).unwrap();
        self.stream.write_all(&frame).unwrap();
    }

    pub fn of(&self, handle: Handle) -> Option<&(MatchKey, Epoch)> {
        self.matches.get(&handle)
    }

    /// What came since the last call.
    pub fn read(&mut self) -> Vec<Sent> {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(n @ 1..) = recv(self.stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            self.reader.extend(&buffer[..n]);
        }
        let mut all = Vec::new();
        while let Some((header, body)) = self.reader.next_frame().unwrap() {
            let body: &'static [u8] = Box::leak(body.into());
            let sent = match header.kind {
                Open::KIND => Sent::Open(decode(&header, body).unwrap()),
                Name::KIND => Sent::Name(decode_borrowed(&header, body).unwrap()),
                MatchFrame::KIND => Sent::Match(decode_borrowed(&header, body).unwrap()),
                BulkFrame::KIND => Sent::Bulk(decode_borrowed(&header, body).unwrap()),
                Publish::KIND => Sent::Publish(decode_borrowed(&header, body).unwrap()),
                other => panic!("a frame of kind {other:#x}"),
            };
            all.push(sent);
        }
        for sent in &all {
            self.check(sent);
        }
        all
    }

    /// Numbers are dense, handles are named before they are used, and nothing of a match follows its end.
    fn check(&mut self, sent: &Sent) {
        match sent {
            Sent::Open(_) => {}
            Sent::Name(Name { handle, named }) => {
                assert!(self.named.insert(*handle), "{handle} is named twice");
                match named {
                    Named::Match { key, epoch } => {
                        self.matches.insert(*handle, (key.clone(), *epoch));
                    }
                    Named::Market { of, .. } | Named::Selection { of, .. } => {
                        assert!(self.named.contains(of), "{handle} is of an unknown {of}");
                    }
                }
            }
            Sent::Match(MatchFrame { n, handle, body }) => {
                self.numbered(0, *n);
                if *handle != Handle(0) {
                    self.alive(0, *handle);
                }
                if let MatchBody::End { why, .. } = body
                    && *why != EndReason::ConnectionLost
                {
                    self.ended[0].insert(*handle);
                }
            }
            Sent::Bulk(BulkFrame { n, handle, body }) => {
                self.numbered(1, *n);
                self.alive(1, *handle);
                match body {
                    BulkBody::Base { markets, selections, .. } => {
                        assert!(markets.iter().all(|value| self.named.contains(&value.market)));
                        assert!(selections.iter().all(|value| self.named.contains(&value.selection)));
                    }
                    BulkBody::Obs { changes, .. } => {
                        for change in changes.iter() {
                            let (OddsChange::Price { selection: handle, .. }
                            | OddsChange::SelectionSuspended { selection: handle, .. }
                            | OddsChange::SelectionWon { selection: handle, .. }
                            | OddsChange::MarketSuspended { market: handle, .. }
                            | OddsChange::MarketOpen(MarketValue { market: handle, .. })
                            | OddsChange::Selection(SelectionValue { selection: handle, .. })
                            | OddsChange::MarketClose { market: handle }) = change;
                            assert!(self.named.contains(handle), "{change:?}");
                        }
                    }
                    BulkBody::Chat { .. } => {}
                    BulkBody::End { .. } => _ = self.ended[1].insert(*handle),
                }
            }
            Sent::Publish(Publish { handle, sections, .. }) => {
                self.alive(0, *handle);
                self.alive(1, *handle);
                for section in sections {
                    if let SectionKey::Market(market) = section.key {
                        assert!(self.named.contains(&market), "{market} has no name");
                    }
                }
            }
        }
    }

    fn numbered(&mut self, stream: usize, n: u64) {
        assert!(self.got[stream] == 0 || n == self.got[stream] + 1, "{n} after {}", self.got[stream]);
        self.got[stream] = n;
    }

    fn alive(&self, stream: usize, handle: Handle) {
        assert!(self.matches.contains_key(&handle), "{handle} was never named");
        assert!(!self.ended[stream].contains(&handle), "{handle} has ended");
    }
}
