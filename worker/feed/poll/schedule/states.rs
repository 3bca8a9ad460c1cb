//! How all that is asked for fares: what the worker reports of it.

use super::Schedule;
use crate::feed::poll::ask::{Ask, Health, State};
use crate::feed::poll::plan::SourcePlan;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::worker::{FailingSource, SourcesReport};

/// Characters of a reason: a server may send any number.
const WHY_CHARS: usize = 200;

impl Schedule {
    /// Each topic of each source is one; of those that were never answered nothing is counted.
    pub fn sources(&self, now: Instant) -> SourcesReport {
        let mut report = SourcesReport::default();
        let mut worst: Option<(Instant, &Ask, &SourcePlan)> = None;
        for ask in self.table.iter() {
            let Some(source) = self.plan.sources.get(ask.source.0) else { continue };
            match ask.health {
                Health::Failing(since) => {
                    report.failing += 1;
                    let is_overdue = now.saturating_duration_since(since) > self.plan.stale_after;
                    report.overdue += u32::from(is_overdue);
                    if worst.is_none_or(|(longest, ..)| since < longest) {
                        worst = Some((since, ask, source));
                    }
                }
                Health::Slow => report.slow += 1,
                Health::Up | Health::Unknown if is_under_way_for_long(ask, source, now) => report.slow += 1,
                Health::Up => report.up += 1,
                Health::Unknown => {}
            }
        }
        report.worst = worst.map(|(since, ask, source)| FailingSource {
            name: named(source, ask),
            why: ask.why.chars().take(WHY_CHARS).collect(),
            failing_ms: millis(now.saturating_duration_since(since)),
            next_ms: match ask.state {
                State::Waiting(at) => millis(at.saturating_duration_since(now)),
                State::Due | State::Blocked | State::Running(_) | State::Pushed => 0,
            },
        });
        report
    }
}

fn is_under_way_for_long(ask: &Ask, source: &SourcePlan, now: Instant) -> bool {
    matches!(ask.state, State::Running(_))
        && now.saturating_duration_since(ask.since) > source.every(ask.play)
}

/// `source a of match 5`.
pub(super) fn named(source: &SourcePlan, ask: &Ask) -> String {
    if ask.id.is_empty() {
        format!("source {}", source.name)
    } else {
        format!("source {} of match {}", source.name, ask.id.escape_debug())
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
