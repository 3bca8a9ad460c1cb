//! Builds the answers of `status`, `workers`, `matches` and `health` from the pool's state.
//!
//! What only the shell, a worker or the recorder knows (memory, ages, versions) is left to the shell.

use super::feed::Feed;
use super::operate::Stopping;
use super::{Pool, Readiness, Urgency};
use crate::pool::catalog::matches::{Assignment, Match, Need};
use crate::pool::children::life::State;
use crate::pool::children::slot::Slot;
use touchline_common::control::views::{
    DaemonState, FailingView, FeedView, HealthView, LagView, MatchView, MatchViewState, MatchesCount,
    RecorderView, SinkView, SourcesView, StatusView, WorkerView, WorkersCount,
};
use touchline_common::ipc::messages::recorder::SinkStats;
use touchline_common::ipc::messages::worker::{MatchState, SourcesReport};
use touchline_common::model::{FeedId, MatchKey, SlotId};

/// Which matches `matches` shows; what is absent does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchQuery {
    pub feed: Option<FeedId>,
    pub worker: Option<SlotId>,
    pub state: Option<MatchViewState>,
}

impl Pool {
    /// `status`, without what only the shell knows. `wall_us`: the time of day, microseconds since 1970 UTC.
    pub fn status(&self, wall_us: i64) -> StatusView {
        let stats = &self.children.recorder.stats;
        StatusView {
            uptime_s: self.now.as_secs_f64(),
            state: self.state(),
            epoch: self.placement.epochs.highest().0,
            workers: WorkersCount {
                ready: self.children.slots.iter().filter(|slot| slot.life.is_ready()).count(),
                starting: self.children.slots.iter().filter(|slot| slot.life.is_starting()).count(),
                draining: self.children.slots.iter().filter(|slot| slot.life.is_draining()).count(),
                parked: self.children.slots.iter().filter(|slot| slot.life.is_parked()).count(),
                restarts: self.children.restarts,
                max: self.config.max_workers,
            },
            matches: self.count(),
            feeds: self.feeds.ids().map(|feed| self.feed_view(feed)).collect(),
            recorder: RecorderView {
                state: match self.children.recorder.life.state.as_str() {
                    "empty" | "dead" => "down".into(),
                    state => state.into(),
                },
                documents: stats.documents,
                events: stats.events,
                bulk: stats.bulk,
                odds_conflated: stats.odds_conflated,
                queue: stats.queue,
                dropped: stats.dropped,
                unread_lost: stats.unread_lost,
                sinks: stats.sinks.iter().map(sink_view).collect(),
                gaps_open: stats.gaps_open,
                trouble: stats.trouble.clone(),
            },
            gateway: self.gateway_view(),
            deaths: self.death_views(wall_us),
            ..StatusView::default()
        }
    }

    pub fn state(&self) -> DaemonState {
        match (self.stopping, self.readiness) {
            (Some(Stopping { urgency: Urgency::Now, .. }), _) => DaemonState::Stopping,
            (Some(_), _) if self.children.with_process().next().is_some() => DaemonState::Draining,
            (Some(_), _) => DaemonState::Stopping,
            (None, Readiness::Awaited) => DaemonState::Starting,
            (None, Readiness::Overdue) => DaemonState::Degraded,
            (None, Readiness::Reached) if self.reasons().is_empty() => DaemonState::Ready,
            (None, Readiness::Reached) => DaemonState::Degraded,
        }
    }

