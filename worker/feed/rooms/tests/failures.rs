//! What goes wrong with a room, and that it goes wrong with this room alone.

use super::*;
use crate::feed::rooms::room::REFUSALS;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_join_that_is_refused_three_times_parks_the_room_and_the_others_go_on() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let address = serve(move |_, mut peer| match peer.joined().as_deref() {
        Some("13") => {
            counted.fetch_add(1, Ordering::Relaxed);
            peer.write(Operation::JoinReply, b"{\"code\":-101}");
            peer.answer();
        }
        Some(_) | None => {
            peer.write(Operation::JoinReply, ACCEPTED);
            peer.answer();
        }
    });
    let mut bench = Bench::following(plan(&[address]), &["7", "13"]);
    let refused = bench.until("refused 13 600 ");
    assert!(refused.contains("code -101") && refused.contains("auth_file"), "{refused}");
    bench.until("snapshot 7 ");
    assert_eq!(attempts.load(Ordering::Relaxed), REFUSALS as usize);
    assert_eq!(bench.count("interrupted 13 "), REFUSALS as usize - 1);
    assert!(bench.rooms.is_loaded("7") && !bench.rooms.is_loaded("13"));
    assert_eq!(bench.rooms.asked(), 1, "a parked room holds no connection");
}

#[test]
fn a_connection_that_is_closed_in_the_join_is_a_refusal_while_others_are_served() {
    let address = serve(|_, mut peer| {
        if peer.joined().unwrap() == "7" {
            peer.write(Operation::JoinReply, ACCEPTED);
            peer.answer();
        }
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    bench.until("snapshot 7 ");
    bench.rooms.follow("13").unwrap();
    bench.until("refused 13 ");
}

#[test]
fn a_room_that_is_lost_is_joined_again() {
    let address = serve(|number, mut peer| {
        peer.accept().unwrap();
        peer.write(Operation::Message, format!("connection {number}").as_bytes());
        if number > 0 {
            return peer.answer();
        }
        // Once it has the first heartbeat nothing is on its way, which a close would answer with a reset.
        peer.read();
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    let lost = bench.until("interrupted 7 ");
    assert!(lost.contains("the server closed the connection; next attempt in"), "{lost}");
    bench.until("delta 7 connection 1");
    let at = |wanted: &str| bench.seen.iter().position(|seen| seen.starts_with(wanted)).unwrap();
    assert!(at("delta 7 connection 0") < at("interrupted 7 "), "nothing that came is overtaken by the end");
    assert_eq!(bench.count("snapshot 7 "), 2);
}

#[test]
fn followed_again_a_room_is_joined_afresh() {
    let address = serve(|_, mut peer| {
        peer.accept().unwrap();
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    bench.until("snapshot 7 ");
    bench.rooms.follow("7").unwrap();
    bench.until("interrupted 7 ");
    let deadline = Instant::now() + PATIENCE;
    while bench.count("snapshot 7 ") < 2 {
        assert!(Instant::now() < deadline, "{:?}", bench.seen);
        bench.turn();
    }
    assert_eq!(bench.rooms.connections(), 2);
}

#[test]
fn one_bad_packet_costs_that_packet_and_two_in_a_row_the_connection() {
    let address = serve(|number, mut peer| {
        peer.accept().unwrap();
        let mut bad = Vec::new();
        write_packet(&mut bad, BodyForm::Plain, Operation::Message, b"a form that nobody knows");
        // The form of the body stands behind the lengths of packet and head.
        if let Some(form) = bad.get_mut(6..8) {
            form.copy_from_slice(&[0x77, 0x77]);
        }
        peer.raw(&bad);
        peer.write(Operation::Message, b"good");
        if number == 0 {
            peer.raw(&bad);
            peer.raw(&bad);
        }
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    let skipped = bench.until("skipped room 7: ");
    assert!(skipped.contains("30583"), "{skipped}");
    bench.until("delta 7 good");
    let lost = bench.until("interrupted 7 ");
    assert!(lost.contains("a packet that cannot be read"), "{lost}");
    let deadline = Instant::now() + PATIENCE;
    while bench.count("delta 7 good") < 2 {
        assert!(Instant::now() < deadline, "{:?}", bench.seen);
        bench.turn();
    }
    assert!(bench.rooms.errors() >= 3);
}

#[test]
fn what_no_packet_can_be_ends_that_connection_alone() {
    let address = serve(|_, mut peer| {
        let room = peer.accept().unwrap();
        if room == "13" {
            peer.raw(&[0xff; 64]);
        }
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7", "13"]);
    bench.until("snapshot 7 ");
    bench.until("interrupted 13 ");
    assert_eq!(bench.count("interrupted 7 "), 0);
}

#[test]
fn hosts_are_tried_in_turn() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = serve(|_, mut peer| {
        peer.accept().unwrap();
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[closed, address]), &["7"]);
    bench.until("snapshot 7 ");
    let lost = bench.until("interrupted 7 ");
    assert!(lost.contains(&closed.to_string()), "{lost}");
}

#[test]
fn an_address_has_no_more_connections_than_it_may_and_a_freed_place_is_taken() {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counted, peak) = (Arc::clone(&open), Arc::clone(&most));
    let address = serve(move |_, mut peer| {
        peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        peer.accept().unwrap();
        peer.answer();
        counted.fetch_sub(1, Ordering::SeqCst);
    });
    let mut plan = plan(&[address]);
    plan.max_per_address = 2;
    let mut bench = Bench::following(plan, &["1", "2", "3"]);
    bench.until("snapshot 1 ");
    bench.until("snapshot 2 ");
    for _ in 0..20 {
        bench.turn();
    }
    assert_eq!((bench.count("snapshot 3 "), bench.rooms.asked()), (0, 2));
    bench.rooms.unfollow("1");
    bench.until("snapshot 3 ");
    // The server may see the third before it sees the first leave.
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn a_room_waits_for_what_it_is_to_be_joined_with() {
    let address = serve(|_, mut peer| {
        let (_, body) = peer.read().unwrap();
        peer.write(Operation::JoinReply, ACCEPTED);
        peer.write(Operation::Message, body.as_bytes());
        peer.answer();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.toml");
    let mut plan = plan(&[address]);
    plan.auth_file = file.to_str().unwrap().to_owned();
    let mut bench = Bench::following(plan, &["7"]);
    let lost = bench.until("interrupted 7 ");
    assert!(lost.contains("auth.toml: No such file"), "{lost}");
    assert_eq!(bench.rooms.connections(), 0, "the server is not asked in vain");
    std::fs::write(&file, "key = \"token of the test\"\n").unwrap();
    assert!(bench.until("delta 7 ").contains("token of the test"));
}

/// A room that is live, with a heartbeat that is far away, and whose server says more when it is told to.
fn quiet() -> (Bench, std::sync::mpsc::Sender<()>) {
    let (go, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let address = serve(move |_, mut peer| {
        peer.accept().unwrap();
        if gone.lock().unwrap().recv().is_ok() {
            peer.write(Operation::Message, b"late");
        }
        peer.answer();
    });
    let mut plan = plan(&[address]);
    plan.heartbeat = Duration::from_secs(30);
    let mut bench = Bench::following(plan, &["7"]);
    bench.until("snapshot 7 ");
    (bench, go)
}

#[test]
fn after_a_stop_of_the_machine_what_came_meanwhile_is_read_before_silence_is_judged() {
    let (mut bench, go) = quiet();
    go.send(()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut is_readable = false;
    while !is_readable {
        assert!(Instant::now() < deadline);
        bench.poll.poll(&mut bench.events, Some(Duration::from_millis(100))).unwrap();
        for event in bench.events.iter().filter(|event| event.token() != WAKER) {
            is_readable |= event.is_readable();
            bench.rooms.note(event.token(), Readiness::of(event));
        }
    }
    let later = Instant::now() + Duration::from_secs(3_600);
    bench.rooms.advance(bench.poll.registry(), later);
    while !bench.rooms.is_drained() {
        bench.rooms.read(later);
        bench.take(later);
    }
    bench.rooms.advance(bench.poll.registry(), later);
    bench.take(later);
    assert_eq!((bench.count("delta 7 late"), bench.count("interrupted ")), (1, 0), "{:?}", bench.seen);
}

#[test]
fn a_connection_that_died_in_silence_was_not_heard_since_its_last_word() {
    let (mut bench, _go) = quiet();
    bench.turn();
    let later = Instant::now() + Duration::from_secs(3_600);
    bench.rooms.advance(bench.poll.registry(), later);
    bench.take(later);
    assert!(bench.until("interrupted 7 ").contains("nothing came for"), "{:?}", bench.seen);
    let unheard = bench.unheard.first().copied().unwrap();
    assert!(unheard > Duration::from_secs(3_500) && unheard <= Duration::from_secs(3_601), "{unheard:?}");
}

#[test]
fn a_server_that_talks_instead_of_answering_the_join_is_given_up() {
    let address = serve(|_, mut peer| {
        peer.joined().unwrap();
        loop {
            let mut packet = Vec::new();
            write_packet(&mut packet, BodyForm::Plain, Operation::Other(77), &[b'x'; 60_000]);
            if peer.stream.write_all(&packet).is_err() {
                return;
            }
        }
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    let lost = bench.until("interrupted 7 ");
    assert!(lost.contains("was not answered"), "{lost}");
}

#[test]
fn what_came_before_a_reset_is_read_though_a_heartbeat_finds_the_connection_broken() {
    const MESSAGES: usize = 50;
    let ((go, gone), (leave, left)) = (channel::<()>(), channel::<()>());
    let gone = std::sync::Mutex::new(gone);
    let address = serve(move |number, mut peer| {
        peer.accept().unwrap();
        if number > 0 {
            return peer.answer();
        }
        gone.lock().unwrap().recv().unwrap();
        // In one segment: what the kernel still held back would be lost by the reset.
        let mut all = Vec::new();
        for _ in 0..MESSAGES {
            write_packet(&mut all, BodyForm::Plain, Operation::Message, b"said");
        }
        peer.raw(&all);
        // The first heartbeat is never read: that makes the close a reset.
        drop(peer);
        leave.send(()).unwrap();
    });
    let mut plan = plan(&[address]);
    plan.heartbeat = Duration::from_secs(30);
    let mut bench = Bench::following(plan, &["7"]);
    bench.until("snapshot 7 ");
    bench.turn();
    go.send(()).unwrap();
    left.recv().unwrap();
    bench.rooms.advance(bench.poll.registry(), Instant::now() + Duration::from_secs(40));
    bench.rooms.flush();
    bench.until("interrupted 7 ");
    assert_eq!(bench.count("delta 7 said"), MESSAGES);
}
