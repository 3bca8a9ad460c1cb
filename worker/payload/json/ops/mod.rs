//! What a delta does to a value: the forms that servers send, each a pure function.
//!
//! Invariant: an error changes nothing, and what is held stays within the limits. The forms: the whole value anew; a merge patch (RFC
//! 7396); the same with nulls kept; a patch of operations (RFC 6902); arrays whose items are known by one of their members.

mod keyed;
mod merge;
mod patch;
#[cfg(test)]
mod tests;

pub use keyed::Keyed;

use super::node::{MAX_DEPTH, Node, Size};
use super::parse::JsonError;
use crate::payload::Limits;
use std::fmt;
use touchline_common::config::Pointer;

/// What a delta's body is to what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeltaForm {
    /// It takes its place.
    #[default]
    Replace,
    /// RFC 7396: `null` removes a member.
    Merge,
    /// As a merge, but `null` is a value, and what these lead to is replaced whole.
    DeepMerge(Vec<Pointer>),
    /// RFC 6902.
    Patch,
    /// As a deep merge, with items of arrays put in, replaced and removed by their key.
    Keyed(Keyed),
}

/// Why a delta was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaError {
    Limits(JsonError),
    /// The operation at this place, from 0.
    Operation {
        at: usize,
        what: &'static str,
    },
    NoPatch,
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => error.fmt(f),
            Self::Operation { at, what } => write!(f, "operation {at} of the patch: {what}"),
            Self::NoPatch => {
                f.write_str("it is no array of at most 1024 operations: check the form of deltas")
            }
        }
    }
}

/// A value within limits, and what it takes of them at most.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Node,
    /// At most: merges add to it without counting what they replace.
    size: Size,
}

impl Tree {
    pub(super) fn new(root: Node) -> Tree {
        Tree { size: root.size(), root }
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Applies a delta.
    ///
    /// # Errors
    /// What is wrong with it; the value is what it was.
    pub(super) fn apply(&mut self, form: &DeltaForm, delta: Node, limits: &Limits) -> Result<(), DeltaError> {
        match form {
            DeltaForm::Replace => *self = Tree::new(delta),
            DeltaForm::Merge => return self.merge(delta, limits, merge::merge),
            DeltaForm::DeepMerge(whole) => {
                let whole: Vec<_> = whole.iter().map(Pointer::steps).collect();
                return self.merge(delta, limits, |target, delta| merge::deep_merge(target, delta, &whole));
            }
            DeltaForm::Keyed(rule) => {
                return self.merge(delta, limits, |target, delta| keyed::merge(target, delta, rule));
            }
            DeltaForm::Patch => {
                let mut root = self.root.clone();
                patch::apply(&mut root, &delta, limits)?;
                *self = within(root, limits)?;
            }
        }
        Ok(())
    }

    /// A merge fails at limits alone: where the sum of both may pass one it is tried on a copy.
    fn merge(
        &mut self,
        delta: Node,
        limits: &Limits,
        merge: impl Fn(&mut Node, Node),
    ) -> Result<(), DeltaError> {
        let most = self.size.plus(delta.size());
        if most.nodes <= limits.nodes && most.bytes <= limits.bytes {
            merge(&mut self.root, delta);
            self.size = most;
            return Ok(());
        }
        let mut root = self.root.clone();
        merge(&mut root, delta);
        *self = within(root, limits)?;
        Ok(())
    }
}

fn within(root: Node, limits: &Limits) -> Result<Tree, DeltaError> {
    let size = root.size();
    let depth = limits.depth.min(MAX_DEPTH);
    let error = if size.nodes > limits.nodes {
        JsonError::Nodes { limit: limits.nodes }
    } else if size.bytes > limits.bytes {
        JsonError::Bytes { limit: limits.bytes }
    } else if root.depth() > depth {
        JsonError::Depth { limit: depth }
    } else {
        return Ok(Tree { root, size });
    };
    Err(DeltaError::Limits(error))
}