    /// `workers`: every slot that was started in this run or stays away after a death.
    pub fn workers(&self) -> Vec<WorkerView> {
        let shown = self.children.slots.iter().filter(|slot| slot.life.state != State::Empty);
        shown
            .map(|slot| {
                let feed = slot.feed.map(|feed| &self.feeds[feed]);
                let own = feed.map_or(0, |feed| feed.plan.own_subscriptions);
                let there = slot.life.has_process();
                let report = &slot.report;
                let (load, reserved) = if there { (slot.load(own), slot.reserved()) } else { (0, 0) };
                WorkerView {
                    worker: slot.id.0,
                    pid: slot.life.process.pid.filter(|_| there),
                    state: slot.life.state.as_str().into(),
                    feed: feed.map_or_else(String::new, |feed| feed.plan.name.clone()),
                    connection: if there { slot.upstream.state } else { Default::default() },
                    matches: u32::try_from(slot.matches.len()).unwrap_or(u32::MAX),
                    subscriptions: load.saturating_sub(reserved),
                    reserved,
                    cap: feed.map_or(0, |feed| feed.cap.learner.cap_of(slot.id)),
                    asked: report.asked,
                    acknowledged: report.acknowledged,
                    loaded: report.loaded,
                    busy: report.busy,
                    diffs_per_s: report.diffs_per_s,
                    bytes_per_s: report.bytes_per_s,
                    receive_queue_bytes: report.receive_queue,
                    receive_queue_peak_bytes: report.receive_queue_peak,
                    server_queue: report.server_queue,
                    lag_us: LagView { p50: report.lag_p50_us, p99: report.lag_p99_us },
                    rss_bytes: None,
                    restarts: slot.life.restarts,
                    generation: slot.life.generation.0,
                    uptime_s: there
                        .then(|| self.now.saturating_sub(slot.life.process.spawned_at).as_secs_f64()),
                    last_exit: slot.life.last_exit.clone(),
                }
            })
            .collect()
    }

    /// `matches`: those that are listed, by feed and id, then the newest that ended.
    pub fn matches(&self, query: MatchQuery) -> Vec<MatchView> {
        let listed = self.catalog.matches.iter().map(|(key, a_match)| {
            let owner = a_match.owner();
            let why = match (&a_match.need, &a_match.assignment) {
                (Need::Impossible(why), _) => Some(why.clone()),
                (Need::Topics(_), Assignment::Waiting) => Some("no connection has room".to_owned()),
                (Need::Topics(_), Assignment::Assigned { .. } | Assignment::Quarantined) => None,
            };
            let view = MatchView {
                worker: owner.map(|owner| owner.slot.0),
                epoch: owner.map(|owner| owner.epoch.0),
                state: state_of(a_match),
                name: a_match.listing.name.clone(),
                why,
                ..self.view(key)
            };
            (key, view)
        });
        let ended = self.catalog.ended.newest().map(|ended| {
            let (state, why) = (MatchViewState::Ended, Some(ended.why.to_owned()));
            (&ended.key, MatchView { state, name: ended.name.clone(), why, ..self.view(&ended.key) })
        });
        listed
            .chain(ended.filter(|(key, _)| !self.catalog.matches.contains(key)))
            .filter(|(key, view)| {
                query.feed.is_none_or(|feed| feed == key.feed)
                    && query.worker.is_none_or(|slot| view.worker == Some(slot.0))
                    && query.state.is_none_or(|state| state == view.state)
            })
            .map(|(_, view)| view)
            .collect()
    }

    /// `health`.
    pub fn health(&self) -> HealthView {
        let mut reasons = self.reasons();
        if self.readiness == Readiness::Awaited && reasons.is_empty() {
            reasons.push("still starting".into());
        }
        HealthView { healthy: reasons.is_empty(), reasons }
    }

    pub fn feed_by_name(&self, name: &str) -> Option<FeedId> {
        self.feeds.by_name(name)
    }

    pub fn feed_name(&self, feed: FeedId) -> String {
        self.feeds.name(feed)
    }

    /// Every listed match with this id: an operator may leave the feed out where only one has it.
    pub fn find_match(&self, id: &str) -> Vec<MatchKey> {
        self.feeds
            .ids()
            .map(|feed| MatchKey { feed, id: id.into() })
            .filter(|key| self.catalog.matches.contains(key))
            .collect()
    }

