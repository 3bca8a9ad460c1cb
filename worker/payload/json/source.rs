//! A source of answers as the payload knows it.

use super::ops::{DeltaForm, Keyed};
use touchline_common::config::{Join, Merge, Pointer, PollSource, PushConfig, Reading};

/// The one source of topics whose names say nothing of it; `extra` of documents has it as a name.
const DOCUMENT: &str = "document";

/// One of a feed's sources. Of a topic the source's name is what stands before its first `/`.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// Where a list's entry has its id: a text or an integer.
    pub id: Pointer,
    pub reading: Reading,
    /// One source of a match that waits for all answers makes the match wait.
    pub join: Join,
    pub delta: DeltaForm,
}

/// A match list that is one document: polled, or a topic of the server.
#[derive(Clone, Debug)]
pub struct ListDocument {
    /// How its entries are read; the form is of its deltas.
    pub source: Source,
    /// The array of entries in it.
    pub items: Pointer,
}

impl Source {
    /// All topics of a push server.
    pub fn of_topics(push: &PushConfig) -> Source {
        Source {
            name: DOCUMENT.to_owned(),
            id: Pointer::default(),
            reading: push.reading.clone(),
            join: Join::Each,
            delta: DeltaForm::from(&push.merge),
        }
    }
}

impl ListDocument {
    /// The list of a push server; none if it has none.
    pub fn of(push: &PushConfig) -> Option<ListDocument> {
        let list = &push.list;
        (!list.topic().is_empty()).then(|| ListDocument {
            source: Source {
                name: list.topic().to_owned(),
                id: list.id.clone(),
                reading: list.reading.clone(),
                join: Join::Each,
                // What is polled comes whole.
                delta: if push.has_polled_list() { DeltaForm::Replace } else { DeltaForm::from(&push.merge) },
            },
            items: list.items.clone(),
        })
    }
}

impl From<&Merge> for DeltaForm {
    fn from(merge: &Merge) -> DeltaForm {
        match merge {
            Merge::Replace => DeltaForm::Replace,
            Merge::Merge => DeltaForm::Merge,
            Merge::DeepMerge => DeltaForm::DeepMerge(Vec::new()),
            Merge::Patch => DeltaForm::Patch,
            Merge::Keyed(keyed) => {
                DeltaForm::Keyed(Keyed { key: keyed.key.clone(), amount: keyed.amount.clone() })
            }
        }
    }
}

impl Default for Source {
    fn default() -> Source {
        Source::from(&PollSource::default())
    }
}

impl From<&PollSource> for Source {
    fn from(source: &PollSource) -> Source {
        Source {
            name: source.name.clone(),
            // It was judged with the configuration.
            id: source.id.parse().unwrap_or_default(),
            reading: Reading::from(source),
            join: source.join,
            delta: DeltaForm::Replace,
        }
    }
}
