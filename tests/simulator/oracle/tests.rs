//! The oracle must say yes to what was true, and no to everything else.

use super::{OddsReport, Oracle, Section, Upheaval, Verdict};
use crate::model::world::{Setup, World};
use crate::model::{Change, Moment};
use crate::truth::Truth;
use serde_json::{Value, json};

const START: Moment = Moment { micros: 1_558_098_187_000_000, offset: 3_600 };

/// A world in which all is followed, after so many changes.
fn world(changes: usize) -> (Truth, Moment) {
    world_that_keeps(1_000_000, changes)
}

/// Of all matches together so many comments and changes of odds are kept.
fn world_that_keeps(kept: usize, changes: usize) -> (Truth, Moment) {
    let setup = Setup {
        payload: crate::options::Payload::Inplay,
        seed: 4,
        matches: 16,
        bytes: 5_000,
        sparse: false,
        speed: 4.0,
        churn: 0.0,
        history: 1_000_000,
        changes: kept,
        list_topic: "OVInPlay_1_3".to_owned(),
    };
    let truth = Truth::new(World::new(setup, START));
    let slots: Vec<usize> = truth.with(|world| world.matches.iter().map(|(slot, _)| slot).collect());
    for slot in slots {
        truth.lock().follow(slot, START);
    }
    let now = run(&truth, START, changes);
    (truth, now)
}

fn run(truth: &Truth, mut now: Moment, changes: usize) -> Moment {
    let mut change = Change::default();
    for _ in 0..changes {
        now = now.after(500_000);
        change.clear();
        truth.lock().step(now, &mut change).unwrap();
    }
    now
}

fn sections(document: &Value) -> Vec<Section> {
    let mut head = document.as_object().unwrap().clone();
    let markets = head.remove("markets").unwrap();
    let body = |value: &Value| Some(value.to_string());
    let mut all = vec![(String::new(), body(&Value::Object(head)))];
    for (key, market) in markets.as_object().unwrap() {
        let mut market = market.clone();
        for (_, selection) in market["selections"].as_object_mut().unwrap() {
            selection["open"] = json!(7.5);
            selection["move"] = json!(-1);
        }
        all.push((format!("market:{key}"), body(&market)));
    }
    all
}

#[test]
fn what_is_true_is_found_true_and_what_never_was_is_explained() {
    let (truth, now) = world(500);
    let mut oracle = Oracle::new(truth.clone());
    let id = truth.matches().into_iter().next().unwrap();
    let before = truth.document(&id).unwrap();
    let mut all = sections(&before);
    assert_eq!(oracle.delivered(&id, &all, true), Verdict::True);
    run(&truth, now, 2_000);
    let after = truth.document(&id).unwrap();
    assert_ne!(before, after);
    // The head is of now, one market is still of then: that never was.
    let head = sections(&after).swap_remove(0);
    assert_eq!(oracle.delivered(&id, &[head], false), Verdict::False);
    let changes: Vec<Section> = sections(&after).into_iter().filter(|one| !all.contains(one)).collect();
    let mut changes = changes;
    for one in &all {
        let Some(key) = one.0.strip_prefix("market:") else { continue };
        if after["markets"].get(key).is_none() {
            changes.push((one.0.clone(), None));
        }
    }
    assert_eq!(oracle.delivered(&id, &changes, false), Verdict::True, "{:?}", oracle.report());
    let wrong = all[0].1.take().unwrap().replacen("\"status\":\"", "\"status\":\"x", 1);
    all[0].1 = Some(wrong);
    assert_eq!(oracle.delivered(&id, &all, true), Verdict::False);
    let explained = oracle.report().explained.last().unwrap();
    assert!(explained.contains(&id) && explained.contains("head: "), "{explained}");
    let mut unnumbered = sections(&after);
    let mut head: Value = serde_json::from_str(unnumbered[0].1.as_ref().unwrap()).unwrap();
    head["extra"].as_object_mut().unwrap().remove("ZC");
    unnumbered[0].1 = Some(head.to_string());
    assert_eq!(oracle.delivered(&id, &unnumbered, true), Verdict::Unnumbered);
    assert_eq!(oracle.delivered("unknown", &sections(&after), true), Verdict::Unnumbered);
    assert_eq!((oracle.report().checked, oracle.report().mismatches), (4, 2));
}

