//! The data link against a recorder that is played: order, bounds, what goes out again.

use super::*;
use crate::scan::tests::{FakeRecorder, Sent};
use std::os::unix::net::UnixStream;
use touchline_common::ipc::messages::data::Extent;
use touchline_common::ipc::messages::data::{Section, SectionKey, Stamp, Stream};
use touchline_common::model::ChatKind;
use touchline_common::model::{Change, Epoch, FeedId, MarketValue, MatchKey, OddsChange};

fn link(limits: PerStream<usize>) -> DataLink {
    DataLink::new(SlotId(1), Generation(1), limits)
}

const WIDE: PerStream<usize> = PerStream { matches: 1 << 20, bulk: 1 << 20 };

fn follow(link: &mut DataLink) -> Handle {
    link.names().add_match(&MatchKey { feed: FeedId(0), id: "m".into() }, Epoch(1))
}

fn observe(link: &mut DataLink, handle: Handle, at: i64) {
    let changes = [Change::Comment { text: "x".into() }];
    let body = MatchBody::Obs { registers: [][..].into(), changes: changes[..].into(), clock: None, at };
    link.observe(handle, body, at).unwrap();
}

fn odds(link: &mut DataLink, handle: Handle, market: Handle) {
    let changes = [
        OddsChange::MarketOpen(MarketValue { market, suspended: false }),
        OddsChange::MarketClose { market },
    ];
    link.observe_odds(handle, BulkBody::Obs { changes: changes[..].into(), at: 1 }, 2, 1).unwrap();
}

fn rendering(handle: Handle) -> Publish<'static> {
    let (extent, sections) = (Extent::Changes, Vec::new());
    Publish { handle, extent, sections, stamp: Stamp::default() }
}

fn attach(link: &mut DataLink, matches: u64, bulk: u64) -> FakeRecorder {
    let (a, b) = UnixStream::pair().unwrap();
    link.attach(a.into()).unwrap();
    link.flush(&mut Lag::default()).unwrap();
    let mut recorder = FakeRecorder::new(b);
    assert!(matches!(recorder.read()[..], [Sent::Open(Open { slot: SlotId(1), .. })]));
    recorder.send(&FromRecorderData::Opened {
        proto: PROTO,
        run: 1,
        resume_after: PerStream { matches, bulk },
    });
    link.read().unwrap();
    assert_eq!(link.next_event().unwrap(), Some(LinkEvent::Opened));
    recorder
}

fn ack(link: &mut DataLink, recorder: &mut FakeRecorder, stream: Stream, n: u64) {
    recorder.send(&FromRecorderData::Ack { stream, n });
    link.read().unwrap();
    assert_eq!(link.next_event().unwrap(), None);
}

fn kinds(sent: &[Sent]) -> String {
    let kind = |sent: &Sent| match sent {
        Sent::Open(_) => 'o',
        Sent::Name(_) => 'n',
        Sent::Match(_) => 'm',
        Sent::Bulk(_) => 'b',
        Sent::Publish(_) => 'p',
    };
    sent.iter().map(kind).collect()
}

fn flushed(link: &mut DataLink, recorder: &mut FakeRecorder) -> String {
    assert!(link.flush(&mut Lag::default()).unwrap());
    kinds(&recorder.read())
}

#[test]
fn names_go_first_then_both_streams_then_renderings_and_all_again_to_the_next_recorder() {
    let mut link = link(WIDE);
    let handle = follow(&mut link);
    let mut first = attach(&mut link, 0, 0);
    link.publish(&rendering(handle), Instant::now()).unwrap();
    let market = link.names().add(handle, handle, b"m", b"Result");
    odds(&mut link, handle, market);
    observe(&mut link, handle, 1);
    observe(&mut link, handle, 2);
    assert_eq!(flushed(&mut link, &mut first), "nnmmbp");
    ack(&mut link, &mut first, Stream::Match, 1);
    assert!(link.unacknowledged() > 0);

    link.detach();
    assert!(!link.takes_renderings());
    let mut second = attach(&mut link, 1, 0);
    assert_eq!(flushed(&mut link, &mut second), "nnmb");
    assert_eq!(second.got, [2, 1]);
}

