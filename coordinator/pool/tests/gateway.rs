//! The gateway: there only where it is to be, given the feed by whichever recorder there is, and nobody's trouble but its own.

use super::*;

fn bed() -> Bed {
    Bed::new(Settings { has_gateway: true, ..config(4) })
}

fn connects(bed: &mut Bed) -> usize {
    std::mem::take(&mut bed.log).iter().filter(|action| matches!(action, Action::ConnectFeed)).count()
}

fn die(bed: &mut Bed, child: Child) {
    let generation = bed.pool.life(child).unwrap().generation;
    bed.give(Input::Exited { child, generation, exit: KILLED, usage: None, at: Work::None });
}

#[test]
fn without_an_address_there_is_none() {
    let bed = Bed::new(config(4));
    assert_eq!(bed.pool.status(0).gateway.state, "off");
    let is_its = |action: &Action| matches!(action, Action::Spawn { child: Child::GATEWAY, .. });
    assert!(!bed.log.iter().any(is_its));
}

#[test]
fn it_gets_the_feed_of_each_recorder_and_each_of_it_gets_one() {
    let mut bed = bed();
    let view = bed.pool.status(0).gateway;
    assert_eq!((view.state.as_str(), view.address.as_str()), ("ready", "127.0.0.1:1"));
    assert_eq!(connects(&mut bed), 1);
    for child in [Child::GATEWAY, Child::RECORDER] {
        die(&mut bed, child);
        bed.pass(ms(5_000), &[]);
        assert_eq!(connects(&mut bed), 1, "{child:?}");
    }
}

#[test]
fn its_death_is_no_workers() {
    let mut bed = bed();
    bed.load_list(&["a"]);
    bed.live("a");
    bed.log.clear();
    die(&mut bed, Child::GATEWAY);
    assert!(bed.pool.reasons().iter().any(|reason| reason.starts_with("the gateway is ")));
    bed.pass(ms(5_000), &[]);
    assert!(!bed.pool.reasons().iter().any(|reason| reason.contains("gateway")));
    let touches_workers = |action: &Action| {
        matches!(action, Action::ToWorker { message: ToWorker::Release { .. } | ToWorker::Assign { .. }, .. })
    };
    assert!(!bed.log.iter().any(touches_workers));
    assert_eq!(bed.logged("gateway.died"), 1);
}

#[test]
fn at_the_end_it_leaves_before_the_recorder() {
    let mut bed = bed();
    bed.log.clear();
    let command = Command::Stop { urgency: Urgency::Now };
    bed.give(Input::Command { request: RequestId(1), command, timeout: ms(10_000) });
    let slots: Vec<SlotId> = bed.pool.children.with_process().map(|slot| slot.id).collect();
    slots.into_iter().for_each(|slot| die(&mut bed, Child::Worker(slot)));
    let asked = |bed: &Bed| {
        let gateway = bed.log.iter().any(|action| matches!(action, Action::ToGateway { .. }));
        let recorder =
            |action: &Action| matches!(action, Action::ToRecorder { message: ToRecorder::Stop { .. }, .. });
        (gateway, bed.log.iter().any(recorder))
    };
    assert_eq!(asked(&bed), (true, false));
    die(&mut bed, Child::GATEWAY);
    assert_eq!(asked(&bed), (true, true));
}
