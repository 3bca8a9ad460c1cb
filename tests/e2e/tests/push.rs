//! JSON push servers by the shipped configurations: documents are true, caps are kept, a hole costs its topic alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use touchline_e2e::push::{LIVE, PushSite, options};
use touchline_harness::{data, process, wait};
use touchline_simulator::push::{
    Deltas, Dialect, Ending, Faults, Frames, Mishap, OverCap, PushOptions, Which,
};

/// How long ten thousand topics may take until all are live.
const SOON: Duration = Duration::from_secs(15);

/// Follows everything until there are deltas enough; nothing breaks, so there is no gap.
fn assert_all_is_followed(options: &PushOptions, change: impl FnOnce(String) -> String) -> PushSite {
    let site = PushSite::start_with(options, change);
    site.wait_live(options.topics);
    site.wait_for_deltas(3_000);
    site.assert_documents_are_true();
    site.assert_caps_are_kept();
    assert_eq!(site.topics_with_gaps(), BTreeSet::new());
    assert!(site.server.report().connections.len() >= 3, "40 topics at 15 a connection");
    site
}

#[test]
fn an_exchange_is_followed_by_its_example() {
    let site = assert_all_is_followed(&options(Dialect::Exchange), |text| text);
    let odds = site.assert_odds_are_true();
    assert_eq!(odds.judgement.compared, 120, "three runners of 40 markets");
    assert!(site.server.report().logins >= 3);
}

#[test]
fn an_exchange_that_puts_changes_together_is_followed() {
    let options = PushOptions { conflate: 5, ..options(Dialect::Exchange) };
    let site = PushSite::live(&options);
    site.wait_for_deltas(600);
    site.assert_documents_are_true();
}

#[test]
fn order_books_are_followed_by_their_example() {
    assert_all_is_followed(&options(Dialect::Books), |text| text);
}

#[test]
fn order_books_in_gzip_that_come_twice_or_unasked_are_followed() {
    let faults = Faults { duplicates: 3_000, strangers: 3_000, ..Faults::default() };
    let options = PushOptions { frames: Frames::Gzip, faults, ..options(Dialect::Books) };
    let site = assert_all_is_followed(&options, |text| text);
    let report = site.server.report();
    assert!(report.duplicates > 10 && report.strangers > 10, "{report:#?}");
}

#[test]
fn messages_in_permessage_deflate_and_in_zlib_are_followed() {
    for (dialect, frames) in [
        (Dialect::Exchange, Frames::Compressed),
        (Dialect::Books, Frames::Compressed),
        (Dialect::Scores, Frames::Zlib),
    ] {
        let site = assert_all_is_followed(&PushOptions { frames, ..options(dialect) }, |text| text);
        let report = site.server.report();
        let are_compressed = report.connections.iter().all(|connection| connection.is_compressed);
        assert_eq!(are_compressed, frames == Frames::Compressed, "{report:#?}");
    }
}

#[test]
fn scores_are_followed_by_their_example_in_both_forms_of_patches() {
    assert_all_is_followed(&options(Dialect::Scores), |text| text);
    let options = PushOptions { deltas: Deltas::Patch, ..options(Dialect::Scores) };
    assert_all_is_followed(&options, |text| {
        text.replace("is = \"merge\"", "is = \"patch\"").replace("merge = \"merge\"", "merge = \"patch\"")
    });
}

#[test]
fn a_game_that_is_replaced_in_the_list_ends_and_the_new_one_is_followed() {
    let site = PushSite::start_with(&options(Dialect::Scores), |text| {
        text.replace("batch = 20", "batch = 20\nend_linger = \"1s\"")
    });
    site.wait_live(40);
    site.server.replace(3);
    let new = wait::until("the new game", LIVE, || {
        site.server.topics().into_iter().find(|topic| topic == "game-1000003")
    });
    wait::until("its document", LIVE, || site.document(&new));
    site.wait_for_deltas(500);
    site.assert_documents_are_true();
}

#[test]
fn a_hole_costs_its_topic_alone_a_gap_and_a_fresh_snapshot() {
    for dialect in [Dialect::Books, Dialect::Scores] {
        for mishap in [Mishap::Hole, Mishap::Reorder] {
            let site = PushSite::live(&options(dialect));
            site.wait_for_deltas(500);
            let before = site.server.report().images_of;
            let topic = site.server.topics()[7].clone();
            site.server.mishap(&topic, mishap);
            let with_gaps = site.wait_for_gaps_to_end();
            assert_eq!(with_gaps, BTreeSet::from([topic.clone()]), "{dialect:?} {mishap:?}");
            site.wait_for_deltas(500);
            site.assert_documents_are_true();
            let after = site.server.report().images_of;
            for (id, images) in &after {
                let more = images - before.get(id).copied().unwrap_or(0);
                assert_eq!(more, u64::from(*id == topic), "{dialect:?} {mishap:?}: snapshots of {id}");
            }
            assert_eq!(site.topics_with_gaps(), with_gaps);
            site.assert_caps_are_kept();
        }
    }
}

