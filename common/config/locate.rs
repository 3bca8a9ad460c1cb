//! From a setting to its place in the file, and the removal of what could not be read.
//!
//! Invariant: paths name tables and keys as the file does; a setting that is not written is placed at its table, a
//! table that is not written at the file's beginning.

use std::fmt;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// A place in an array, from 0.
    Index(usize),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Step>);

impl Place {
    /// `[table] key`.
    pub(super) fn key(table: &str, key: &str) -> Self {
        Self(vec![Step::Key(table.to_owned()), Step::Key(key.to_owned())])
    }

    /// `key` of the `[[feed]]` at `index`.
    pub(super) fn feed(index: usize, key: &str) -> Self {
        Self(vec![Step::Key("feed".to_owned()), Step::Index(index), Step::Key(key.to_owned())])
    }

    /// `key` in the table that this is.
    pub(super) fn child(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// The element at `index` of this.
    pub(super) fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    pub(super) fn find(&self, document: &DeTable<'_>) -> Range<usize> {
        let Some((Step::Key(first), rest)) = self.0.split_first() else { return 0..0 };
        let Some(mut here) = document.get(first.as_str()) else { return 0..0 };
        for step in rest {
            let next = match step {
                Step::Key(key) => here.get_ref().get(key),
                Step::Index(index) => here.get_ref().get(*index),
            };
            let Some(next) = next else { break };
            here = next;
        }
        here.span()
    }

    pub(super) fn is_written(&self, document: &DeTable<'_>) -> bool {
        let mut parent = self.clone();
        parent.0.pop();
        self.find(document) != parent.find(document)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Takes the smallest setting at `span` out of the document and gives its path, so that the rest can be read.
pub(super) fn remove(document: &mut DeTable<'_>, span: &Range<usize>) -> Option<Place> {
    let mut steps = Vec::new();
    remove_from(document, span, &mut steps).then_some(Place(steps))
}

fn remove_from(table: &mut DeTable<'_>, span: &Range<usize>, steps: &mut Vec<Step>) -> bool {
    let mut gone = None;
    for (key, value) in table.iter_mut() {
        steps.push(Step::Key(key.get_ref().clone().into_owned()));
        if key.span() == *span {
            gone = Some(key.clone());
            break;
        }
        let range = value.span();
        if remove_inside(value.get_mut(), span, steps) {
            return true;
        }
        if range.start <= span.start && span.end <= range.end {
            gone = Some(key.clone());
            break;
        }
        steps.pop();
    }
    gone.is_some_and(|key| table.remove(&key).is_some())
}

fn remove_inside(value: &mut DeValue<'_>, span: &Range<usize>, steps: &mut Vec<Step>) -> bool {
    if let DeValue::Table(table) = value {
        return remove_from(table, span, steps);
    }
    let DeValue::Array(array) = value else { return false };
    // Only tables are searched: an element of a plain list goes together with its list, so that places stay true.
    for (index, element) in array.iter_mut().enumerate() {
        let DeValue::Table(table) = element.get_mut() else { continue };
        steps.push(Step::Index(index));
        if remove_from(table, span, steps) {
            return true;
        }
        steps.pop();
    }
    false
}
