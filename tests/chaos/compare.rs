//! What came out at the end, held against the truth: documents, events and odds of matches, lines and documents of rooms.
//!
//! The server is paused by then. Caller: `conclude`.

use super::outcome::Figures;
use super::server::{Matches, Server};
use super::site::Site;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use touchline_simulator::rooms::RoomHandle;
use touchline_simulator::{
    ChatReport, EventsReport, FinalReport, Names, OddsReport, Oracle, OracleReport, Upheaval, settled_chat,
    settled_rooms,
};

/// How long the documents may take to equal the truth once nothing changes any more.
const TRUTH: Duration = Duration::from_secs(10);
/// How long the recorder may take to commit everything.
const COMMITS: Duration = Duration::from_secs(30);
/// How long a match that ended unseen may be held for alive: `end_linger`, a second load, and time to commit.
const ENDS: Duration = Duration::from_secs(20);
/// Differences of a kind that are listed.
const LISTED: usize = 8;
/// The name of the feed in a fixture's configuration.
const FEED: &str = "inplay";

/// What it came to.
pub(crate) struct Compared {
    /// Without what is left over.
    pub(crate) figures: Figures,
    /// A line for each thing that is not as promised.
    pub(crate) wrong: Vec<String>,
}

/// Compares all that there is. `cap`: subscriptions of one connection.
pub(crate) fn compare(site: &Site, upheavals: &[Upheaval], cap: usize) -> Compared {
    match &site.server {
        Server::Matches(matches) => compare_matches(site, matches, upheavals, cap),
        Server::Rooms(rooms) => compare_rooms(site, rooms),
    }
}

fn compare_matches(site: &Site, of: &Matches, upheavals: &[Upheaval], cap: usize) -> Compared {
    let Matches { simulator, auditor } = of;
    let documents = Oracle::new(simulator.truth()).settled_documents(TRUTH, |id| site.document(id));
    wait_for_ends(site);
    wait_for_commits(site);
    let events = events(site, of, upheavals);
    let odds = auditor.oracle().compare_odds(site.path());
    let published = auditor.oracle().report().clone();
    let server = simulator.report();
    let mut wrong = Vec::new();
    list(&mut wrong, "match without a document", &documents.missing);
    list(&mut wrong, "document of no match", &documents.extra);
    list(&mut wrong, "document differs", &documents.different);
    list(&mut wrong, "published, never true", &published.explained);
    list(&mut wrong, "event differs", &events.differences);
    list(&mut wrong, "odds differ", &odds.differences);
    if published.checked == 0 || events.registers == 0 || odds.rows == 0 {
        wrong.push("nothing was compared".to_owned());
    }
    if server.over_cap > 0 || server.most_subscriptions > cap {
        wrong.push(format!("over the cap: {} of {cap} subscriptions", server.most_subscriptions));
    }
    Compared { figures: figures(&documents, &events, &odds, &published), wrong }
}

fn figures(
    documents: &FinalReport,
    events: &EventsReport,
    odds: &OddsReport,
    published: &OracleReport,
) -> Figures {
    let lost = documents.missing.len() as u64
        + documents.different.len() as u64
        + published.mismatches
        + (events.different - events.doubled)
        + (odds.different - odds.doubled);
    Figures {
        lost,
        doubled: events.doubled + odds.doubled + documents.extra.len() as u64,
        published: published.checked,
        unknown: published.unknown,
        registers: events.registers,
        commentary: events.commentary,
        odds: odds.rows,
        odds_not_kept: odds.states_dropped,
        matches: events.matches as u64,
        with_gaps: events.with_gaps as u64,
        ended_unseen: events.ended_unseen as u64,
        first_loads_lost: events.first_loads_lost as u64,
        ..Figures::default()
    }
}

fn events(site: &Site, of: &Matches, upheavals: &[Upheaval]) -> EventsReport {
    let mut stream = site.event_stream();
    let mut recorded = of.auditor.oracle().recorded();
    while let Some(line) = stream.next_line(Some(Duration::from_secs(10))).expect("the events") {
        recorded.push(&line).expect("an event in JSON");
    }
    of.auditor.oracle().compare_recorded(upheavals, recorded)
}

fn compare_rooms(site: &Site, rooms: &RoomHandle) -> Compared {
    let truth = rooms.truth();
    wait_for_ends(site);
    wait_for_commits(site);
    let lines = settled_chat(&truth, site.path(), FEED, Names::Kept, COMMITS);
    let documents = settled_rooms(&truth, TRUTH, |id| site.document(id));
    let gaps = site.gaps();
    let with_gaps: std::collections::BTreeSet<&str> =
        gaps.iter().filter_map(|gap| gap.get("match")?.as_str()).collect();
    let ChatReport { rows, excused, missing, doubled, altered, invented, .. } = lines;
    let mut wrong = Vec::new();
    wrong.extend(lines.unreadable.iter().map(|why| format!("the lines cannot be read: {why}")));
    list(&mut wrong, "lines differ", &lines.differences);
    list(&mut wrong, "room without a document", &documents.missing);
    list(&mut wrong, "document differs", &documents.different);
    if rows == 0 || documents.compared == 0 {
        wrong.push("nothing was compared".to_owned());
    }
    let figures = Figures {
        lost: missing + altered + (documents.missing.len() + documents.different.len()) as u64,
        doubled: doubled + invented,
        matches: truth.visited().len() as u64,
        with_gaps: with_gaps.len() as u64,
        lines: rows,
        lines_excused: excused,
        ..Figures::default()
    };
    Compared { figures, wrong }
}

/// Adds the first of `items` to what is wrong, and how many more there are.
pub(crate) fn list(wrong: &mut Vec<String>, what: &str, items: &[String]) {
    wrong.extend(items.iter().take(LISTED).map(|item| format!("{what}: {item}")));
    if items.len() > LISTED {
        wrong.push(format!("{what}: … and {} more", items.len() - LISTED));
    }
}

/// Gaps without an end.
pub(crate) fn open_gaps(site: &Site) -> Vec<String> {
    let open = |gap: &&Value| gap.get("ended_at").is_none_or(Value::is_null);
    site.gaps().iter().filter(open).map(Value::to_string).collect()
}

/// Waits until no gap is open: the end of a match that was not followed then is believed only after a while.
fn wait_for_ends(site: &Site) {
    let until = Instant::now() + ENDS;
    while !open_gaps(site).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the recorder has nothing left to commit: its counters, reported each second, are the same twice.
fn wait_for_commits(site: &Site) {
    let until = Instant::now() + COMMITS;
    let mut before = None;
    loop {
        let status = site.ask("status", json!({}));
        let count = |name: &str| status.pointer(&format!("/recorder/{name}")).and_then(Value::as_u64);
        let now = ["events", "bulk", "queue"].map(count);
        let idle = count("queue") == Some(0);
        if (idle && before.as_ref() == Some(&now)) || Instant::now() >= until {
            return;
        }
        before = Some(now);
        // Values that settle do so 2 s after a new connection brought them, and the counters are up to a second old.
        std::thread::sleep(Duration::from_millis(3_500));
    }
}
