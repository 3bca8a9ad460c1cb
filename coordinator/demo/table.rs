//! The table that a demo draws on a terminal: from what is known and the terminal's size to lines.
//!
//! Invariants: no line is longer than the terminal is wide, and there is one line less than it is high, so that the cursor stays below.
//! The headline comes first and whole; then columns are left out by their importance, and workers beyond the last line are counted.

use crate::cli::{bytes, micros, short};
use std::time::Duration;
use touchline_common::control::views::{StatusView, WorkerView, counted};
use touchline_common::sys::terminal::TerminalSize;

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pub elapsed: Duration,
    pub status: StatusView,
    pub workers: Vec<WorkerView>,
    /// How late the simulated server itself was at its worst.
    pub server_late: Duration,
    pub judged: Judged,
}

/// What is compared with the ground truth.
#[derive(Clone, Copy, Debug)]
pub enum Judged {
    /// Published documents, as they come: how many, how many of them in the last second, how many were wrong.
    Documents { checked: u64, checked_per_s: u64, wrong: u64 },
    /// Lines of rooms, at the end. Until then: messages that the server sent, rows stored, and how many of these in the last second.
    Lines { messages: u64, stored: u64, stored_per_s: u64 },
    /// As `Documents`, of answers: beside them the requests that the server had, and how many of these in the last second.
    Answers { requests: u64, requests_per_s: u64, checked: u64, checked_per_s: u64, wrong: u64 },
}

impl Default for Judged {
    fn default() -> Judged {
        Judged::Documents { checked: 0, checked_per_s: 0, wrong: 0 }
    }
}

impl Frame {
    pub fn diffs_per_s(&self) -> f64 {
        self.workers.iter().map(|worker| worker.diffs_per_s).sum()
    }

    /// The worst worker's, microseconds.
    pub fn lag_p99_us(&self) -> u32 {
        self.workers.iter().map(|worker| worker.lag_us.p99).max().unwrap_or(0)
    }
}

struct Column {
    heading: &'static str,
    /// The one with the highest is left out first.
    rank: u8,
    cell: fn(&WorkerView) -> String,
}

const COLUMNS: [Column; 9] = [
    Column { heading: "worker", rank: 0, cell: |worker| worker.worker.to_string() },
    Column {
        heading: "pid",
        rank: 8,
        cell: |worker| worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
    },
    Column { heading: "state", rank: 1, cell: |worker| worker.state.clone().into_owned() },
    Column { heading: "subs", rank: 4, cell: |worker| format!("{}/{}", worker.subscriptions, worker.cap) },
    Column { heading: "busy", rank: 5, cell: |worker| format!("{:.0}%", worker.busy * 100.0) },
    Column { heading: "diffs/s", rank: 2, cell: |worker| format!("{:.0}", worker.diffs_per_s) },
    Column { heading: "queue", rank: 6, cell: |worker| bytes(worker.receive_queue_bytes as f64) },
    Column { heading: "lag p99", rank: 3, cell: |worker| micros(u64::from(worker.lag_us.p99)) },
    Column {
        heading: "memory",
        rank: 7,
        cell: |worker| worker.rss_bytes.map_or_else(|| "-".to_owned(), |rss| bytes(rss as f64)),
    },
];

/// The lines of the table on a terminal of this size.
pub fn lines(frame: &Frame, size: TerminalSize) -> Vec<String> {
    let columns = usize::from(size.columns);
    let most = usize::from(size.rows).saturating_sub(1);
    let mut lines = headline(frame, columns);
    lines.truncate(most);
    let left = most - lines.len();
    // A heading alone says nothing.
    if left >= 2 && !frame.workers.is_empty() {
        lines.extend(workers(&frame.workers, columns, left));
    }
    lines
}

