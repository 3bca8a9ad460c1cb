//! The matches of a list, or named: where they go, when they end.

use super::*;

#[test]
fn the_first_list_starts_as_many_workers_as_it_needs_and_fills_them_alike() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let workers = bed.pool.workers();
    assert_eq!(workers.iter().map(|w| w.subscriptions + w.reserved).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(bed.pool.state(), DaemonState::Ready);
    assert!(bed.switches().iter().all(|(_, epoch, owner)| *epoch > 500 && *owner == Owner::Dead));
}

#[test]
fn beyond_the_last_worker_matches_wait_in_their_order_and_nothing_passes_the_cap() {
    let mut bed = Bed::new(config(1));
    bed.load_list(&["a", "b", "c", "d", "e", "f"]);
    let soon = Listing { in_play: true, ..Listing::default() };
    bed.list(vec![ListChange::Present { id: "z".into(), listing: soon }]);
    assert_eq!(bed.pool.count().waiting, 3);
    assert!(bed.pool.workers()[0].subscriptions + bed.pool.workers()[0].reserved <= 5);
    bed.state("a", MatchState::Removed);
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    assert_eq!(bed.view("z").worker, Some(1), "in play goes first");
    assert_eq!(bed.pool.count().waiting, 2);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
}

#[test]
fn a_match_that_left_the_list_is_ending_until_its_topics_are_removed() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Ending);
    let count = bed.pool.count();
    assert_eq!((count.listed, count.ending, count.live, count.ended), (2, 1, 0, 0));
    bed.list(vec![ListChange::Present { id: "a".into(), listing: Listing::default() }]);
    assert_eq!(bed.view("a").state, MatchViewState::Live, "it is back");
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    bed.state("a", MatchState::Removed);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
}

#[test]
fn the_end_of_a_match_is_reported_though_it_is_listed_again() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    let (slot, epoch) = bed.owner("a");
    bed.state("a", MatchState::Removed);
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(4_500), &[]);
    // Its worker takes a moment to see it.
    bed.pass(ms(1_000), &[slot]);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
    bed.list(vec![ListChange::Present { id: "a".into(), listing: Listing::default() }]);
    bed.pass(ms(1_000), &[]);
    let (_, anew) = bed.owner("a");
    let ends: Vec<u64> = bed
        .log
        .iter()
        .filter_map(|action| match action {
            Action::ToRecorder { message: ToRecorder::Ended { key: of, epoch }, .. } if *of == key("a") => {
                Some(epoch.0)
            }
            _ => None,
        })
        .collect();
    assert!(matches!(ends[..], [up_to] if (epoch..anew).contains(&up_to)), "{epoch}, {ends:?}, {anew}");
}

#[test]
fn a_match_that_needs_more_than_a_connection_has_is_said_to() {
    let mut config = config(4);
    config.feeds[0].match_topics = (0..6).map(|n| format!("{n}V{{ID}}").parse().unwrap()).collect();
    let mut bed = Bed::new(config);
    bed.load_list(&["a"]);
    assert_eq!(bed.view("a").state, MatchViewState::Waiting);
    assert!(bed.view("a").why.unwrap().contains("6 subscriptions"), "{:?}", bed.view("a").why);
    bed.pass(ms(20_000), &[]);
    assert_eq!(bed.pool.workers().len(), 1, "no worker is started for it");
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn fixed_matches_need_no_list() {
    let mut config = config(4);
    let fixed = ["r1", "r2"].map(MatchId::from);
    config.feeds[0].source = MatchSource::Fixed(fixed.to_vec());
    let mut bed = Bed::new(config);
    bed.pass(ms(500), &[]);
    assert_eq!(bed.pool.count().subscribing, 2);
    assert_eq!(bed.logged("list.followed"), 0);
    assert_eq!(bed.pool.state(), DaemonState::Ready);
}

#[test]
fn matches_that_are_named_anew_come_and_go_and_the_others_stay() {
    let mut config = config(4);
    let fixed = ["r1", "r2"].map(MatchId::from);
    config.feeds[0].source = MatchSource::Fixed(fixed.to_vec());
    let mut bed = Bed::new(config);
    bed.pass(ms(500), &[]);
    let stays = bed.view("r2");
    bed.give(Input::Named { feed: FeedId(0), ids: vec!["r2".into(), "r3".into()] });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.pool.count().subscribing, 2);
    assert_eq!(bed.view("r2").epoch, stays.epoch, "it goes on as it was");
    assert_eq!(bed.view("r3").state, MatchViewState::Subscribing);
    assert_eq!(bed.view("r1").state, MatchViewState::Ended);
    bed.give(Input::Named { feed: FeedId(0), ids: vec!["r1".into()] });
    bed.pass(ms(500), &[]);
    assert_eq!(bed.view("r1").state, MatchViewState::Subscribing);
    assert_eq!(bed.pool.count().subscribing, 1);
}
