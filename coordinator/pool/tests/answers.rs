//! What `status` and `health` say of the pool.

use super::*;

#[test]
fn a_connection_that_brings_nothing_or_does_not_answer_makes_its_feed_degraded() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.live("a");
    bed.pass(ms(1_000), &[]);
    assert!(bed.pool.health().healthy);
    let (slot, (generation, commands_seen)) = bed.seen.clone().into_iter().next().unwrap();
    for (unanswered, quiet_s, why) in [
        (0, 61, "nothing came for longer than stale_after on the connection of worker 1"),
        (2, 0, "2 subscriptions are not answered on the connection of worker 1"),
        (2, 61, "nothing came for longer than stale_after on the connection of worker 1"),
    ] {
        let report = LoadReport { commands_seen, unanswered, quiet_s, ..LoadReport::default() };
        bed.give(Input::Worker { slot, generation, message: FromWorker::Load(report) });
        let (health, status) = (bed.pool.health(), bed.pool.status(0));
        assert_eq!(health.reasons, [format!("feed inplay: {why}")]);
        assert_eq!((status.state, &*status.feeds[0].why), (DaemonState::Degraded, why));
        assert_eq!(status.feeds[0].never_answered, u64::from(unanswered));
    }
    bed.pass(ms(1_000), &[]);
    assert!(bed.pool.health().healthy, "{:?}", bed.pool.health());
}

#[test]
fn a_match_that_the_server_refuses_is_shown_as_that_and_keeps_its_worker() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a", "b"]);
    bed.live("a");
    bed.live("b");
    let worker = bed.view("a").worker;
    bed.state("a", MatchState::Refused);
    assert_eq!(bed.view("a").state, MatchViewState::Refused);
    let count = bed.pool.status(0).matches;
    assert_eq!((count.listed, count.live, count.refused, count.stale), (2, 1, 1, 0));
    assert!(count.not_live().contains(&("refused", 1)));
    bed.pass(ms(60_000), &[]);
    assert_eq!((bed.view("a").state, bed.view("a").worker), (MatchViewState::Refused, worker));
    assert!(bed.pool.health().healthy, "it is the server's word, no fault: {:?}", bed.pool.health());
    bed.live("a");
    assert_eq!(bed.view("a").state, MatchViewState::Live);
    bed.state("b", MatchState::Refused);
    bed.list(vec![ListChange::Gone { id: "b".into() }]);
    bed.pass(ms(30_000), &[]);
    assert_eq!(bed.view("b").state, MatchViewState::Ended, "nothing comes of it");
}