#[test]
fn an_end_goes_out_behind_the_renderings_and_frees_the_names_when_both_streams_have_it() {
    let mut link = link(WIDE);
    let handle = follow(&mut link);
    let mut recorder = attach(&mut link, 0, 0);
    link.publish(&rendering(handle), Instant::now()).unwrap();
    observe(&mut link, handle, 1);
    link.end(handle, EndReason::Moved, 2).unwrap();
    assert!(!link.takes_renderings(), "nothing overtakes what waits");
    assert_eq!(flushed(&mut link, &mut recorder), "npmmb");
    assert!(link.takes_renderings());
    ack(&mut link, &mut recorder, Stream::Match, 2);
    let mut second = attach(&mut link, 2, 0);
    assert_eq!(flushed(&mut link, &mut second), "nb");
    ack(&mut link, &mut second, Stream::Bulk, 1);
    let mut third = attach(&mut link, 2, 1);
    assert_eq!(flushed(&mut link, &mut third), "");
    assert_eq!(link.unacknowledged(), 0);
}

#[test]
fn each_stream_has_its_own_bound_and_its_own_way_back() {
    let mut link = link(PerStream { matches: 1 << 20, bulk: 600 });
    let handle = follow(&mut link);
    let market = link.names().add(handle, handle, b"m", b"");
    for _ in 0..20 {
        odds(&mut link, handle, market);
        observe(&mut link, handle, 1);
    }
    assert_eq!((link.outboxes.matches.dropped(), link.outboxes.bulk.dropped()), (0, 40));
    assert_eq!(link.recoverable(), [handle], "what was unsent is dropped, so there is room");
    let base = BulkBody::Base { markets: [][..].into(), selections: [][..].into(), left_out: 0, at: 1 };
    link.observe_odds(handle, base, 1, 1).unwrap();
    let mut recorder = attach(&mut link, 0, 0);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let left_out: Vec<u64> = recorder
        .read()
        .iter()
        .filter_map(|sent| match sent {
            Sent::Bulk(BulkFrame { n: 1, body: BulkBody::Base { left_out, .. }, .. }) => Some(*left_out),
            Sent::Bulk(other) => panic!("{other:?}"),
            Sent::Open(_) | Sent::Name(_) | Sent::Match(_) | Sent::Publish(_) => None,
        })
        .collect();
    assert_eq!(left_out, [40]);
}

#[test]
fn what_was_lost_stands_in_the_base_or_in_the_end() {
    let mut link = link(PerStream { matches: 400, bulk: 400 });
    let handles = [follow(&mut link), follow(&mut link)];
    for (handle, n) in [(0, 20), (1, 20)] {
        for at in 0..n {
            observe(&mut link, handles[handle], at);
        }
    }
    link.base(handles[0], MatchBase::default()).unwrap();
    link.end(handles[1], EndReason::Ended, 9).unwrap();
    let mut recorder = attach(&mut link, 0, 0);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let mut lost = Vec::new();
    for sent in recorder.read() {
        if let Sent::Match(MatchFrame { body: MatchBody::Base(MatchBase { lost: Some(of), .. }), .. })
        | Sent::Match(MatchFrame { body: MatchBody::End { lost: Some(of), .. }, .. }) = sent
        {
            lost.push((of.count, of.since));
        }
    }
    assert_eq!(lost, [(20, 0), (20, 0)]);
    assert_eq!(link.recoverable(), []);
}

fn say(link: &mut DataLink, handle: Handle, ids: std::ops::Range<i64>) {
    for at in ids {
        let id = Cow::from(at.to_string());
        let (user, text) = (Cow::from("ann"), Cow::from("hello"));
        let line = ChatLine { kind: ChatKind::Comment, id, user, text, amount: None, feed_at: None };
        link.observe_chat(handle, &[line], at).unwrap();
    }
}

