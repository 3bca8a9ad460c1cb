//! The lines of rooms: each one that was sent to a joined connection, outside gaps, is stored exactly once, and nothing else is.
//!
//! A line that is missing is excused only by a gap of its room that covers the moment it was sent, or when nobody can know whether it
//! arrived: its only connections had been closed by their client by then. What is there must equal what was said. Callers: the demo, the
//! end-to-end tests.

#[cfg(test)]
mod tests;

use super::hours::{self, ChatRow, GapTimes, HoursError};
use super::settled::settled;
use crate::rooms::{Due, Kind, Line, RoomsTruth, SentLine};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What was sent last before a connection broke may lie on its way this long, microseconds: a gap begins with what was read last.
const UNDER_WAY: i64 = 1_000_000;
/// Differences that are described; the others are only counted.
const DESCRIBED: usize = 40;

/// What is stored of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    #[default]
    Kept,
    /// Something else: no name.
    Hidden,
}

/// The stored lines against those that were sent.
#[derive(Clone, Debug, Default)]
pub struct ChatReport {
    /// Rows read.
    pub rows: u64,
    /// Lines sent,
    pub sent: u64,
    /// how many of them say that something is taken back,
    pub retracts: u64,
    /// and how many are not there, which a gap or a client's own end excuses.
    pub excused: u64,
    /// Lines that are not there and must be.
    pub missing: u64,
    /// Rows of a line that was stored before.
    pub doubled: u64,
    /// Rows that say something else than what was said.
    pub altered: u64,
    /// Rows of lines that were never sent.
    pub invented: u64,
    /// Why the rows could not be read.
    pub unreadable: Option<String>,
    /// What does not agree, a line each; bounded.
    pub differences: Vec<String>,
}

impl ChatReport {
    /// Whether all is as it should be.
    pub fn is_equal(&self) -> bool {
        self.different() == 0 && self.unreadable.is_none()
    }

    /// Differences in all.
    pub fn different(&self) -> u64 {
        self.missing + self.doubled + self.altered + self.invented
    }

    fn describe(&mut self, text: impl FnOnce() -> String) {
        if self.differences.len() < DESCRIBED {
            self.differences.push(text());
        }
    }
}

/// Compares the lines that the store in `folder` has of `feed` with those that were sent.
pub fn compare_chat(truth: &RoomsTruth, folder: &Path, feed: &str, names: Names) -> ChatReport {
    let read = || -> Result<ChatReport, HoursError> {
        let gaps = hours::gap_times(folder)?.into_iter().filter(|gap| gap.feed == feed).collect();
        let mut stored = Vec::new();
        hours::read_chat(folder, feed, &mut |row| stored.push(row.clone()))?;
        // After the rows: what is sent meanwhile is no difference of theirs.
        let sent = truth.visited().into_iter().map(|room| (room, truth.lines(room))).collect();
        let mut comparison = Comparison::new(sent, names);
        stored.iter().for_each(|row| comparison.row(row));
        Ok(comparison.finish(gaps))
    };
    read().unwrap_or_else(|error| ChatReport { unreadable: Some(error.to_string()), ..ChatReport::default() })
}

/// As [`compare_chat`], again and again until all is equal or `patience` is over. The server is paused by then.
pub fn settled_chat(
    truth: &RoomsTruth,
    folder: &Path,
    feed: &str,
    names: Names,
    patience: Duration,
) -> ChatReport {
    settled(
        patience,
        || compare_chat(truth, folder, feed, names),
        |report| report.is_equal() && report.rows > 0,
    )
}

/// A line that was sent, and how often it is stored.
struct Known {
    sent: SentLine,
    rows: u32,
}

/// Names a line among those of its room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(Kind, u64),
    /// Of a comment without an id.
    Text(String),
    /// Of a gift without an id.
    Amount(i64),
}

impl Key {
    fn of(line: &Line) -> Key {
        match (line.id, line.kind) {
            (0, Kind::Gift) => Key::Amount(line.amount.unwrap_or_default()),
            (0, Kind::Comment | Kind::SuperChat | Kind::Retract) => Key::Text(line.text.clone()),
            (id, kind) => Key::Id(kind, id),
        }
    }
}

