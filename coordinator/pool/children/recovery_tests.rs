//! A loss is told once, with what followed.

use super::*;
use log::Level;

/// What an operator reads at the usual level.
fn told(bed: &Bed) -> Vec<&LogEvent> {
    let events = bed.log.iter().filter_map(|action| match action {
        Action::Log(event) if event.level() <= Level::Info => Some(event),
        _ => None,
    });
    events.collect()
}

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Six matches at two workers, all live, and those of worker 2.
fn two_workers() -> (Bed, Vec<&'static str>) {
    let mut bed = Bed::new(config(8));
    bed.load_list(&IDS);
    bed.pass(ms(5_000), &[]);
    IDS.iter().for_each(|id| bed.live(id));
    let at_two: Vec<&str> = IDS.into_iter().filter(|id| bed.owner(id).0 == 2).collect();
    assert!(!at_two.is_empty());
    bed.log.clear();
    (bed, at_two)
}

#[test]
fn a_death_is_one_line_once_the_last_of_its_matches_is_followed_again() {
    let (mut bed, lost) = two_workers();
    bed.exit(2, KILLED);
    bed.pass(ms(3_000), &[]);
    assert_eq!(bed.logged("worker.died"), 0, "not before it is known what follows");
    lost.iter().for_each(|id| bed.live(id));
    let told = told(&bed);
    let died: Vec<_> = told.iter().filter(|event| event.name() == "worker.died").collect();
    let [LogEvent::Died { matches, recovered_ms: Some(took), .. }] = died[..] else { panic!("{told:?}") };
    assert_eq!((*matches, *took), (lost.len(), 3_000));
    assert!(told.iter().all(|event| !event.name().starts_with("match.")), "{told:?}");
    assert!(told.iter().all(|event| event.level() > Level::Error), "{told:?}");
}

#[test]
fn a_death_that_nobody_makes_good_is_an_error_after_a_while() {
    let (mut bed, lost) = two_workers();
    bed.exit(2, KILLED);
    bed.pass(ms(31_000), &[]);
    let told = told(&bed);
    let died: Vec<_> = told.iter().filter(|event| event.name() == "worker.died").collect();
    let [LogEvent::DiedForGood { missing, .. }] = died[..] else { panic!("{told:?}") };
    assert_eq!(*missing, lost.len());
}

#[test]
fn a_match_that_ends_meanwhile_is_missed_no_more() {
    let (mut bed, lost) = two_workers();
    bed.exit(2, KILLED);
    bed.pass(ms(3_000), &[]);
    for id in lost {
        bed.pool.end(&key(id), "a test");
    }
    bed.give(Input::Tick);
    assert_eq!(bed.logged("worker.died"), 1);
}

#[test]
fn a_recorders_death_is_one_line_once_another_is_ready() {
    let (mut bed, _) = two_workers();
    let (child, generation) = (Child::RECORDER, bed.pool.children.recorder.life.generation);
    bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
    assert_eq!(bed.logged("recorder.died"), 0);
    bed.pass(ms(7_000), &[]);
    let told = told(&bed);
    let died: Vec<_> = told.iter().filter(|event| event.name() == "recorder.died").collect();
    assert!(matches!(died[..], [LogEvent::Died { recovered_ms: Some(_), .. }]), "{told:?}");
}

fn connection(bed: &mut Bed, slot: u16, state: ConnectionState, detail: &str) {
    let (slot, (generation, _)) = (SlotId(slot), bed.seen[&SlotId(slot)]);
    let message = FromWorker::Connection { state, detail: detail.into(), lost: None };
    bed.give(Input::Worker { slot, generation, message });
}

#[test]
fn a_connection_that_is_back_is_one_line_with_the_gap() {
    let (mut bed, lost) = two_workers();
    for id in &lost {
        bed.state(id, MatchState::Subscribing);
    }
    connection(&mut bed, 2, ConnectionState::Down, "the stream ended");
    bed.pass(ms(1_000), &[]);
    connection(&mut bed, 2, ConnectionState::Down, "refused");
    bed.pass(ms(1_000), &[]);
    connection(&mut bed, 2, ConnectionState::Up, "");
    assert_eq!(bed.logged("worker.connection_back"), 0, "nothing is followed yet");
    lost.iter().for_each(|id| bed.live(id));
    let told = told(&bed);
    let [LogEvent::ConnectionBack { matches, gap_ms, .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!((*matches, *gap_ms), (lost.len(), 2_000));
}

#[test]
fn a_feed_is_down_in_the_log_when_it_has_been_for_a_while_and_with_its_reason() {
    let mut bed = Bed::new(config(1));
    bed.load_list(&["a"]);
    bed.live("a");
    bed.pass(ms(1_000), &[]);
    bed.log.clear();
    connection(&mut bed, 1, ConnectionState::Down, "the stream ended");
    bed.pass(ms(4_000), &[]);
    assert_eq!(told(&bed), Vec::<&LogEvent>::new(), "what heals soon is told by the worker");
    bed.pass(ms(2_000), &[]);
    let told = told(&bed);
    let [LogEvent::FeedDown { why, .. }] = told[..] else { panic!("{told:?}") };
    assert!(why.contains("the stream ended"), "{why}");
}
