//! How children died: the newest deaths with what is known of each, for `status`.
//!
//! A bounded list; what was asked for or announced is no death. `children` fills it, `show` shows it.

use crate::pool::children::life::State;
use crate::pool::children::slot::Suspect;
use crate::pool::input::{Child, Exit, Usage, Work};
use crate::pool::log_event::connection_name;
use crate::pool::{Pool, millis};
use std::time::Duration;
use touchline_common::control::views::{DeathView, counted};
use touchline_common::ipc::messages::recorder::RecorderStats;
use touchline_common::model::MatchKey;

/// Deaths that are remembered; the oldest goes.
const REMEMBERED: usize = 20;

#[derive(Debug)]
pub(in crate::pool) struct Death {
    at: Duration,
    /// All but `at`, which the wall clock gives when asked.
    view: DeathView,
}

/// What only the moment of the end knows: the next start forgets it.
#[derive(Debug, Default)]
pub(in crate::pool) struct Ending {
    pub(in crate::pool) exit: Option<Exit>,
    pub(in crate::pool) usage: Option<Usage>,
    pub(in crate::pool) doing: String,
    pub(in crate::pool) at: Work,
    /// The matches that a worker had.
    pub(in crate::pool) had: Vec<Suspect>,
}

impl Ending {
    /// Which of its matches may have ended it: the one that it was at; of a worker that was at none, all.
    pub(in crate::pool) fn suspects(&self) -> impl Iterator<Item = &Suspect> {
        self.had.iter().filter(|suspect| match self.at {
            Work::None => true,
            Work::Match(epoch) => suspect.is_at(epoch),
            Work::Others => false,
        })
    }

    /// The one that it was at, if it was at one that it had.
    pub(in crate::pool) fn found(&self) -> Option<&MatchKey> {
        let Work::Match(epoch) = self.at else { return None };
        self.had.iter().find(|suspect| suspect.is_at(epoch)).map(|suspect| &suspect.key)
    }
}

impl Pool {
    pub(in crate::pool) fn remember_death(&mut self, child: Child, ending: &Ending) {
        let Some(life) = self.children.life_mut(child) else { return };
        let (generation, process, why) = (life.generation, life.process, life.take_reason());
        let (exit, signal, core) = match ending.exit {
            Some(Exit::Code(code)) => (Some(code), None, false),
            Some(Exit::Signal { number, core }) => (None, Some(number), core),
            None => (None, None, false),
        };
        let (name, worker) = match child {
            Child::Worker(slot) => ("worker", Some(slot.0)),
            Child::Service(kind) => (kind.as_str(), None),
        };
        let view = DeathView {
            child: name.into(),
            worker,
            feed: self.feed_of(child).map_or_else(String::new, |feed| self.feed_name(feed)),
            generation: generation.0,
            pid: process.pid,
            at: String::new(),
            exit,
            signal,
            core,
            why,
            uptime_s: self.now.saturating_sub(process.spawned_at).as_secs_f64(),
            matches: ending.had.len(),
            at_match: ending.found().map(|key| key.id.as_str().to_owned()),
            last_activity: ending.doing.clone(),
            peak_rss_bytes: ending.usage.map(|usage| usage.peak_rss_bytes),
            cpu_s: ending.usage.map(|usage| usage.cpu.as_secs_f64()),
        };
        self.children.deaths.truncate(REMEMBERED - 1);
        self.children.deaths.push_front(Death { at: self.now, view });
    }

    /// What a child does, as far as it reported: to be called before its state changes.
    pub(in crate::pool) fn last_activity(&self, child: Child) -> String {
        let Some(life) = self.life(child) else { return String::new() };
        let state = life.state.as_str();
        if let State::Starting { since } = life.state {
            return format!("starting for {} ms", millis(self.now.saturating_sub(since)));
        }
        let ago = millis(life.silent_for(self.now));
        match child {
            Child::RECORDER => {
                let RecorderStats { queue, documents, events, .. } = self.children.recorder.stats;
                format!(
                    "{state}, {}, {}, {queue} queued, reported {ago} ms ago",
                    counted(documents, "document", "documents"),
                    counted(events, "event", "events"),
                )
            }
            Child::GATEWAY => format!("{state}, {}, reported {ago} ms ago", self.gateway_activity()),
            Child::Worker(slot) => {
                let Some(slot) = self.slot(slot) else { return state.to_owned() };
                let report = &slot.report;
                format!(
                    "{state}, connection {}, {}, busy {:.2}, {:.0} diffs/s, turn {}, reported {ago} ms ago",
                    connection_name(slot.upstream.state),
                    counted(report.matches, "match", "matches"),
                    report.busy,
                    report.diffs_per_s,
                    report.turns
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
        self.children.deaths.iter().map(show).collect()
    }
}