#[test]
fn head_and_tail_may_come_apart_and_the_share_of_delivered_changes_is_counted() {
    let (truth, mut now) = world(500);
    let mut oracle = Oracle::new(truth.clone());
    let id = truth.matches().into_iter().next().unwrap();
    let number = |document: &Value| document["extra"]["ZC"].as_str().unwrap().parse::<u64>().unwrap();
    let first = number(&truth.document(&id).unwrap());
    let mut last = 0;
    for _ in 0..20 {
        let document = truth.document(&id).unwrap();
        last = number(&document);
        let mut all = sections(&document);
        let mut head: Value = serde_json::from_str(all[0].1.as_ref().unwrap()).unwrap();
        let nodes = head["extra"].as_object_mut().unwrap().remove("nodes");
        let stats = head.as_object_mut().unwrap().remove("stats");
        let order = head.as_object_mut().unwrap().remove("market_order");
        let mut tail = json!({ "market_order": order });
        if let Some(stats) = stats {
            tail["stats"] = stats;
        }
        if let Some(nodes) = nodes {
            tail["extra"] = json!({ "nodes": nodes });
        }
        all[0].1 = Some(head.to_string());
        all.push(("tail".to_owned(), Some(tail.to_string())));
        assert_eq!(oracle.delivered(&id, &all, true), Verdict::True, "{:?}", oracle.report());
        assert_eq!(oracle.delivered(&id, &all[..1], false), Verdict::True, "again, and its head alone");
        now = run(&truth, now, 40);
    }
    let report = oracle.report();
    assert_eq!(report.changes, last - first + 1, "all changes since the first that was delivered");
    assert!(report.delivered > 1 && report.delivered <= 20, "one for each document: {report:?}");
    let share = report.delivered_share().unwrap();
    assert!(share > 0.0 && share < 1.0, "changes were conflated: {report:?}");
}

#[test]
fn the_last_documents_are_compared_as_a_whole() {
    let (truth, _) = world(300);
    let oracle = Oracle::new(truth.clone());
    let documents = || truth.matches().into_iter().map(|id| (id.clone(), truth.document(&id).unwrap()));
    let full = documents().map(|(id, mut document)| {
        document["match"] = json!(id);
        document["version"] = json!(17);
        document["stale"] = json!(false);
        (id, document)
    });
    let report = oracle.compare_final(full);
    assert!(report.is_equal() && report.compared == 16, "{report:?}");
    let mut some: Vec<_> = documents().skip(1).collect();
    some[0].1["status"] = json!("asleep");
    some.push(("unknown".to_owned(), json!({})));
    let report = oracle.compare_final(some);
    assert_eq!((report.missing.len(), report.extra.len(), report.different.len()), (1, 1, 1));
    assert!(report.different[0].contains("/status: expected"), "{report:?}");
}

/// Whether an event is none of a price, a market or a selection.
fn is_of_match_stream(event: &Value) -> bool {
    event.pointer("/payload/market").is_none()
}

/// Rows of the match stream as a recorder that saw everything would write them.
fn rows(truth: &Truth) -> Vec<Value> {
    let events: Vec<Value> = truth.events().into_iter().filter(is_of_match_stream).collect();
    let id = |event: &Value, n: &Value| format!("{}-{n}", event["match"]);
    let row = |(seq, event): (usize, &Value)| {
        let mut row = event.clone();
        row["seq"] = json!(seq + 1);
        row["revision"] = json!(0);
        row["id"] = json!(id(event, &event["n"]));
        if !event["retracts"].is_null() {
            row["retracts"] = json!(id(event, &event["retracts"]));
        }
        row
    };
    events.iter().enumerate().map(row).collect()
}