    pub(super) fn count(&self) -> MatchesCount {
        let mut count = MatchesCount { ended: self.catalog.ended.count, ..MatchesCount::default() };
        for (_, a_match) in self.catalog.matches.iter() {
            count.listed += 1;
            match state_of(a_match) {
                MatchViewState::Waiting => count.waiting += 1,
                MatchViewState::Subscribing => count.subscribing += 1,
                MatchViewState::Live => count.live += 1,
                MatchViewState::Stale => count.stale += 1,
                MatchViewState::Quarantined => count.quarantined += 1,
                MatchViewState::Refused => count.refused += 1,
                MatchViewState::Ending => count.ending += 1,
                MatchViewState::Ended => {}
            }
        }
        count
    }

    fn view(&self, key: &MatchKey) -> MatchView {
        MatchView { id: key.id.as_str().to_owned(), feed: self.feed_name(key.feed), ..MatchView::default() }
    }

    /// Why no connection of a feed is up, as one of its workers last reported.
    pub(super) fn why_down(&self, feed: FeedId) -> String {
        let mut working = self.children.of(feed).filter(|slot| slot.life.works());
        let trouble =
            working.find_map(|slot| Some(&slot.upstream.trouble).filter(|trouble| !trouble.is_empty()));
        // The time of the next attempt was relative to the report.
        match trouble.and_then(|trouble| trouble.split("; next attempt in ").next()) {
            Some(trouble) => format!("no connection is up: {trouble}"),
            None => "no connection is up".to_owned(),
        }
    }

    fn feed_view(&self, feed: FeedId) -> FeedView {
        let Feed { plan, cap, list, quota, .. } = &self.feeds[feed];
        let working = || self.children.of(feed).filter(|slot| slot.life.works());
        let sum = |of: fn(&Slot) -> u32| working().map(|slot| u64::from(of(slot))).sum();
        let (state, why) = self.feed_health(feed);
        let counts = cap.auditor.counts();
        FeedView {
            name: plan.name.clone(),
            kind: plan.kind.clone(),
            state,
            asked: sum(|slot| slot.report.asked),
            acknowledged: sum(|slot| slot.report.acknowledged),
            live: sum(|slot| slot.report.loaded),
            never_answered: sum(|slot| slot.report.unanswered),
            left_out: list.left_out() as u64,
            cap: plan.cap,
            round_ms: working().filter_map(|slot| slot.report.round_ms).max(),
            audits: counts.audits,
            audits_missed: counts.missed,
            learned_cap: cap.learner.learned(),
            sources: self.sources_of(feed).map(sources_view),
            quota: quota.as_ref().map(|quota| quota.view(self.time())),
            why,
        }
    }
}

fn sources_view(sources: SourcesReport) -> SourcesView {
    let worst = sources.worst.map(|worst| FailingView {
        source: worst.name,
        why: worst.why,
        failing_s: seconds(worst.failing_ms),
        next_s: seconds(worst.next_ms),
    });
    let [up, slow, failing] = [sources.up, sources.slow, sources.failing].map(u64::from);
    SourcesView { up, slow, failing, worst }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn state_of(a_match: &Match) -> MatchViewState {
    match &a_match.assignment {
        Assignment::Assigned { .. } if a_match.delisted.is_some() => MatchViewState::Ending,
        Assignment::Waiting => MatchViewState::Waiting,
        Assignment::Quarantined => MatchViewState::Quarantined,
        Assignment::Assigned { owner, .. } => match owner.state {
            MatchState::Subscribing => MatchViewState::Subscribing,
            MatchState::Live => MatchViewState::Live,
            // Its topics are gone and asked for again.
            MatchState::Stale | MatchState::Removed => MatchViewState::Stale,
            MatchState::Refused => MatchViewState::Refused,
        },
    }
}

fn sink_view(sink: &SinkStats) -> SinkView {
    SinkView {
        name: sink.name.clone(),
        kind: sink.kind.clone(),
        state: sink.state.clone(),
        lag_rows: sink.lag_rows,
        lag_s: seconds(sink.lag_ms),
        delivered: sink.delivered,
        refused: sink.refused,
        last_error: sink.error.clone(),
        next_retry_s: sink.retry_ms.map(seconds),
        trouble: sink.trouble.clone(),
    }
}