#[test]
fn frames_of_chat_are_bounded() {
    let mut link = link(PerStream { matches: 1 << 20, bulk: 64 << 20 });
    let handle = follow(&mut link);
    let line = |text: &str| ChatLine {
        kind: ChatKind::Comment,
        id: "".into(),
        user: "".into(),
        text: Cow::from(text.to_owned()),
        amount: None,
        feed_at: None,
    };
    let (short, long) = (line("x"), line(&"x".repeat(2 * FRAME_TEXT)));
    for (lines, expected) in [
        (vec![], vec![]),
        (vec![short.clone(); 2 * FRAME_LINES + 1], vec![FRAME_LINES, FRAME_LINES, 1]),
        (vec![short.clone(), long.clone(), long.clone(), short.clone()], vec![2, 1, 1]),
    ] {
        let mut rest = &lines[..];
        let mut counts = Vec::new();
        while !rest.is_empty() {
            counts.push(fitting(rest));
            rest = &rest[fitting(rest)..];
        }
        assert_eq!(counts, expected);
        let held = link.outboxes.bulk.unacknowledged();
        link.observe_chat(handle, &lines, 1).unwrap();
        assert_eq!(link.outboxes.bulk.unacknowledged() > held, !lines.is_empty());
    }
    assert_eq!(link.outboxes.bulk.lines_dropped(), 0);
}

#[test]
fn chat_that_found_no_room_is_a_gap_of_the_match() {
    let mut link = link(PerStream { matches: 1 << 20, bulk: 1_000 });
    let handles = [follow(&mut link), follow(&mut link)];
    say(&mut link, handles[0], 0..20);
    say(&mut link, handles[1], 20..22);
    let dropped = link.outboxes.bulk.lines_dropped();
    let kept = 22 - dropped as i64;
    assert!(kept > 2 && kept < 20, "{kept} of them fit");
    assert_eq!(link.recoverable(), [], "there is no room yet");
    let mut recorder = attach(&mut link, 0, 0);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let sent = recorder.read();
    assert_eq!(kinds(&sent), format!("nn{}", "b".repeat(kept as usize)));
    ack(&mut link, &mut recorder, Stream::Bulk, kept as u64);
    assert_eq!(link.recoverable(), handles);
    link.base(handles[0], MatchBase { at: 30, ..MatchBase::default() }).unwrap();
    link.end(handles[1], EndReason::Ended, 31).unwrap();
    assert_eq!(link.recoverable(), []);
    say(&mut link, handles[0], 40..41);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let sent = recorder.read();
    let lost: Vec<_> = sent
        .iter()
        .filter_map(|sent| match sent {
            Sent::Match(MatchFrame { body: MatchBody::Base(MatchBase { lost, .. }), .. })
            | Sent::Match(MatchFrame { body: MatchBody::End { lost, .. }, .. }) => *lost,
            Sent::Match(_) | Sent::Open(_) | Sent::Name(_) | Sent::Bulk(_) | Sent::Publish(_) => None,
        })
        .collect();
    let expected = [Lost { count: 20 - kept as u64, since: kept }, Lost { count: 2, since: 20 }];
    assert_eq!(lost, expected);
    assert_eq!(kinds(&sent), "mmbb", "the end and the line that came after the gap");
}

#[test]
fn what_is_lost_twice_is_lost_since_the_first_time() {
    let mut link = link(PerStream { matches: 400, bulk: 400 });
    let handle = follow(&mut link);
    (1..20).for_each(|at| observe(&mut link, handle, at));
    let base = || MatchBase { at: 30, ..MatchBase::default() };
    link.base(handle, base()).unwrap();
    (31..50).for_each(|at| observe(&mut link, handle, at));
    link.base(handle, base()).unwrap();
    let mut recorder = attach(&mut link, 0, 0);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let since = recorder.read().into_iter().find_map(|sent| match sent {
        Sent::Match(MatchFrame { body: MatchBody::Base(base), .. }) => base.lost.map(|lost| lost.since),
        Sent::Match(_) | Sent::Open(_) | Sent::Name(_) | Sent::Bulk(_) | Sent::Publish(_) => None,
    });
    assert_eq!(since, Some(1));
}

