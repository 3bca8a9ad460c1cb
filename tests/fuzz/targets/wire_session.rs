//! A session against a server that says anything: it tells nothing after its end, and stays in bounds.
//!
//! The first byte is the size of the pieces; after each the time moves on, so that timers run too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::{Duration, Instant};
use touchline_worker::feed::Event;
use touchline_worker::feed::diffusion::{Session, SessionConfig, State};

const ACCEPTED: &[u8] = b"\x23\x04\x64\x04id\x00";
const OUT_LIMIT: usize = 1000;

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let mut now = Instant::now();
    let config = SessionConfig {
        frame_limit: 4096,
        out_limit: OUT_LIMIT,
        max_aliases: 4,
        body_limit: 8192,
        ping_interval: Some(Duration::from_secs(1)),
        subscribes_per_s: 2.0,
        ..SessionConfig::default()
    };
    let mut session = Session::new(config, None, now);
    feed(&mut session, ACCEPTED, now);
    assert_eq!(session.state(), &State::Open);
    for piece in stream.chunks(usize::from(*step).max(1)) {
        if let Some(topic) = piece.get(..2) {
            let _ = session.subscribe(topic);
            if let [b'!'..=b'/', ..] = piece {
                session.unsubscribe(topic);
            }
        }
        feed(&mut session, piece, now);
        now += Duration::from_millis(300);
        session.timer(now);
        feed(&mut session, &[], now);
        // One reaction may stand beyond the limit: the one that ended the session.
        assert!(session.output().len() <= OUT_LIMIT + 4096 + 64);
        session.output_sent(usize::from(*step) / 8);
    }
});

/// What comes is read, and everything that it tells; nothing once the session has ended.
fn feed(session: &mut Session, bytes: &[u8], now: Instant) {
    session.spare()[..bytes.len()].copy_from_slice(bytes);
    session.filled(bytes.len(), now);
    let mut is_over = matches!(session.state(), State::Closed { .. });
    while let Some(event) = session.next_event(now) {
        assert!(!is_over, "{event:?} after the end");
        match event {
            Event::Snapshot { topic, .. } | Event::Delta { topic, .. } => assert!(!topic.is_empty()),
            Event::Connection(_)
            | Event::Removed { .. }
            | Event::Status { .. }
            | Event::Interrupted { .. }
            | Event::Refused { .. }
            | Event::Unchanged { .. }
            | Event::RoundEnd { .. }
            | Event::Skipped(_)
            | Event::QueueDepth(_) => {}
        }
        is_over = matches!(session.state(), State::Closed { .. });
    }
}