struct Comparison {
    rooms: HashMap<String, HashMap<Key, Known>>,
    names: Names,
    report: ChatReport,
}

impl Comparison {
    fn new(sent: Vec<(u64, Vec<SentLine>)>, names: Names) -> Comparison {
        let mut report = ChatReport::default();
        let known = |lines: Vec<SentLine>| -> HashMap<Key, Known> {
            lines.into_iter().map(|sent| (Key::of(&sent.line), Known { sent, rows: 0 })).collect()
        };
        for (_, lines) in &sent {
            report.sent += lines.len() as u64;
            report.retracts += lines.iter().filter(|sent| sent.line.kind == Kind::Retract).count() as u64;
        }
        let rooms = sent.into_iter().map(|(room, lines)| (room.to_string(), known(lines))).collect();
        Comparison { rooms, names, report }
    }

    fn row(&mut self, row: &ChatRow) {
        self.report.rows += 1;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == row.kind) else {
            return self.invented(row);
        };
        let by_id = row.id.parse().ok().map(|id| Key::Id(kind, id));
        let otherwise = match kind {
            Kind::Comment => Some(Key::Text(row.text.clone())),
            Kind::Gift => row.amount.map(Key::Amount),
            Kind::SuperChat | Kind::Retract => None,
        };
        let room = self.rooms.get_mut(&row.room);
        let known = room.and_then(|room| {
            // What an id of the daemon's own making names, if anything, is a line without one.
            let key = [by_id, otherwise].into_iter().flatten().find(|key| room.contains_key(key))?;
            room.get_mut(&key)
        });
        let Some(known) = known else { return self.invented(row) };
        known.rows += 1;
        let wrong = difference(&known.sent.line, row, self.names);
        if known.rows > 1 {
            self.report.doubled += 1;
            self.report.describe(|| format!("stored twice: {row:?}"));
        }
        if let Some(what) = wrong {
            let said = known.sent.line.clone();
            self.report.altered += 1;
            self.report.describe(|| format!("another {what}: {row:?} of {said:?}"));
        }
    }

    fn invented(&mut self, row: &ChatRow) {
        self.report.invented += 1;
        self.report.describe(|| format!("never sent: {row:?}"));
    }

    fn finish(mut self, gaps: Vec<GapTimes>) -> ChatReport {
        let mut of_room: HashMap<String, Vec<GapTimes>> = HashMap::new();
        for gap in gaps {
            of_room.entry(gap.id.clone()).or_default().push(gap);
        }
        for (room, lines) in &self.rooms {
            let gaps = of_room.get(room).map(Vec::as_slice).unwrap_or_default();
            for Known { sent, .. } in lines.values().filter(|known| known.rows == 0) {
                let covered = gaps.iter().any(|gap| gap.from - UNDER_WAY <= sent.at && sent.at <= gap.to);
                if covered || sent.due == Due::Unsure {
                    self.report.excused += 1;
                } else {
                    self.report.missing += 1;
                    self.report.describe(|| format!("not stored: room {room}: {sent:?}"));
                }
            }
        }
        self.report
    }
}

/// What of a row is not as it was said.
fn difference(line: &Line, row: &ChatRow, names: Names) -> Option<&'static str> {
    let text = match line.kind {
        Kind::Comment | Kind::SuperChat => row.text == line.text,
        // How many there are may stand beside the name.
        Kind::Gift => row.text.contains(&line.text),
        // It names what is taken back, and may say no more.
        Kind::Retract => return None,
    };
    let user = match names {
        Names::Kept => row.user == line.user,
        Names::Hidden => row.user != line.user,
    };
    let amount = row.amount.unwrap_or(0) == line.amount.unwrap_or(0);
    [("text", text), ("user", user), ("amount", amount)]
        .into_iter()
        .find(|(_, same)| !same)
        .map(|(what, _)| what)
}