/// What matters, as many items in a line as there is room for.
fn headline(frame: &Frame, columns: usize) -> Vec<String> {
    let (matches, recorder) = (&frame.status.matches, &frame.status.recorder);
    let (one, many, messages) = match frame.judged {
        Judged::Documents { .. } | Judged::Answers { .. } => ("match", "matches", "diffs/s"),
        Judged::Lines { .. } => ("room", "rooms", "messages/s"),
    };
    let mut items = vec![
        format!("{:.1} s", frame.elapsed.as_secs_f64()),
        counted(matches.listed, one, many),
        format!("{} live", matches.live),
        format!("{} waiting", matches.waiting),
        counted(frame.status.workers.ready, "worker", "workers"),
        counted(frame.status.workers.restarts, "restart", "restarts"),
        format!("{:.0} {messages}", frame.diffs_per_s()),
        format!("lag p99 {}", micros(u64::from(frame.lag_p99_us()))),
    ];
    match frame.judged {
        Judged::Documents { checked, checked_per_s, wrong } => items.extend([
            counted(recorder.documents, "document", "documents"),
            format!("{checked} checked ({checked_per_s}/s)"),
            format!("{wrong} wrong"),
            counted(recorder.events, "event", "events"),
        ]),
        Judged::Answers { requests, requests_per_s, checked, checked_per_s, wrong } => items.extend([
            format!("{} ({requests_per_s}/s)", counted(requests, "request", "requests")),
            format!("{checked} checked ({checked_per_s}/s)"),
            format!("{wrong} wrong"),
            counted(recorder.events, "event", "events"),
        ]),
        Judged::Lines { messages, stored, stored_per_s } => items.extend([
            counted(messages, "message sent", "messages sent"),
            format!("{stored} stored ({stored_per_s}/s)"),
            format!("{} open", counted(recorder.gaps_open, "gap", "gaps")),
        ]),
    }
    match frame.judged {
        Judged::Documents { .. } | Judged::Lines { .. } => {
            items.push(format!("server late by up to {}", micros(microseconds(frame.server_late))));
        }
        // It answers when it is asked.
        Judged::Answers { .. } => {}
    }
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        let item = short(&item, columns);
        match lines.last_mut() {
            Some(line) if width(line) + 2 + width(&item) <= columns => {
                line.push_str("  ");
                line.push_str(&item);
            }
            Some(_) | None => lines.push(item),
        }
    }
    lines
}

/// The workers under a heading, in at most `most` lines.
fn workers(workers: &[WorkerView], columns: usize, most: usize) -> Vec<String> {
    let rows = most.saturating_sub(1);
    // The line that counts the others needs room, too.
    let shown = if workers.len() <= rows { workers.len() } else { rows.saturating_sub(1) };
    let cells = |column: &Column| {
        let of_workers = workers.iter().take(shown).map(column.cell);
        std::iter::once(column.heading.to_owned()).chain(of_workers).collect::<Vec<String>>()
    };
    let mut table: Vec<(u8, Vec<String>)> =
        COLUMNS.iter().map(|column| (column.rank, aligned(cells(column)))).collect();
    while table.len() > 1 && table_width(&table) > columns {
        let least = table.iter().map(|(rank, _)| *rank).max().unwrap_or(0);
        table.retain(|(rank, _)| *rank != least);
    }
    let row = |at: usize| {
        let cells: Vec<&str> =
            table.iter().filter_map(|(_, cells)| cells.get(at)).map(String::as_str).collect();
        short(&cells.join("  "), columns)
    };
    let mut lines: Vec<String> = (0..=shown).map(row).collect();
    if shown < workers.len() {
        let more = counted(workers.len() - shown, "more worker", "more workers");
        lines.push(short(&format!("… {more}"), columns));
    }
    lines
}

/// The cells of a column, all as wide as the widest.
fn aligned(cells: Vec<String>) -> Vec<String> {
    let widest = cells.iter().map(|cell| width(cell)).max().unwrap_or(0);
    cells.into_iter().map(|cell| format!("{cell:>widest$}")).collect()
}

