//! Rooms: what is said in them is stored once, whatever breaks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use touchline_e2e::rooms::{JOINED, Over, RoomSite, joined_with, ranked, ranking};
use touchline_harness::fixture::quoted;
use touchline_harness::{process, wait};
use touchline_simulator::Names;
use touchline_simulator::rooms::{Cut, Host, Ranking, Refusal, RoomOptions};

fn small() -> RoomOptions {
    RoomOptions { rooms: 8, rate: 800.0, spread: 50.0, ..RoomOptions::default() }
}

/// Follows every room over one transport, joined with `auth`, until there are lines enough; nothing breaks, so nothing may miss.
fn assert_all_is_stored(options: &RoomOptions, over: Over, auth: &str) {
    let site =
        RoomSite::live(options, over, |folder, server| ranked(server, "") + &joined_with(folder, auth));
    site.wait_for_lines(1_500);
    let report = site.assert_lines_are_true(Names::Kept);
    assert_eq!(report.excused, 0, "{report:#?}");
    assert!(report.sent > 1_000 && report.retracts > 0, "{report:#?}");
    site.assert_documents_are_true();
}

#[test]
fn every_line_is_stored_once_over_tcp_joined_the_old_way() {
    assert_all_is_stored(&small(), Over::Tcp, "variant = \"old\"\nuid = 123456789012345\n");
}

#[test]
fn every_line_is_stored_once_over_a_websocket_in_zlib() {
    let options = RoomOptions { token: Some("good".to_owned()), ..small() };
    assert_all_is_stored(&options, Over::WebSocket, "key = \"good\"\nprotover = 2\n");
}

#[test]
fn every_line_is_stored_once_over_a_secure_websocket_in_brotli() {
    assert_all_is_stored(&small(), Over::SecureWebSocket, "protover = 3\n");
}

#[test]
fn every_line_is_stored_once_in_brotli_seven_bytes_at_a_time_with_garbage_between() {
    let options = RoomOptions { piece: Some(7), garbage: 20, ..small() };
    assert_all_is_stored(&options, Over::Tcp, "protover = 3\n");
}

/// Waits until all rooms are live and lines are stored again.
fn wait_until_back(site: &RoomSite, rooms: usize) {
    site.wait_live(rooms);
    site.wait_for_lines(200);
}

#[test]
fn killed_workers_recorders_and_connections_lose_nothing_outside_gaps_and_double_nothing() {
    let options = RoomOptions { rooms: 12, overlap: 30, ..small() };
    let site = RoomSite::live(&options, Over::Tcp, |_, server| ranked(server, "max_rooms = 5"));
    site.wait_for_lines(400);
    assert!(site.workers().is_some_and(|workers| workers.len() >= 3), "12 rooms at 5 a worker");
    for _ in 0..2 {
        let workers = site.workers().unwrap();
        process::send(workers[0].1, Signal::SIGKILL);
        wait_until_back(&site, 12);
        let recorder = wait::until("a recorder", JOINED, || site.ready_recorder());
        process::send(recorder, Signal::SIGKILL);
        wait::until("another recorder", JOINED, || site.ready_recorder().filter(|pid| *pid != recorder));
        wait_until_back(&site, 12);
        let resets = site.server.report().resets;
        site.server.cut(Cut::All);
        site.wait_for_server("every connection reset", |report| report.resets >= resets + 12);
        wait_until_back(&site, 12);
    }
    let report = site.assert_lines_are_true(Names::Kept);
    assert!(report.rows > report.sent / 2, "most was outside gaps: {report:#?}");
    site.assert_documents_are_true();
    let gaps = site.gaps();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| !gap["ended_at"].is_null()), "{gaps:#?}");
}

#[test]
fn connections_that_break_all_the_time_between_garbage_and_repetitions_change_no_line() {
    let options = RoomOptions {
        rooms: 10,
        overlap: 20,
        garbage: 10,
        churn: 20.0,
        reset_every: Some(Duration::from_millis(400)),
        ..small()
    };
    let site = RoomSite::start(&options, Over::Tcp, |_, server| ranked(server, "end_linger = \"1s\""));
    site.wait_for_server("resets", |report| report.resets >= 15);
    site.wait_for_lines(1_000);
    let report = site.assert_lines_are_true(Names::Kept);
    assert!(report.sent > 1_000, "{report:#?}");
}

