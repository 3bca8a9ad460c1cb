//! A source of answers as the payload knows it.

use super::ops::DeltaForm;
use touchline_common::config::{Pointer, Reading};

/// One of a feed's sources. Of a topic the source's name is what stands before its first `/`.
#[derive(Clone, Debug, Default)]
pub struct Source {
    pub name: String,
    /// Where a list's entry has its id: a text or an integer.
    pub id: Pointer,
    pub reading: Reading,
    pub join: Join,
    pub delta: DeltaForm,
}

/// When a match that takes several requests is shown. One source of a match that waits for all makes it wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// As each answer comes.
    #[default]
    Each,
    /// When each has come.
    All,
}
