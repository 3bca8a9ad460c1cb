//! How children died: the newest deaths with what is known of each, for `status`.
//!
//! A bounded list; what was asked for or announced is no death. `children` fills it, `show` shows it.

use crate::pool::children::life::State;
use crate::pool::children::slot::Suspect;
use crate::pool::input::{Child, Exit, Usage, Work};
use crate::pool::views::DeathView;
use crate::pool::{Pool, millis};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use touchline_common::model::{Generation, MatchKey};

/// Deaths that are remembered; the oldest goes.
const REMEMBERED: usize = 20;

#[derive(Debug, Default)]
pub(in crate::pool) struct Deaths {
    newest: VecDeque<Death>,
    reasons: BTreeMap<Child, (Generation, String)>,
}

#[derive(Debug)]
struct Death {
    at: Duration,
    /// All but `at`, which the wall clock gives when asked.
    view: DeathView,
}

/// What only the moment of the end knows: the next start forgets it.
#[derive(Debug)]
pub(in crate::pool) struct LastSeen {
    pub(in crate::pool) exit: Option<Exit>,
    pub(in crate::pool) usage: Option<Usage>,
    pub(in crate::pool) doing: String,
}

/// Which of a worker's matches may have ended it.
#[derive(Debug)]
pub(in crate::pool) struct Evidence {
    pub(in crate::pool) suspects: Vec<Suspect>,
    pub(in crate::pool) at: Work,
}

impl Evidence {
    /// The one that it was at; of a worker that was at none, all.
    pub(in crate::pool) fn suspects(&self) -> impl Iterator<Item = &Suspect> {
        self.suspects.iter().filter(|suspect| match self.at {
            Work::None => true,
            Work::Match(epoch) => suspect.is_at(epoch),
            Work::Others => false,
        })
    }

    /// The one that it was at, if it was at one that it had.
    pub(in crate::pool) fn found(&self) -> Option<&MatchKey> {
        let Work::Match(epoch) = self.at else { return None };
        self.suspects.iter().find(|suspect| suspect.is_at(epoch)).map(|suspect| &suspect.key)
    }
}

impl Deaths {
    /// The child is given up on; the first reason counts.
    pub(in crate::pool) fn blame(&mut self, child: Child, generation: Generation, why: &str) {
        let reason = self.reasons.entry(child).or_insert((generation, String::new()));
        if reason.0 != generation || reason.1.is_empty() {
            *reason = (generation, why.to_owned());
        }
    }

    /// The process is gone, whatever the reason.
    pub(in crate::pool) fn forget(&mut self, child: Child, generation: Generation) -> Option<String> {
        self.reasons.remove(&child).filter(|(of, _)| *of == generation).map(|(_, why)| why)
    }

    fn remember(&mut self, death: Death) {
        if self.newest.len() >= REMEMBERED {
            self.newest.pop_back();
        }
        self.newest.push_front(death);
    }
}

impl Pool {
    /// Keeps a death; `evidence`: what the child had.
    pub(in crate::pool) fn remember_death(
        &mut self,
        child: Child,
        seen: LastSeen,
        evidence: &Evidence,
        why: String,
    ) {
        let Some(generation) = self.life(child).map(|life| life.generation) else { return };
        let (pid, spawned_at, worker) = match child {
            Child::Service(kind) => {
                let process = self.children.services.get(kind).process;
                (process.pid, process.spawned_at, None)
            }
            Child::Worker(slot) => {
                let place = self.slot(slot);
                let spawned_at = place.map_or(self.now, |place| place.process.spawned_at);
                (place.and_then(|place| place.process.pid), spawned_at, Some(slot.0))
            }
        };
        let (exit, signal, core) = match seen.exit {
            Some(Exit::Code(code)) => (Some(code), None, false),
            Some(Exit::Signal { number, core }) => (None, Some(number), core),
            None => (None, None, false),
        };
        let view = DeathView {
            child: match child {
                Child::Worker(_) => "worker",
                Child::Service(kind) => kind.as_str(),
            }
            .into(),
            worker,
            feed: self.feed_of(child).map_or_else(String::new, |feed| self.feed_name(feed)),
            generation: generation.0,
            pid,
            at: String::new(),
            exit,
            signal,
            core,
            why,
            uptime_s: self.now.saturating_sub(spawned_at).as_secs_f64(),
            matches: evidence.suspects.len(),
            at_match: evidence.found().map(|key| key.id.as_str().to_owned()),
            last_activity: seen.doing,
            peak_rss_bytes: seen.usage.map(|usage| usage.peak_rss_bytes),
            cpu_s: seen.usage.map(|usage| usage.cpu.as_secs_f64()),
        };
        self.children.deaths.remember(Death { at: self.now, view });
    }

    /// What a child does, as far as it reported: to be called before its state changes.
    pub(in crate::pool) fn last_activity(&self, child: Child) -> String {
        let Some(life) = self.life(child) else { return String::new() };
        let state = life.state.as_str();
        if let State::Starting { since } = life.state {
            return format!("starting for {} ms", millis(self.now.saturating_sub(since)));
        }
        match child {
            Child::RECORDER => {
                let (stats, ago) = (
                    &self.children.recorder.stats,
                    self.now.saturating_sub(self.children.services.recorder.process.reported_at),
                );
                let (queue, documents, events) = (stats.queue, stats.documents, stats.events);
                let ago = millis(ago);
                format!(
                    "{state}, {documents} documents, {events} events, {queue} queued, reported {ago} ms ago"
                )
            }
            Child::Worker(slot) => {
                let Some(slot) = self.slot(slot) else { return state.to_owned() };
                let report = &slot.report;
                let link = match slot.upstream.state {
                    touchline_common::ipc::messages::worker::ConnectionState::Down => "down",
                    touchline_common::ipc::messages::worker::ConnectionState::Connecting => "connecting",
                    touchline_common::ipc::messages::worker::ConnectionState::Up => "up",
                };
                let ago = millis(self.now.saturating_sub(slot.process.reported_at));
                format!(
                    "{state}, connection {link}, {} matches, busy {:.2}, {:.0} diffs/s, turn {}, reported {ago} ms ago",
                    report.matches, report.busy, report.diffs_per_s, report.turns
                )
            }
        }
    }

    /// The newest deaths; `wall_us` is the time of day now, microseconds since 1970.
    pub(in crate::pool) fn death_views(&self, wall_us: i64) -> Vec<DeathView> {
        let show = |death: &Death| {
            let ago = self.now.saturating_sub(death.at);
            let at = wall_us.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX));
            let at =
                jiff::Timestamp::from_microsecond(at).map_or_else(|_| String::new(), |at| at.to_string());
            DeathView { at, ..death.view.clone() }
        };
        self.children.deaths.newest.iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::model::SlotId;

    #[test]
    fn the_first_reason_of_this_very_process_counts() {
        let mut deaths = Deaths::default();
        let child = Child::Worker(SlotId(1));
        deaths.blame(child, Generation(1), "silent");
        deaths.blame(child, Generation(1), "did not leave");
        assert_eq!(deaths.forget(child, Generation(1)).as_deref(), Some("silent"));
        deaths.blame(child, Generation(2), "silent");
        assert_eq!(deaths.forget(child, Generation(3)), None, "that was another");
        assert!(deaths.reasons.is_empty());
    }
}
