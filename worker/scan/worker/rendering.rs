//! Steps 3 and 4 of a turn: what changed is rendered and handed to the data link.

use super::Worker;
use crate::payload::MatchSlot;
use crate::scan::clock::wall_us;
use crate::scan::data_link::LinkState;
use crate::scan::reporter::Reporter;
use mio::Events;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::{Extent, Publish, Section, SectionKey, Stamp};
use touchline_common::ipc::messages::worker::MatchState;
use touchline_common::model::Handle;

/// Time spent on rendering while not drained.
const TIME_BUDGET: Duration = Duration::from_millis(1);
/// Rendered bytes after which readiness is asked for.
const ASK_EVERY: usize = 16 * 1024;
/// Events of that at once.
const READY: usize = 16;

impl Worker {
    /// Step 3: what waits longer than `publish_deadline`, oldest first, at most 1 ms and at least one match.
    pub(super) fn render_overdue(&mut self) {
        let began = Instant::now();
        while self.link.takes_renderings() {
            let Some((slot, since)) = self.parts.trees.oldest_dirty() else { return };
            if began.saturating_duration_since(self.clock.instant(since)) < self.parts.publish_deadline {
                return;
            }
            self.publish(slot, since);
            if began.elapsed() >= TIME_BUDGET {
                return;
            }
        }
    }

    /// Step 4: drained, so the rest, oldest first; readiness is asked for each 16 KiB, between two matches.
    pub(super) fn render_rest(&mut self) {
        let mut bytes = 0;
        while self.link.takes_renderings() {
            bytes += match self.parts.trees.oldest_dirty() {
                Some((slot, since)) => self.publish(slot, since),
                None => match self.matches.next_due() {
                    Some(slot) => {
                        let now = self.clock.received(Instant::now()).mono_ns;
                        self.publish(slot, now)
                    }
                    None => return,
                },
            };
            if bytes >= ASK_EVERY {
                bytes = 0;
                self.ask_readiness();
                if !self.is_drained() {
                    return;
                }
            }
        }
    }

    fn ask_readiness(&mut self) {
        let mut events = self.turn.ready.take().unwrap_or_else(|| Events::with_capacity(READY));
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            self.note(&events);
        }
        self.turn.ready = Some(events);
    }

    /// Renders what changed in a match and hands it over; how many bytes it was.
    fn publish(&mut self, slot: MatchSlot, since: u64) -> usize {
        self.wake(slot);
        self.matches.at(slot);
        let bytes = self.publish_changes(slot, since);
        self.matches.at_none();
        bytes
    }

    fn publish_changes(&mut self, slot: MatchSlot, since: u64) -> usize {
        let read_at = self.clock.instant(since);
        let Worker { parts, matches, link, meter, turn, .. } = self;
        let sections = &mut turn.sections;
        sections.clear();
        let mut names = Reporter { matches, link, now: read_at };
        let Some(followed) = names.matches.get(slot).filter(|followed| followed.handle != Handle(0)) else {
            parts.trees.render(slot, &mut names, sections);
            return 0;
        };
        let extent = if followed.whole { Extent::Whole } else { Extent::Changes };
        match extent {
            Extent::Whole => parts.trees.render_whole(slot, &mut names, sections),
            Extent::Changes => parts.trees.render(slot, &mut names, sections),
        }
        let Some(followed) = matches.get_mut(slot) else { return 0 };
        let stale = followed.state == MatchState::Stale;
        let empty = match extent {
            // A match without content has no document yet.
            Extent::Whole => !sections.iter().any(|section| section.key == SectionKey::Head),
            Extent::Changes => sections.is_empty() && stale == followed.said_stale,
        };
        if empty {
            return 0;
        }
        followed.whole = false;
        followed.said_stale = stale;
        let bytes = sections.iter().map(section_len).sum();
        meter.counted.published += sections.len() as u64;
        let mut publish = Publish {
            handle: followed.handle,
            extent,
            sections: std::mem::take(sections),
            stamp: Stamp {
                stale,
                received_at: parts.trees.received(slot).map_or(0, |received| received.wall_us),
                updated_at: wall_us(),
            },
        };
        if let Err(error) = link.publish(&publish, read_at) {
            log::error!(error:% = error; "worker.not_published");
        }
        *sections = std::mem::take(&mut publish.sections);
        bytes
    }

    /// A stale match of which something came is live before that is published.
    fn wake(&mut self, slot: MatchSlot) {
        let Some(followed) = self.matches.get(slot) else { return };
        if followed.state == MatchState::Stale && followed.touched_at.elapsed() < self.parts.stale_after {
            self.set_state(slot, MatchState::Live);
        }
    }

    /// Publishes what is due of a match that will not be looked at again, even if the channel is fuller than it should be.
    pub(super) fn publish_last(&mut self, slot: MatchSlot) {
        if self.link.state() == LinkState::Open && self.parts.trees.is_live(slot) {
            let now = self.clock.received(Instant::now()).mono_ns;
            self.publish(slot, now);
        }
    }
}

fn section_len(section: &Section<'_>) -> usize {
    section.body.as_ref().map_or(0, |body| body.len())
}
