//! One item: its newest state, and, while somebody watches, the states that were published last.
//!
//! A client that reconnects soon names one of these and gets what changed since. They stay for a while after the last has left. States
//! share what is the same in them, so that one more costs some pointers.

use super::Watcher;
use super::document::{Document, Revision};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// States of one item that are remembered at most, and texts in them together.
const STATES: usize = 256;
const PARTS: usize = 16_384;
/// How long they stay when nobody watches.
const LINGER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Item {
    newest: Arc<Document>,
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    published: Arc<Document>,
    /// Published before that, the newest last.
    before: VecDeque<Arc<Document>>,
    watchers: Vec<Watcher>,
    /// Since when there is none.
    left: Option<Instant>,
}

/// What was published of an item, to those who keep up.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Change {
    pub from: Arc<Document>,
    pub to: Arc<Document>,
    pub watchers: Vec<Watcher>,
}

/// What a client begins with.
#[derive(Clone, Debug)]
pub(in crate::serve) enum Known {
    /// What it had is known: it is sent what changed.
    Resumed { had: Arc<Document>, published: Arc<Document> },
    /// It is sent the whole.
    Anew { published: Arc<Document> },
}

impl Item {
    pub(super) fn new(document: Document) -> Item {
        Item { newest: Arc::new(document), watched: None }
    }

    pub(super) fn newest(&self) -> &Document {
        &self.newest
    }

    /// To be changed; states that were published stay as they are.
    pub(super) fn newest_mut(&mut self) -> &mut Document {
        Arc::make_mut(&mut self.newest)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    pub(super) fn published(&self) -> Option<&Arc<Document>> {
        self.watched.as_ref().map(|watched| &watched.published)
    }

    pub(super) fn watchers(&self) -> &[Watcher] {
        self.watched.as_ref().map_or(&[], |watched| &watched.watchers)
    }

    pub(super) fn publish(&mut self) -> Option<Change> {
        let watched = self.watched.as_mut()?;
        if Arc::ptr_eq(&watched.published, &self.newest) {
            return None;
        }
        let from = std::mem::replace(&mut watched.published, Arc::clone(&self.newest));
        watched.before.push_back(Arc::clone(&from));
        let most = (PARTS / from.parts().max(1)).clamp(1, STATES);
        let surplus = watched.before.len().saturating_sub(most);
        watched.before.drain(..surplus);
        Some(Change { from, to: Arc::clone(&watched.published), watchers: watched.watchers.clone() })
    }

    pub(super) fn watch(&mut self, watcher: Watcher, had: Option<Revision>) -> Known {
        let watched = self.watched.get_or_insert_with(|| Watched {
            published: Arc::clone(&self.newest),
            before: VecDeque::new(),
            watchers: Vec::new(),
            left: None,
        });
        watched.watchers.push(watcher);
        watched.left = None;
        let published = Arc::clone(&watched.published);
        // Of several states with one name the oldest: what the later ones changed is then sent, be it once more.
        let states = watched.before.iter().chain([&watched.published]);
        let known = had.and_then(|had| states.into_iter().find(|state| state.revision == had));
        match known {
            Some(had) => Known::Resumed { had: Arc::clone(had), published },
            None => Known::Anew { published },
        }
    }

    pub(super) fn unwatch(&mut self, watcher: Watcher, now: Instant) {
        let Some(watched) = &mut self.watched else { return };
        watched.watchers.retain(|known| *known != watcher);
        if watched.watchers.is_empty() {
            watched.left = Some(now);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.watched.take_if(|watched| watched.left.is_some_and(|left| now >= left + LINGER));
    }
}