#[test]
fn events_are_compared_in_order_and_across_gaps_by_what_stands() {
    let (truth, _) = world(12_000);
    let oracle = Oracle::new(truth.clone());
    let all = rows(&truth);
    let report = oracle.compare_events(&all);
    assert!(report.is_equal(), "{:#?}", report.differences);
    assert!(report.registers > 500 && report.commentary > 100, "{report:?}");
    assert!(all.iter().any(|row| row["type"] == "retract"), "corrections happen");
    for kind in ["goal", "corner", "card", "score_change", "wicket", "set", "game", "point", "period_end"] {
        assert!(all.iter().any(|row| row["type"] == kind), "no {kind}");
    }

    let place = |kind: &str| all.iter().position(|row| row["type"] == kind).unwrap();
    for kind in ["goal", "corner", "comment", "retract", "stat_change"] {
        let mut missing = all.clone();
        missing.remove(place(kind));
        assert!(!oracle.compare_events(&missing).is_equal(), "a missing {kind} is seen");
    }
    let spoil = |kind: &str, key: &str, value: Value| {
        let mut spoilt = all.clone();
        let row = &mut spoilt[place(kind)];
        *row.pointer_mut(key).unwrap() = value;
        oracle.compare_events(&spoilt).differences
    };
    assert!(spoil("corner", "/side", json!("unknown"))[0].contains("side"));
    assert!(spoil("corner", "/minute", json!(400))[0].contains("clock"));
    assert!(spoil("comment", "/payload/text", json!("other"))[0].contains("payload"));
    let mut twice = all.clone();
    twice.push(all[place("goal")].clone());
    assert!(!oracle.compare_events(&twice).is_equal(), "an id that is there twice is seen");

    // In a gap commentary and points may miss; goals may not, and outside it nothing may.
    let goal = &all[place("goal")];
    let id = goal["match"].as_str().unwrap();
    let second = |row: &Value| super::events::seconds(row);
    let (from, to) = (second(goal) - 20, second(goal) + 20);
    let within = |row: &Value| row["match"] == id && (from..=to).contains(&second(row));
    let gap = |kind: &str, at: i64| {
        let at = crate::model::rfc3339(at);
        json!({"match": id, "type": kind, "id": kind, "seq": 0, "at": at, "revision": 0})
    };
    let mut mine: Vec<Value> = all.iter().filter(|row| row["match"] == id).cloned().collect();
    mine.sort_by_key(|row| row["n"].as_u64());
    let others: Vec<Value> = all.iter().filter(|row| row["match"] != id).cloned().collect();
    let lost = |row: &Value| within(row) && ["stat_change", "point"].contains(&row["type"].as_str().unwrap());
    assert!(mine.iter().any(lost));
    let gapped = |keep: &dyn Fn(&Value) -> bool| {
        let (before, rest): (Vec<Value>, Vec<Value>) =
            mine.iter().cloned().partition(|row| second(row) < from);
        let (mut inside, after): (Vec<Value>, Vec<Value>) = rest.into_iter().partition(within);
        inside.iter_mut().for_each(|row| row["recovered"] = json!(true));
        let rows = [before, vec![gap("gap_start", from)], inside, vec![gap("gap_end", to)], after].concat();
        let rows: Vec<Value> = others.iter().cloned().chain(rows.into_iter().filter(keep)).collect();
        oracle.compare_events(&rows)
    };
    let report = gapped(&|row| !lost(row));
    assert!(report.is_equal() && report.with_gaps == 1, "{report:#?}");
    let missing = gapped(&|row| row["id"] != goal["id"]);
    assert!(missing.differences[0].contains("across gaps, live goal"), "{missing:#?}");
    let late = mine.iter().rfind(|row| row["type"] == "stat_change" && second(row) > to + 10).unwrap();
    let missing = gapped(&|row| row["id"] != late["id"]);
    assert!(missing.different > 0 && missing.differences[0].contains("outside gaps"), "{missing:#?}");
}

