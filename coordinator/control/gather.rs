//! An answer that several processes make together: `matches`, whose ages the workers know and whose versions the recorder.
//!
//! It is complete when everybody has answered, and partial at its deadline; then it is given with what came.

use crate::pool::Child;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;
use touchline_common::control::views::MatchView;
use touchline_common::ipc::messages::worker::MatchDetail;
use touchline_common::model::MatchKey;

#[derive(Debug)]
pub struct Gather {
    pub client: u32,
    /// Until when it is waited.
    pub deadline: Instant,
    /// Who has not answered.
    pub waiting: BTreeSet<Child>,
    views: Vec<(MatchKey, MatchView)>,
    ages: HashMap<MatchKey, (u64, String)>,
    versions: HashMap<MatchKey, (u64, i64)>,
}

impl Gather {
    /// An answer for `client` made of `views`, to which those in `waiting` contribute until `deadline`.
    pub fn new(
        client: u32,
        deadline: Instant,
        waiting: BTreeSet<Child>,
        views: Vec<(MatchKey, MatchView)>,
    ) -> Gather {
        Gather { client, deadline, waiting, views, ages: HashMap::new(), versions: HashMap::new() }
    }

    pub fn details(&mut self, matches: impl IntoIterator<Item = (MatchKey, MatchDetail)>) {
        for (key, detail) in matches {
            self.ages.insert(key, (detail.age_ms, detail.name));
        }
    }

    pub fn documents(&mut self, documents: Vec<(MatchKey, u64, i64)>) {
        for (key, version, updated_at) in documents {
            self.versions.insert(key, (version, updated_at));
        }
    }

    pub fn into_views(self) -> Vec<MatchView> {
        let Gather { views, mut ages, versions, .. } = self;
        let filled = views.into_iter().map(|(key, mut view)| {
            if let Some((age_ms, name)) = ages.remove(&key) {
                view.age_ms = Some(age_ms);
                if !name.is_empty() {
                    view.name = Some(name);
                }
            }
            if let Some((version, updated_at)) = versions.get(&key) {
                view.version = Some(*version);
                view.updated_at = rfc3339(*updated_at);
            }
            view
        });
        filled.collect()
    }
}

/// Microseconds since 1970 as the contract writes times.
fn rfc3339(micros: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{at:.6}"))
}
