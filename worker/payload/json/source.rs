//! A source of answers as the payload knows it.

use super::ops::DeltaForm;
use touchline_common::config::{Join, Pointer, PollSource, Reading};

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