#[test]
fn a_host_that_goes_down_is_seen_at_once_and_all_rooms_come_back() {
    let site = RoomSite::live(&small(), Over::WebSocket, |_, server| ranked(server, ""));
    site.wait_for_lines(200);
    site.server.set_host(Host::Down);
    wait::until("rooms that are not live", Duration::from_secs(5), || {
        (site.count("/matches/live") == 0).then_some(())
    });
    site.server.set_host(Host::Up);
    wait_until_back(&site, 8);
    site.assert_lines_are_true(Names::Kept);
    site.assert_documents_are_true();
}

fn room_state(site: &RoomSite, room: u64) -> Option<Value> {
    let rooms = site.ask("matches", json!({}));
    let id = room.to_string();
    let found = rooms.as_array()?.iter().find(|one| one["match"] == id)?;
    Some(found["state"].clone())
}

#[test]
fn a_room_that_refuses_is_shown_as_refused_and_is_not_hammered() {
    // A server that only hangs up refuses the room if it serves others, which takes some attempts to know.
    for (refusal, most) in [(Refusal::Code, 3), (Refusal::Close, 6)] {
        let mut refused = 0;
        let site = RoomSite::start(&small(), Over::Tcp, |_, server| {
            refused = server.truth().rooms()[0];
            server.refuse(refused, refusal);
            ranked(server, "")
        });
        site.wait_live(7);
        wait::until("the room shown as refused", JOINED, || {
            (room_state(&site, refused)? == "refused").then_some(())
        });
        let joins = |site: &RoomSite| site.server.report().joins.get(&refused).copied().unwrap_or(0);
        // The server's report is of its last tick.
        site.wait_for_lines(500);
        let before = joins(&site);
        assert!((3..=most).contains(&before), "{before} joins before it was given up");
        site.wait_for_lines(500);
        assert_eq!(joins(&site), before, "it waits for minutes");
        assert_eq!(site.count("/workers/restarts"), 0);
        site.assert_lines_are_true(Names::Kept);
    }
}

#[test]
fn a_ranking_that_empties_is_confirmed_before_anything_is_dropped() {
    let site = RoomSite::live(&small(), Over::Tcp, |_, server| {
        format!(
            "kind = \"rooms\"\nconnects_per_s = 100.0\nend_linger = \"1s\"\n{}\n",
            ranking(server.http_address(), "2s")
        )
    });
    let asked_more = |more: u64| {
        let before = site.server.rankings();
        wait::until("questions for the ranking", JOINED, || {
            (site.server.rankings() >= before + more).then_some(())
        });
    };
    let joins = |site: &RoomSite| site.server.report().joins.values().sum::<u64>();
    site.wait_for_server("all rooms joined", |report| report.joined() == 8);
    let before = joins(&site);
    site.server.set_ranking(Ranking::Failing);
    asked_more(3);
    site.server.set_ranking(Ranking::EmptyOnce);
    asked_more(3);
    assert_eq!(site.count("/matches/live"), 8, "{}", site.daemon.log());
    assert_eq!(joins(&site), before, "nothing was dropped");
    site.server.set_ranking(Ranking::Empty);
    site.wait_live(0);
    site.wait_for_server("nobody in any room", |report| report.joined() == 0);
    site.server.set_ranking(Ranking::Served);
    site.wait_live(8);
    site.assert_lines_are_true(Names::Kept);
}

#[test]
fn rooms_that_leave_the_ranking_are_dropped_and_new_ones_joined() {
    let options = RoomOptions { churn: 60.0, ..small() };
    let site = RoomSite::live(&options, Over::Tcp, |_, server| ranked(server, "end_linger = \"1s\""));
    let first = site.server.truth().rooms();
    wait::until("rooms that were not there before", JOINED, || {
        let joined = site.server.truth().visited();
        (joined.iter().filter(|room| !first.contains(room)).count() >= 4).then_some(())
    });
    site.wait_for_lines(200);
    site.assert_lines_are_true(Names::Kept);
}