#[test]
fn events_that_are_read_one_by_one_are_compared_as_those_at_hand() {
    let all = rows(&world(12_000).0);
    let (truth, _) = world_that_keeps(200, 12_000);
    let oracle = Oracle::new(truth.clone());
    let read = |rows: &[Value]| {
        let mut recorded = oracle.recorded();
        for row in rows {
            assert_eq!(recorded.push(row.to_string().as_bytes()).unwrap(), row["seq"].as_u64().unwrap());
        }
        oracle.compare_recorded(&[], recorded)
    };
    let (found, at_hand) = (read(&all), oracle.compare_events(&all));
    assert!(found.is_equal(), "{:#?}", found.differences);
    assert_eq!((found.matches, found.registers), (at_hand.matches, at_hand.registers));
    assert_eq!(
        (found.commentary, found.commentary_dropped),
        (at_hand.commentary, at_hand.commentary_dropped)
    );
    let place = |kind: &str| all.iter().rposition(|row| row["type"] == kind).unwrap();
    for kind in ["goal", "stat_change"] {
        let without: Vec<Value> = [&all[..place(kind)], &all[place(kind) + 1..]].concat();
        assert_eq!(read(&without).different, 1, "without a {kind}");
    }
    // An old one of which the truth knows no more than its number.
    let old = all.iter().find(|row| row["type"] == "stat_change").unwrap();
    let twice = read(&[all.clone(), vec![old.clone()]].concat());
    assert_eq!((twice.different, twice.doubled), (1, 1), "{:#?}", twice.differences);
    let mut strange = old.clone();
    (strange["match"], strange["id"]) = (json!("unknown"), json!("new"));
    assert_eq!(read(&[all.clone(), vec![strange]].concat()).doubled, 1);
}

#[test]
fn a_gap_that_begins_among_commentary_that_is_no_longer_kept_excuses_what_is_missing_in_it() {
    let all = rows(&world(12_000).0);
    let (truth, _) = world_that_keeps(200, 12_000);
    let kept = truth.events();
    let second = |row: &Value| super::events::seconds(row);
    let is_statistic = |row: &&Value| row["type"] == "stat_change";
    let goes_on = |one: &&Value| {
        let later = |other: &Value| other["match"] == one["match"] && second(other) > second(one) + 90;
        kept.iter().filter(is_statistic).any(later)
    };
    let first = kept.iter().filter(is_statistic).find(goes_on).unwrap();
    let id = first["match"].clone();
    let (from, to) = (second(first) - 30, second(first) + 30);
    let oracle = Oracle::new(truth.clone());
    assert!(oracle.compare_events(&all).is_equal());
    let gapped = |lost_until: i64| {
        let gap = |kind: &str, at: i64| json!({"match": id, "type": kind, "id": kind, "seq": 0, "at": crate::model::rfc3339(at), "revision": 0});
        let mine = |row: &&Value| row["match"] == id;
        let (before, after): (Vec<Value>, Vec<Value>) =
            all.iter().filter(mine).cloned().partition(|row| second(row) < from);
        let lost = |row: &Value| is_statistic(&row) && second(row) <= lost_until;
        let after = after.into_iter().filter(|row| !lost(row)).collect();
        let others = all.iter().filter(|row| row["match"] != id).cloned().collect();
        let rows = [others, before, vec![gap("gap_start", from), gap("gap_end", to)], after].concat();
        oracle.compare_events(&rows)
    };
    let report = gapped(to);
    assert!(report.is_equal(), "{:#?}", report.differences);
    let late =
        kept.iter().filter(is_statistic).find(|row| row["match"] == id && second(row) > to + 3).unwrap();
    assert!(!gapped(second(late)).is_equal(), "what misses after it is seen");
}