#[test]
fn an_end_that_its_streams_window_holds_back_stops_no_rendering() {
    let mut link = link(WIDE);
    link.outboxes.bulk = Outbox::new(1 << 20, 1);
    let handle = follow(&mut link);
    let market = link.names().add(handle, handle, b"m", b"");
    let mut recorder = attach(&mut link, 0, 0);
    odds(&mut link, handle, market);
    link.end(handle, EndReason::Moved, 2).unwrap();
    assert!(!link.takes_renderings());
    assert_eq!(flushed(&mut link, &mut recorder), "nnmb");
    assert!(link.takes_renderings(), "its bulk stream may stand still for as long as a disk refuses");
    ack(&mut link, &mut recorder, Stream::Bulk, 1);
    assert!(!link.takes_renderings());
    assert_eq!(flushed(&mut link, &mut recorder), "b");
    assert!(link.takes_renderings());
}

#[test]
fn a_mark_is_asked_for_and_answered_in_its_place() {
    let mut link = link(WIDE);
    let handle = follow(&mut link);
    let mut recorder = attach(&mut link, 0, 0);
    recorder.send(&FromRecorderData::Mark { token: 77 });
    link.read().unwrap();
    assert_eq!(link.next_event().unwrap(), Some(LinkEvent::Mark { token: 77 }));
    observe(&mut link, handle, 1);
    link.mark(77).unwrap();
    assert!(link.flush(&mut Lag::default()).unwrap());
    let sent = recorder.read();
    assert_eq!(kinds(&sent), "nmm");
    let mark = MatchFrame { n: 2, handle: Handle(0), body: MatchBody::Mark { token: 77 } };
    assert_eq!(sent[2], Sent::Match(mark));
}

#[test]
fn a_mark_that_finds_the_outbox_full_is_sent_behind_what_fills_it() {
    let mut link = link(PerStream { matches: 400, bulk: 1 << 20 });
    for _ in 0..20 {
        let handle = follow(&mut link);
        link.end(handle, EndReason::Ended, 1).unwrap();
    }
    assert!(link.outboxes.matches.dropped() > 0, "not even an end finds room");
    link.mark(77).unwrap();
    let mut recorder = attach(&mut link, 0, 0);
    assert!(link.flush(&mut Lag::default()).unwrap());
    let sent = recorder.read();
    let last = sent.iter().rev().find_map(|sent| match sent {
        Sent::Match(frame) => Some(&frame.body),
        Sent::Open(_) | Sent::Name(_) | Sent::Bulk(_) | Sent::Publish(_) => None,
    });
    assert_eq!(last, Some(&MatchBody::Mark { token: 77 }));
}

#[test]
fn a_recorder_that_always_leaves_something_does_not_make_the_buffer_grow() {
    let mut link = link(WIDE);
    let handle = follow(&mut link);
    let (a, b) = UnixStream::pair().unwrap();
    link.attach(a.into()).unwrap();
    link.state = LinkState::Open;
    let section = Section { key: SectionKey::Head, body: Some("x".repeat(4000).into()) };
    let mut buffer = vec![0; 32 * 1024];
    let mut most = 0;
    for _ in 0..200 {
        while link.takes_renderings() {
            let publish = Publish { sections: vec![section.clone()], ..rendering(handle) };
            link.publish(&publish, Instant::now()).unwrap();
        }
        link.flush(&mut Lag::default()).unwrap();
        nix::unistd::read(&b, &mut buffer).unwrap();
        most = most.max(link.renderings.len());
    }
    assert!(most > RENDER_BELOW / 2 && most < 3 * RENDER_BELOW, "{most} bytes");
}

#[test]
fn rendering_stops_while_the_recorder_does_not_read() {
    let mut link = link(WIDE);
    let handle = follow(&mut link);
    let _deaf = attach(&mut link, 0, 0);
    let mut count = 0;
    while link.takes_renderings() {
        link.publish(&rendering(handle), Instant::now()).unwrap();
        link.flush(&mut Lag::default()).unwrap();
        count += 1;
        assert!(count < 1_000_000, "rendering never stops");
    }
    assert!(link.unsent() >= RENDER_BELOW);
}
