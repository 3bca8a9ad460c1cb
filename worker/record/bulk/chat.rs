//! What is said in rooms: lines of frames to rows of the hour file.
//!
//! A line with an id has no owner: it is written from whichever worker brings it, under any epoch, and its id makes it one. A
//! line without one is taken from the owner's worker, or from any as long as the match has no owner. Lines wait for their commit in one
//! text and one list, so that none is an allocation of its own; another attempt writes the same again.

use super::Bulk;
use super::ledger::{Input, Taken};
use super::matches::Matches;
use crate::record::config::RecordConfig;
use crate::record::hours::{ChatRow, Writer};
use std::time::Instant;
use touchline_common::model::{ChatKind, ChatLine, Epoch};

/// Bytes of lines whose room is kept from commit to commit.
const ROOM: usize = 8 * 1024 * 1024;

/// Lines that wait for their commit.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    /// Their texts, one behind the other.
    texts: String,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Its match's place among the thread's.
    place: usize,
    kind: ChatKind,
    at: i64,
    feed_at: Option<i64>,
    amount: Option<i64>,
    /// Bytes of its id, of who said it, and of what.
    lengths: [usize; 3],
}

impl Lines {
    fn push(&mut self, place: usize, line: &ChatLine<'_>, at: i64) {
        let texts = [&*line.id, &*line.user, &*line.text];
        texts.iter().for_each(|text| self.texts.push_str(text));
        let lengths = texts.map(str::len);
        // A time that no calendar has is none.
        let feed_at = line.feed_at.filter(|at| *at >= 0);
        self.lines.push(Line { place, kind: line.kind, at, feed_at, amount: line.amount, lengths });
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(ROOM / size_of::<Line>());
        self.texts.clear();
        self.texts.shrink_to(ROOM);
    }

    pub(super) fn write(
        &self,
        writer: &mut Writer<'_>,
        config: &RecordConfig,
        matches: &Matches,
    ) -> rusqlite::Result<()> {
        let mut rest = self.texts.as_str();
        for line in &self.lines {
            let [id, user, text] = line.lengths.map(|length| {
                let (text, behind) = rest.split_at_checked(length).unwrap_or_default();
                rest = behind;
                text
            });
            let Some(one) = matches.slab.get(line.place) else { continue };
            let feed = config.feed(&one.key).unwrap_or_default();
            let Line { kind, at, feed_at, amount, .. } = *line;
            let of = one.key.id.as_str();
            writer.chat(&ChatRow { at, feed, of, id, kind, user, text, amount, feed_at })?;
        }
        Ok(())
    }
}

impl Bulk {
    /// Takes what a worker that follows the match under `epoch` heard in it.
    pub(super) fn chat(&mut self, place: usize, epoch: Epoch, lines: &[ChatLine<'_>], at: i64, now: Instant) {
        let taken = self.advance(place, Input::Said { epoch }, now);
        let Some(one) = self.matches.slab.get(place) else { return };
        let takes_all = match taken {
            Taken::Yes => true,
            Taken::Candidate => one.ledger.owner().is_none(),
            Taken::Refused => false,
        };
        for line in lines {
            let is_new = if line.id.is_empty() {
                takes_all
            } else {
                self.recent.insert(one.key.feed, one.key.id.as_str(), line.kind, &line.id, now)
            };
            if is_new {
                self.batch.chat.push(place, line, at);
            }
        }
    }
}