fn table_width(table: &[(u8, Vec<String>)]) -> usize {
    let cells: usize = table.iter().filter_map(|(_, cells)| cells.first()).map(|cell| width(cell)).sum();
    cells + 2 * table.len().saturating_sub(1)
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::control::views::{LagView, MatchesCount, RecorderView, WorkersCount};

    fn frame(workers: u16) -> Frame {
        let worker = |number: u16| WorkerView {
            worker: number,
            pid: Some(4_000_000),
            state: "draining".into(),
            subscriptions: 50,
            cap: 50,
            busy: 0.123,
            diffs_per_s: 812.4,
            receive_queue_bytes: 51_234,
            lag_us: LagView { p50: 90, p99: 49_100 },
            rss_bytes: Some(3_145_728),
            ..WorkerView::default()
        };
        let status = StatusView {
            workers: WorkersCount { ready: 40, restarts: 1, ..WorkersCount::default() },
            matches: MatchesCount { listed: 250, live: 248, waiting: 2, ..MatchesCount::default() },
            recorder: RecorderView { documents: 250, events: 5_732, ..RecorderView::default() },
            ..StatusView::default()
        };
        Frame {
            elapsed: Duration::from_millis(123_400),
            status,
            workers: (1..=workers).map(worker).collect(),
            server_late: Duration::from_micros(1_250),
            judged: Judged::Documents { checked: 123_456, checked_per_s: 4_321, wrong: 0 },
        }
    }

    fn drawn(workers: u16, columns: u16, rows: u16) -> Vec<String> {
        let drawn = lines(&frame(workers), TerminalSize { columns, rows });
        assert!(drawn.len() < usize::from(rows), "{rows} rows: {drawn:#?}");
        assert!(drawn.iter().all(|line| width(line) <= usize::from(columns)), "{drawn:#?}");
        drawn
    }

    /// The whole headline, however it is broken.
    fn assert_headline(lines: &[String]) {
        let all = lines.join("  ");
        for item in [
            "123.4 s",
            "250 matches",
            "248 live",
            "2 waiting",
            "40 workers",
            "1 restart",
            "diffs/s",
            "lag p99 49.1 ms",
            "250 documents",
            "123456 checked (4321/s)",
            "0 wrong",
            "5732 events",
            "server late by up to 1.2 ms",
        ] {
            assert!(all.contains(item), "{item}: {lines:#?}");
        }
    }

    #[test]
    fn a_usual_terminal_has_every_column_and_counts_the_workers_below() {
        let drawn = drawn(40, 80, 24);
        assert_headline(&drawn);
        let heading = drawn.iter().find(|line| line.contains("worker  ")).unwrap();
        for column in ["worker", "pid", "state", "subs", "busy", "diffs/s", "queue", "lag p99", "memory"] {
            assert!(heading.contains(column), "{column}: {drawn:#?}");
        }
        let shown = drawn.iter().filter(|line| line.contains("draining")).count();
        assert_eq!(drawn.last().unwrap(), &format!("… {} more workers", 40 - shown));
        assert_eq!(drawn.len(), 23, "no line is left empty");
        assert!(drawn.iter().any(|line| line.contains("12%") && line.contains("49.1 ms")), "{drawn:#?}");
    }

    #[test]
    fn a_small_terminal_keeps_the_headline_and_the_columns_that_matter() {
        let drawn = drawn(40, 40, 10);
        assert_headline(&drawn);
        let heading = drawn.iter().find(|line| line.contains("state")).unwrap();
        assert!(heading.contains("worker") && heading.contains("diffs/s"), "{drawn:#?}");
        assert!(!heading.contains("pid") && !heading.contains("memory"), "{drawn:#?}");
        assert!(drawn.last().unwrap().ends_with("more workers"), "{drawn:#?}");
    }

    #[test]
    fn a_large_terminal_shows_everything() {
        let all = drawn(40, 200, 60);
        assert_headline(&all);
        assert_eq!(all.iter().filter(|line| line.contains("draining")).count(), 40);
        assert!(!all.iter().any(|line| line.contains('…')), "{all:#?}");
        let one_more = drawn(1, 200, 60);
        assert_eq!(one_more.iter().filter(|line| line.contains("draining")).count(), 1);
    }

    #[test]
    fn of_rooms_it_says_what_was_sent_and_stored() {
        let judged = Judged::Lines { messages: 9_000, stored: 8_765, stored_per_s: 432 };
        let all = lines(&Frame { judged, ..frame(3) }, TerminalSize { columns: 200, rows: 24 }).join("  ");
        for item in ["250 rooms", "messages/s", "9000 messages sent", "8765 stored (432/s)", "0 gaps open"] {
            assert!(all.contains(item), "{item}: {all}");
        }
        assert!(!all.contains("documents"), "{all}");
    }

    #[test]
    fn of_answers_it_says_what_was_asked_and_checked() {
        let judged = Judged::Answers {
            requests: 7_000,
            requests_per_s: 120,
            checked: 3_000,
            checked_per_s: 90,
            wrong: 0,
        };
        let all = lines(&Frame { judged, ..frame(3) }, TerminalSize { columns: 200, rows: 24 }).join("  ");
        for item in ["250 matches", "7000 requests (120/s)", "3000 checked (90/s)", "0 wrong", "5732 events"]
        {
            assert!(all.contains(item), "{item}: {all}");
        }
        assert!(!all.contains("late by"), "{all}");
    }

    #[test]
    fn no_size_is_too_small() {
        for (columns, rows) in [(0, 0), (1, 1), (1, 50), (7, 3), (200, 2)] {
            drawn(5, columns, rows.max(1));
        }
    }
}
