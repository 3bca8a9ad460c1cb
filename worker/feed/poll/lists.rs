//! The match list, put together from all sources that have one. Pure.
//!
//! It is given once each of them had a complete round, and again whenever it is another one: what a list lacks ends matches, so a list
//! with a part missing is none.

use super::plan::SourceIndex;
use super::round::{Entry, hash};
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(super) struct Lists {
    parts: Vec<Part>,
    /// Of the body that was last given.
    given: Option<u64>,
}

#[derive(Debug)]
struct Part {
    source: SourceIndex,
    name: String,
    /// None before its first complete round.
    array: Option<String>,
    entries: HashMap<String, u64>,
    freshness: Freshness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    /// A round is waited for before the list is given again.
    Awaited,
    Settled,
}

impl Lists {
    pub(super) fn new(sources: impl Iterator<Item = (SourceIndex, String)>) -> Lists {
        let part = |(source, name)| Part {
            source,
            name,
            array: None,
            entries: HashMap::new(),
            freshness: Freshness::Settled,
        };
        Lists { parts: sources.map(part).collect(), given: None }
    }

    /// A round is complete. The ids whose entries are others than before; none of those that are new.
    pub(super) fn put(&mut self, source: SourceIndex, array: String, entries: Vec<Entry>) -> Vec<String> {
        let Some(part) = self.parts.iter_mut().find(|part| part.source == source) else { return Vec::new() };
        let entries: HashMap<String, u64> = entries.into_iter().map(|entry| (entry.id, entry.hash)).collect();
        let before = std::mem::replace(&mut part.entries, entries);
        part.array = Some(array);
        part.freshness = Freshness::Settled;
        let changed = |(id, hash): &(&String, &u64)| before.get(*id).is_some_and(|before| before != *hash);
        part.entries.iter().filter(changed).map(|(id, _)| id.clone()).collect()
    }

    /// A round came to nothing: what was known before stands.
    pub(super) fn failed(&mut self, source: SourceIndex) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.source == source) {
            part.freshness = Freshness::Settled;
        }
    }

    /// The whole list, if it is complete and not the one that was given last.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.parts.iter().any(|part| part.freshness == Freshness::Awaited) {
            return None;
        }
        let mut body = String::from("{");
        for part in &self.parts {
            if body.len() > 1 {
                body.push(',');
            }
            // A source's name has no character that JSON would escape.
            body.push('"');
            body.push_str(&part.name);
            body.push_str("\":");
            body.push_str(part.array.as_deref()?);
        }
        body.push('}');
        let hash = hash(body.as_bytes());
        (self.given.replace(hash) != Some(hash)).then(|| body.into_bytes())
    }

    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// The next list is given, whatever was before: once each source had a further round, or failed to.
    pub(super) fn refresh(&mut self) {
        self.given = None;
        for part in &mut self.parts {
            part.freshness = Freshness::Awaited;
        }
    }

    /// Nothing is known of any.
    pub(super) fn clear(&mut self) {
        self.given = None;
        for part in &mut self.parts {
            part.array = None;
            part.entries.clear();
            part.freshness = Freshness::Settled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_given_once_all_parts_are_there_and_when_it_changes() {
        let entry = |id: &str, hash| Entry { id: id.to_owned(), hash };
        let [a, b] = [SourceIndex(0), SourceIndex(2)];
        let mut lists = Lists::new([(a, "a".to_owned()), (b, "b".to_owned())].into_iter());
        assert!(lists.put(a, "[1]".to_owned(), vec![entry("1", 1)]).is_empty());
        assert_eq!(lists.take(), None);
        lists.put(b, "[]".to_owned(), vec![]);
        assert_eq!(lists.take().as_deref(), Some(&br#"{"a":[1],"b":[]}"#[..]));
        assert_eq!(lists.take(), None);
        assert_eq!(lists.put(a, "[1,2]".to_owned(), vec![entry("1", 9), entry("2", 2)]), ["1"]);
        assert!(lists.take().is_some());
        lists.refresh();
        assert_eq!(lists.take(), None, "a further round of each is waited for");
        lists.put(a, "[1,2]".to_owned(), vec![entry("1", 9), entry("2", 2)]);
        assert_eq!(lists.take(), None);
        lists.failed(b);
        assert!(lists.take().is_some() && lists.is_given());
    }
}
