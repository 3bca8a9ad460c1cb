//! Who waits for whom: sources that are asked one after the other, of one match. Pure.

use super::ask::AskId;
use super::plan::{SourceIndex, SourcePlan};
use std::collections::HashMap;

/// One match's sources that need each other's answers; of them one is asked at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainKey {
    first: SourceIndex,
    id: String,
}

impl ChainKey {
    /// Of `source`, for the match `id`; none if it neither waits for another of its kind nor is waited for. A source of another kind is
    /// asked on its own: it has one answer for all matches.
    pub(super) fn of(sources: &[SourcePlan], source: SourceIndex, id: &str) -> Option<ChainKey> {
        let plan = sources.get(source.0)?;
        let before =
            |of: &SourcePlan| of.after.filter(|at| sources.get(at.0).is_some_and(|at| at.role == plan.role));
        let mut first = source;
        // A circle is refused by the configuration; here it would only make the walk end late.
        for _ in sources {
            let Some(next) = sources.get(first.0).and_then(before) else { break };
            first = next;
        }
        let is_needed = sources.iter().any(|other| other.after == Some(source) && other.role == plan.role);
        (first != source || is_needed).then(|| ChainKey { first, id: id.to_owned() })
    }
}

#[derive(Debug, Default)]
pub(super) struct Chains {
    running: HashMap<ChainKey, AskId>,
    /// Those that wait until the first is answered.
    blocked: HashMap<AskId, Vec<AskId>>,
}

impl Chains {
    pub(super) fn running(&self, chain: &ChainKey) -> Option<AskId> {
        self.running.get(chain).copied()
    }

    pub(super) fn enter(&mut self, chain: &ChainKey, ask: AskId) {
        self.running.insert(chain.clone(), ask);
    }

    pub(super) fn block(&mut self, ask: AskId, until: AskId) {
        self.blocked.entry(until).or_default().push(ask);
    }

    /// `ask` is answered, or gone: gives those that waited for it.
    pub(super) fn leave(&mut self, chain: Option<&ChainKey>, ask: AskId) -> Vec<AskId> {
        if let Some(chain) = chain
            && self.running(chain) == Some(ask)
        {
            self.running.remove(chain);
        }
        self.blocked.remove(&ask).unwrap_or_default()
    }
}