#[test]
fn a_room_that_left_the_ranking_ends_after_a_while_though_it_goes_on_talking() {
    let mut config = config(8);
    config.feeds[0].linger = Linger::Time;
    let mut bed = Bed::new(config);
    bed.load_list(&["a", "b"]);
    bed.live("a");
    bed.list(vec![ListChange::Gone { id: "a".into() }]);
    bed.pass(ms(6_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Ending);
    bed.pass(ms(30_000), &[]);
    assert_eq!(bed.view("a").state, MatchViewState::Ended);
}

#[test]
fn what_a_list_has_above_the_limit_is_said() {
    let mut config = config(1);
    // None of them is followed: a worker's room is not what this is about.
    config.feeds[0].selection.only.sports = vec!["soccer".into()];
    let mut bed = Bed::new(config);
    let ids: Vec<String> = (0..catalog::list::LISTED_MAX + 3).map(|n| format!("m{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for _ in 0..2 {
        bed.load_list(&ids);
        let reason = "feed inplay: 3 matches are left out: its list has more than 100000";
        assert_eq!(bed.pool.health().reasons, [reason]);
        assert_eq!(bed.pool.status(0).feeds[0].left_out, 3);
    }
    assert_eq!(bed.logged("list.over_limit"), 1);
    bed.load_list(&ids[..9]);
    assert!(bed.pool.health().healthy, "{:?}", bed.pool.health());
}

#[test]
fn answers_have_the_contracts_keys() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    let keys = |value: serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let has = |all: Vec<String>, wanted: &str| {
        for name in wanted.split(' ') {
            assert!(all.iter().any(|key| key == name), "{name} is missing in {all:?}");
        }
    };
    let status = serde_json::to_value(bed.pool.status(0)).unwrap();
    has(
        keys(status["feeds"][0].clone()),
        "name kind state asked acknowledged live never_answered left_out cap learned_cap audits audits_missed sources quota",
    );
    has(keys(status["workers"].clone()), "ready starting parked restarts max");
    has(keys(status["matches"].clone()), "listed waiting subscribing live stale quarantined ending ended");
    has(keys(status["recorder"].clone()), "state documents events queue dropped");
    assert_eq!(status["state"], "ready");
    has(
        keys(status),
        "version build pid uptime_s state epoch workers matches feeds recorder gateway sandbox deaths",
    );
    let worker = serde_json::to_value(&bed.pool.workers()[0]).unwrap();
    assert_eq!(worker["connection"], "up");
    has(
        keys(worker),
        "worker pid state feed connection matches subscriptions reserved cap busy diffs_per_s bytes_per_s \
         receive_queue_bytes receive_queue_peak_bytes server_queue lag_us rss_bytes restarts generation uptime_s last_exit",
    );
    let a_match = serde_json::to_value(bed.view("a")).unwrap();
    assert_eq!(a_match["state"], "subscribing");
    has(keys(a_match), "match feed worker epoch state version updated_at age_ms name");
}

#[test]
fn sources_that_fail_for_long_are_a_reason_and_the_rest_is_only_counted() {
    let mut bed = Bed::new(config(8));
    bed.load_list(&["a"]);
    bed.live("a");
    bed.pass(ms(1_000), &[]);
    let (slot, (generation, commands_seen)) = bed.seen.clone().into_iter().next().unwrap();
    for overdue in [0, 1] {
        let worst = FailingSource {
            name: "source x".into(),
            why: "status 500".into(),
            failing_ms: 5_000,
            next_ms: 20,
        };
        let sources = SourcesReport { up: 3, slow: 1, failing: 2, overdue, worst: Some(worst) };
        let report = LoadReport { commands_seen, sources: Some(sources), ..LoadReport::default() };
        bed.give(Input::Worker { slot, generation, message: FromWorker::Load(report) });
        let view = bed.pool.status(0).feeds[0].sources.clone().unwrap();
        assert_eq!((view.up, view.slow, view.failing, view.worst.unwrap().failing_s), (3, 1, 2, 5.0));
        let why = "feed inplay: 1 source fails for longer than stale_after, first source x: status 500";
        let reasons = if overdue == 0 { Vec::new() } else { vec![why.to_owned()] };
        assert_eq!(bed.pool.health().reasons, reasons);
    }
}

#[test]
fn a_quota_is_for_the_day_whoever_asks_and_however_often_all_is_started_again() {
    let of = |started_at: i64| {
        let mut config = config(8);
        config.feeds[0].quota = Some(QuotaPlan { per_day: 30, batch: 10 });
        Settings { started_at, ..config }
    };
    let mut bed = Bed::new(of(86_000));
    bed.load_list(&["a"]);
    let left = |bed: &Bed| bed.pool.status(0).feeds[0].quota.unwrap().left;
    assert_eq!(left(&bed), 20, "the start of its worker took a batch");
    let permits = |bed: &Bed| {
        let is_permit =
            |action: &&Action| matches!(action, Action::ToWorker { message: ToWorker::PermitConnect, .. });
        bed.log.iter().filter(is_permit).count()
    };
    let (slot, (generation, _)) = bed.seen.clone().into_iter().next().unwrap();
    for _ in 0..4 {
        bed.give(Input::Worker { slot, generation, message: FromWorker::RequestConnect });
        bed.pass(ms(1_000), &[]);
    }
    assert_eq!((permits(&bed), left(&bed)), (2, 0));
    assert!(bed.pool.health().reasons.iter().any(|why| why.contains("quota")), "{:?}", bed.pool.health());
    let saved = bed.pool.saved_state();
    let again = Bed::after(of(86_100), Some(&saved));
    assert_eq!((left(&again), again.logged("worker.spawned")), (0, 0));
    let next_day = Bed::after(of(86_500), Some(&saved));
    assert_eq!((left(&next_day), next_day.logged("worker.spawned")), (20, 1));
}