#[test]
fn the_file_of_rooms_is_followed_when_it_changes() {
    let names = |rooms: &[u64]| rooms.iter().map(|room| format!("{room}\n")).collect::<String>();
    let site = RoomSite::start(&small(), Over::Tcp, |folder, server| {
        let file = folder.join("rooms.txt");
        std::fs::write(&file, names(&server.truth().rooms()[..3])).unwrap();
        format!("kind = \"rooms\"\nend_linger = \"1s\"\nrooms_file = {}\n", quoted(&file))
    });
    site.wait_live(3);
    let rooms = site.server.truth().rooms();
    let write = |rooms: &[u64]| {
        let (new, file) = (site.file("rooms.new"), site.file("rooms.txt"));
        std::fs::write(&new, names(rooms)).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    write(&rooms[1..7]);
    site.wait_for_server("the rooms of the file", |report| {
        let mut joined: Vec<u64> = report.connections.iter().filter_map(|one| one.room).collect();
        joined.sort_unstable();
        let mut wanted = rooms[1..7].to_vec();
        wanted.sort_unstable();
        joined == wanted
    });
    site.wait_for_lines(100);
    site.assert_lines_are_true(Names::Kept);
}

#[test]
fn where_users_are_hashed_no_name_is_stored_anywhere() {
    let site = RoomSite::live(&small(), Over::Tcp, |_, server| ranked(server, "users = \"hash\""));
    site.wait_for_lines(500);
    let report = site.assert_lines_are_true(Names::Hidden);
    assert!(report.rows > 300);
    // All names end with the number of their user, which the texts do not hold.
    let name = "viewer_".as_bytes();
    let hours = std::fs::read_dir(site.file("hours")).unwrap().map(|entry| entry.unwrap().path());
    let files = hours.chain([site.file("touchline.db"), site.file("touchline.db-wal")]);
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(name.len()).any(|window| window == name);
        assert!(!found, "{} holds a name", file.display());
    }
}

#[test]
fn more_connections_than_an_address_may_have_cost_the_others_nothing() {
    let options = RoomOptions { per_address: Some(5), ..small() };
    let site = RoomSite::start(&options, Over::Tcp, |_, server| ranked(server, "max_per_address = 5"));
    site.wait_live(5);
    site.wait_for_lines(500);
    assert_eq!(site.server.report().capped, 0, "the cap is known");
    site.assert_lines_are_true(Names::Kept);
}

#[test]
fn recorded_bytes_of_rooms_give_the_same_lines_and_documents() {
    let options = RoomOptions { overlap: 20, ..small() };
    let mut site =
        RoomSite::live(&options, Over::WebSocket, |_, server| ranked(server, "[store]\nrecord_raw = true"));
    site.wait_for_lines(300);
    let resets = site.server.report().resets;
    site.server.cut(Cut::All);
    site.wait_for_server("every connection reset", |report| report.resets >= resets + 8);
    wait_until_back(&site, 8);
    let report = site.assert_lines_are_true(Names::Kept);
    site.assert_documents_are_true();
    let rooms = site.server.truth().rooms();
    let names: Vec<Value> =
        rooms.iter().map(|room| site.document(&room.to_string()).unwrap()["name"].clone()).collect();
    site.stop(Duration::from_secs(20));
    let files = std::fs::read_dir(site.file("raw")).unwrap();
    let files: Vec<String> = files.map(|entry| entry.unwrap().path().display().to_string()).collect();
    let args = ["replay", "--json", "--raw"].into_iter().chain(files.iter().map(String::as_str));
    let output = process::run(site.path(), &args.collect::<Vec<_>>());
    let printed = String::from_utf8_lossy(&output.stdout);
    let replayed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = &replayed.last().unwrap()["summary"];
    assert_eq!((&summary["skipped_bytes"], &summary["faults"]), (&json!(0), &json!([])), "{summary}");
    let said = replayed.iter().filter(|line| line["event"]["lane"] == "chat").count();
    assert_eq!(said as u64, report.rows, "{summary}");
    for (room, name) in rooms.iter().zip(names) {
        let id = Value::from(room.to_string());
        let document = replayed.iter().map(|line| &line["document"]).find(|one| one["match"] == id);
        assert_eq!(document.map(|document| &document["name"]), Some(&name));
    }
}