#[test]
fn what_a_lost_first_load_took_along_may_miss_and_nothing_else() {
    let (truth, _) = world(12_000);
    let oracle = Oracle::new(truth.clone());
    let mut all = rows(&truth);
    all.sort_by_key(|row| row["n"].as_u64());
    let second = |row: &Value| super::events::seconds(row);
    let is_goal = |row: &&Value| row["type"] == "goal";
    let later = |one: &Value, other: &Value| {
        one["match"] == other["match"] && second(other) > second(one) + 10 && other["type"] == "goal"
    };
    let goal = all.iter().filter(is_goal).find(|one| all.iter().any(|other| later(one, other))).unwrap();
    let id = goal["match"].as_str().unwrap();
    let begun = all.iter().filter(|row| row["match"] == id).map(second).min().unwrap();
    // It was not known before this moment, when goals had been scored.
    let followed_from = second(goal) + 1;
    let recorded = |keep: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        let mut kept: Vec<Value> = Vec::new();
        for row in all.iter().filter(|row| keep(row)) {
            let mut row = row.clone();
            if row["match"] == id
                && ["match_listed", "match_started"].contains(&row["type"].as_str().unwrap())
            {
                row["at"] = json!(crate::model::rfc3339(followed_from));
            } else if row["match"] == id && second(&row) <= followed_from {
                continue;
            }
            kept.push(row);
        }
        kept
    };
    let upheaval = |from: i64, to: i64| [Upheaval { from, to }];
    let lost = recorded(&|_| true);
    assert!(lost.len() + 10 < all.len());
    let report = oracle.compare_events_across(&upheaval(begun - 1, followed_from + 1), &lost);
    assert!(report.is_equal() && report.first_loads_lost == 1, "{report:#?}");
    assert!(!oracle.compare_events(&lost).is_equal(), "no upheaval");
    let elsewhere = [upheaval(begun + 1, followed_from + 1), upheaval(begun - 1, followed_from - 1)];
    assert!(elsewhere.iter().all(|one| !oracle.compare_events_across(one, &lost).is_equal()));
    let whole = oracle.compare_events_across(&upheaval(begun - 1, followed_from + 1), &all);
    assert!(whole.is_equal() && whole.first_loads_lost == 0, "all of it is better");
    for kind in ["stat_change", "goal"] {
        let late = all
            .iter()
            .rfind(|row| row["match"] == id && row["type"] == kind && second(row) > followed_from + 9);
        let late = late.unwrap()["id"].clone();
        let missing = recorded(&|row| row["id"] != late);
        let report = oracle.compare_events_across(&upheaval(begun - 1, followed_from + 1), &missing);
        assert!(!report.is_equal(), "a {kind} that came later is missed");
    }
}

/// Writes a store: its gaps, and two hour files with these rows, as a recorder does.
fn store(folder: &std::path::Path, rows: &[Value], gaps: &[(&str, i64, i64)]) {
    let database = rusqlite::Connection::open(folder.join("touchline.db")).unwrap();
    database
        .execute_batch("CREATE TABLE gaps(feed TEXT, match TEXT, started_at TEXT, ended_at TEXT)")
        .unwrap();
    for (id, from, to) in gaps {
        let times = [*from, *to].map(crate::model::rfc3339);
        database.execute("INSERT INTO gaps VALUES('f', ?, ?, ?)", (id, &times[0], &times[1])).unwrap();
    }
    std::fs::create_dir(folder.join("hours")).unwrap();
    let (first, second) = rows.split_at(rows.len() / 2);
    for (name, rows) in [("2026-01-02T15.db", first), ("2026-01-02T16.db", second)] {
        let mut database = rusqlite::Connection::open(folder.join("hours").join(name)).unwrap();
        let writing = database.transaction().unwrap();
        writing
            .execute_batch(
                "CREATE TABLE history(seq, at, feed, match, market, market_name, selection, selection_name, type, odds, \
                 odds_text, suspended, recovered)",
            )
            .unwrap();
        for row in rows {
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            let values = (
                row["seq"].as_i64(),
                text("match"),
                text("market"),
                text("selection"),
                text("type"),
                row["odds"].as_f64(),
                text("odds_text"),
                row["suspended"].as_bool(),
                row["recovered"].as_bool(),
            );
            let insert = "INSERT INTO history(seq, match, market, selection, type, odds, odds_text, suspended, recovered) \
                          VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)";
            writing.execute(insert, values).unwrap();
        }
        writing.commit().unwrap();
    }
}

