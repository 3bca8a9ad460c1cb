//! Matches that the store holds for alive and no worker follows: they ended while the coordinator, or the recorder, was away.
//!
//! One is asked to have ended once the list, followed and whole, has lacked it for `end_linger` and lacks it in a fresh load
//! after that: a torn first load ends nothing. Where matches are fixed, what is not among them is over at once, and so is what the
//! list has and the filter leaves out. The matches of a feed that is not configured any more are the recorder's to end.

use super::Catalog;
use crate::pool::Pool;
use crate::pool::log_event::LogEvent;
use std::time::Duration;
use touchline_common::model::{FeedId, MatchKey};

/// How far the doubt about an orphan's end has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Doubt {
    /// The list has not been loaded since it is doubted.
    Unlisted,
    /// The list lacks it since then.
    Missing(Duration),
    /// A load was asked for when so many were complete.
    Asked(u64),
}

impl Pool {
    /// The recorder holds these, or the last run did.
    pub(in crate::pool) fn check_orphans(&mut self, keys: impl IntoIterator<Item = MatchKey>) {
        for key in keys {
            if !self.catalog.matches.contains(&key) && self.feeds.has(key.feed) {
                self.catalog.orphans.entry(key).or_insert(Doubt::Unlisted);
            }
        }
    }

    pub(in crate::pool) fn tick_orphans(&mut self) {
        let Catalog { matches, orphans, .. } = &mut self.catalog;
        orphans.retain(|key, _| !matches.contains(key));
        if self.catalog.orphans.is_empty() || !self.children.recorder.life.is_ready() {
            return;
        }
        for feed in self.feeds.ids() {
            self.doubt_orphans_of(feed);
        }
    }

    fn doubt_orphans_of(&mut self, feed: FeedId) {
        let fixed = !self.feeds[feed].has_list();
        let Some(loads) = self.feeds[feed].list.loads().or(fixed.then_some(0)) else { return };
        let (now, mut ask, mut over) = (self.now, false, Vec::new());
        let linger = self.feeds[feed].plan.end_linger;
        let list = &self.feeds[feed].list;
        for (key, doubt) in self.catalog.orphans.iter_mut().filter(|(key, _)| key.feed == feed) {
            match *doubt {
                _ if fixed => over.push((key.clone(), "it is not named any more")),
                _ if list.has(&key.id) => over.push((key.clone(), "it is filtered out")),
                Doubt::Unlisted => *doubt = Doubt::Missing(now),
                Doubt::Missing(since) if now >= since + linger => {
                    *doubt = Doubt::Asked(loads);
                    ask = true;
                }
                Doubt::Asked(before) if loads > before => {
                    over.push((key.clone(), "it left the list while it was not followed"));
                }
                Doubt::Missing(_) | Doubt::Asked(_) => {}
            }
        }
        if ask {
            self.load_list_again(feed);
        }
        for (key, why) in over {
            self.catalog.orphans.remove(&key);
            self.out.log(LogEvent::Ended { key: key.clone(), why });
            let epoch = self.placement.epochs.highest();
            self.report_ended(key, epoch);
        }
    }
}
