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
    /// What the pool knows, and what the children have added.
    pub views: Vec<MatchView>,
    /// Where in `views` a match stands.
    pub places: HashMap<MatchKey, usize>,
}

impl Gather {
    pub fn details(&mut self, matches: impl IntoIterator<Item = (MatchKey, MatchDetail)>) {
        for (key, detail) in matches {
            let Some(view) = self.view(&key) else { continue };
            view.age_ms = Some(detail.age_ms);
            if !detail.name.is_empty() {
                view.name = Some(detail.name);
            }
        }
    }

    pub fn documents(&mut self, documents: Vec<(MatchKey, u64, i64)>) {
        for (key, version, updated_at) in documents {
            let Some(view) = self.view(&key) else { continue };
            view.version = Some(version);
            view.updated_at = rfc3339(updated_at);
        }
    }

    fn view(&mut self, key: &MatchKey) -> Option<&mut MatchView> {
        self.views.get_mut(*self.places.get(key)?)
    }
}

/// Microseconds since 1970 as the contract writes times.
fn rfc3339(micros: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(format!("{at:.6}"))
}