/// Rows of odds as a recorder that saw everything would write them.
fn odds_rows(truth: &Truth) -> Vec<Value> {
    let mut rows = Vec::new();
    for matched in truth.with(super::odds::truth_of) {
        for course in &matched.courses {
            for state in course.states.iter().filter(|state| state.cause.is_event()) {
                let row = json!({
                    "n": state.n, "match": matched.id, "market": course.market, "selection": course.selection,
                    "type": crate::truth::expected::odds_kind(state), "suspended": state.suspended, "recovered": false,
                    "odds": state.odds.decimal().map(|odds| odds as f64 / 10_000.0),
                    "odds_text": crate::truth::expected::odds_text(state.odds),
                });
                rows.push(row);
            }
        }
    }
    rows.sort_by_key(|row| row["n"].as_u64());
    for (place, row) in rows.iter_mut().enumerate() {
        row["seq"] = json!(place + 1);
    }
    rows
}

fn compared(truth: &Truth, rows: &[Value]) -> OddsReport {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), rows, &[]);
    Oracle::new(truth.clone()).compare_odds(folder.path())
}

#[test]
fn the_rows_of_the_hour_files_are_compared_with_what_happened() {
    let (truth, _) = world(6_000);
    let all = odds_rows(&truth);
    let report = compared(&truth, &all);
    assert!(report.is_equal(), "{:#?}", report.differences);
    assert_eq!((report.rows, report.matches), (all.len() as u64, 16));
    for kind in ["odds_change", "suspended", "resumed", "market_open", "market_close"] {
        let place = all.iter().rposition(|row| row["type"] == kind).unwrap();
        let without = [&all[..place], &all[place + 1..]].concat();
        assert_ne!(compared(&truth, &without).different, 0, "without a {kind}");
    }
    let (truth, _) = world_that_keeps(3_000, 6_000);
    let cut = compared(&truth, &all);
    assert!(cut.is_equal() && cut.states_dropped > 0, "{:#?}", cut.differences);
}

#[test]
fn what_cannot_be_read_is_a_difference() {
    let (truth, _) = world(100);
    let oracle = Oracle::new(truth.clone());
    let folder = tempfile::tempdir().unwrap();
    let nothing = oracle.compare_odds(folder.path());
    assert!(nothing.differences.iter().any(|one| one.contains("hours")), "no folder: {nothing:?}");
    store(folder.path(), &[], &[]);
    let rows = odds_rows(&truth);
    assert!(!oracle.compare_odds(folder.path()).is_equal(), "no rows");
    std::fs::write(folder.path().join("hours/2026-01-02T17.db"), "no database").unwrap();
    let broken = oracle.compare_odds(folder.path());
    assert!(broken.differences.iter().any(|one| one.contains("T17.db")), "{broken:?}");
    let mut fallen = rows.clone();
    fallen[rows.len() - 1]["seq"] = json!(1);
    let report = compared(&truth, &[fallen[1..].to_vec(), vec![fallen[0].clone()]].concat());
    assert!(report.differences.iter().any(|one| one.contains("does not rise")), "{report:?}");
}