#[test]
fn killed_workers_and_recorders_leave_true_documents_and_odds() {
    for dialect in [Dialect::Exchange, Dialect::Books, Dialect::Scores] {
        let site = PushSite::live(&options(dialect));
        site.wait_for_deltas(500);
        let workers = site.workers().unwrap();
        process::send(workers[0].1, Signal::SIGKILL);
        site.wait_for_gaps_to_end();
        site.wait_live(40);
        site.wait_for_deltas(500);
        let recorder = wait::until("a recorder", LIVE, || site.ready_recorder());
        process::send(recorder, Signal::SIGKILL);
        wait::until("another recorder", LIVE, || site.ready_recorder().filter(|pid| *pid != recorder));
        site.wait_live(40);
        site.wait_for_deltas(500);
        site.assert_documents_are_true();
        if dialect == Dialect::Exchange {
            site.assert_odds_are_true();
        }
        let report = site.server.report();
        assert!(report.most_subscriptions <= 15 && report.over_cap == 0, "{report:#?}");
    }
}

#[test]
fn connections_that_end_are_made_again_whatever_the_code() {
    // Several requests a connection: each goes on from where the connection before was lost, whatever has come since.
    let site =
        PushSite::start_with(&options(Dialect::Exchange), |text| text.replace("batch = 50", "batch = 4"));
    site.wait_live(40);
    for ending in [Ending::Reset, Ending::Close(1012), Ending::Close(1001), Ending::Close(4001)] {
        site.wait_for_deltas(300);
        let ended = site.server.report().ended;
        let connections = site.server.report().connections.len() as u64;
        site.server.end(Which::All, ending);
        site.wait_for_server("the ends", |report| report.ended >= ended + connections);
        site.wait_for_server("as many subscriptions", |report| report.subscriptions() >= 40);
        site.wait_live(40);
    }
    site.wait_for_deltas(300);
    site.assert_documents_are_true();
    site.assert_odds_are_true();
    assert!(site.server.report().resumed > 0, "with a token no whole is needed: {:#?}", site.server.report());
}

#[test]
fn a_login_that_runs_out_is_made_again() {
    let options = PushOptions { login_expires: Some(Duration::from_secs(3)), ..options(Dialect::Exchange) };
    let site = PushSite::start(&options);
    site.wait_for_server("logins that ran out", |report| report.expired >= 6);
    site.wait_for_deltas(500);
    site.assert_documents_are_true();
}

#[test]
fn a_lower_cap_than_was_configured_is_learned_however_the_server_shows_it() {
    for over_cap in [OverCap::Error, OverCap::Close, OverCap::Ignore, OverCap::NoSnapshot] {
        // Two workers take 20 each: more than the server grants.
        let options = PushOptions { over_cap, topics: 40, ..options(Dialect::Books) };
        let site = PushSite::start_with(&options, |text| {
            text.replace("max_subscriptions = 15", "max_subscriptions = 25")
        });
        site.wait_live(40);
        site.wait_for_deltas(500);
        site.assert_documents_are_true();
        assert!(site.server.report().over_cap > 0, "{over_cap:?}: it was not met");
    }
}

/// How long a topic whose deltas have holes again and again may take until its next snapshot.
const AGAIN: Duration = Duration::from_secs(60);

/// More topics a connection than the server serves well: of the rest most deltas are left out.
fn thinned(dialect: Dialect, more: &str) -> PushSite {
    let options = PushOptions { over_cap: OverCap::Thin, ..options(dialect) };
    let site = PushSite::start_with(&options, |text| {
        text.replace("max_subscriptions = 15", &format!("max_subscriptions = 25\n{more}"))
    });
    site.wait_for_server("subscriptions above the cap", |report| {
        report.over_cap > 0 && report.subscriptions() >= 40
    });
    site.wait_for_deltas(3_000);
    site
}

#[test]
fn thinned_deltas_with_numbers_are_holes_and_no_wrong_book_is_ever_published() {
    for dialect in [Dialect::Books, Dialect::Scores] {
        let site = thinned(dialect, "");
        site.assert_documents_become_true(AGAIN);
        site.assert_published_was_true();
        assert!(!site.topics_with_gaps().is_empty(), "{dialect:?}: nothing was thinned");
    }
}

#[test]
fn thinned_deltas_without_numbers_are_repaired_by_audits() {
    let site = thinned(Dialect::Exchange, "reconcile_every = \"3s\"");
    site.assert_documents_become_true(AGAIN);
    assert!(site.count("/feeds/0/audits") > 0);
}

#[test]
fn a_probe_shows_as_many_messages_as_asked_for_and_names_the_pointers_that_lead_nowhere() {
    let site = PushSite::live(&options(Dialect::Scores));
    let probe = |file: &str, messages: &str| {
        let args = ["probe", "scores", "--messages", messages, "--config", file];
        String::from_utf8(process::run(site.path(), &args).stdout).unwrap()
    };
    let shown = |printed: &str| printed.lines().filter(|line| line.starts_with("message ")).count();
    for count in [3, 25] {
        let printed = probe("touchline.toml", &count.to_string());
        assert_eq!(shown(&printed), count, "{printed}");
        assert!(printed.contains("a snapshot of 'game-") && printed.contains("score.home = "), "{printed}");
    }
    let text = std::fs::read_to_string(site.file("touchline.toml")).unwrap();
    std::fs::write(site.file("wrong.toml"), text.replace("body = \"/data\"", "body = \"/dat\"")).unwrap();
    let printed = probe("wrong.toml", "8");
    assert!(printed.contains("body = \"/dat\": there are ") && printed.contains("check `body`"), "{printed}");
}

#[test]
fn subscriptions_keep_to_the_rate_that_the_server_allows() {
    let options = PushOptions { topics: 100, cap: 50, subscribes_per_s: Some(12), ..options(Dialect::Books) };
    let site = PushSite::start_with(&options, |text| {
        // One request of ten topics a second, and no burst above the server's own count.
        text.replace("subscribes_per_s = 100.0", "subscribes_per_s = 5.0").replace("batch = 20", "batch = 2")
    });
    site.wait_live(100);
    let report = site.server.report();
    assert_eq!((report.over_rate, report.over_batch), (0, 0), "{report:#?}");
}

/// Ladders and last prices by runner, as texts that do not depend on how a number was written.
fn books_of(runners: impl Iterator<Item = (String, Value)>) -> Value {
    let number = |value: &Value| value.as_f64().map(|number| format!("{number}"));
    let rungs = |ladder: &Value| {
        let rungs = ladder.as_array().into_iter().flatten();
        let mut rungs: Vec<_> = rungs.map(|rung| (number(&rung[0]), number(&rung[1]))).collect();
        rungs.sort();
        serde_json::json!(rungs)
    };
    let of = |(id, runner): (String, Value)| {
        let ladders = ["atb", "atl", "trd"].map(|name| rungs(&runner[name]));
        (id, serde_json::json!({"ltp": number(&runner["ltp"]), "ladders": ladders}))
    };
    runners.map(of).collect::<serde_json::Map<String, Value>>().into()
}

#[test]
fn a_recorded_market_ends_in_the_book_of_a_plain_replay() {
    let Some(file) = data::path("exchange/market-1.200806927.jsonl") else { return };
    // Once in the middle of play, with full ladders, and once to the end, when the market is closed and all are empty.
    for (count, status) in [(17_000, "in_play"), (usize::MAX, "finished")] {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part.jsonl");
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().take(count).collect();
        std::fs::write(&part, lines.join("\n")).unwrap();
        assert_ends_as_a_plain_replay(&part, status);
    }
}

fn assert_ends_as_a_plain_replay(file: &Path, status: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/replay_market.py");
    let output = Command::new("python3").arg(script).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plain: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runners = plain["runners"].as_object().unwrap().clone();
    let expected = books_of(runners.into_iter());

    let options = PushOptions {
        topics: 0,
        rate: 0.0,
        recording: Some(file.to_owned()),
        lines_per_s: 5_000.0,
        ..options(Dialect::Exchange)
    };
    let site = PushSite::start(&options);
    let lines = plain["lines"].as_u64().unwrap();
    wait::until("every line sent", LIVE, || (site.server.report().lines == lines).then_some(()));
    let found = |document: &Value| {
        let markets = document["markets"].as_object()?;
        let selections = markets.values().find_map(|market| market["selections"].as_object())?;
        let of = |(id, shown): (&String, &Value)| {
            let mut runner = shown["extra"].clone();
            runner["ltp"] = shown["odds"].clone();
            (id.clone(), runner)
        };
        Some(books_of(selections.iter().map(of)))
    };
    let mut last = None;
    wait::until("the same book", LIVE, || {
        let document = site.document("1.200806927")?;
        last = found(&document);
        (last.as_ref() == Some(&expected) && document["status"] == status).then_some(())
    });
    assert_eq!(site.topics_with_gaps(), BTreeSet::new());
}

#[test]
fn ten_thousand_topics_are_live_soon_and_spread_evenly() {
    let options = PushOptions { topics: 10_000, rate: 2_000.0, cap: 200, ..options(Dialect::Books) };
    let site = PushSite::start_with(&options, |text| {
        text.replace(
            "subscribes_per_s = 100.0",
            "subscribes_per_s = 5000.0\nmessages_per_s = 500.0\nmax_connections = 64",
        )
    });
    site.wait_for_status("ten thousand live topics", SOON, |status| status["matches"]["live"] == 10_000);
    site.assert_caps_are_kept();
}
