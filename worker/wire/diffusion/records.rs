//! A body as records and fields.
//!
//! The separators separate: what stands after the last one is a record or field too, even if it is empty. Only a
//! body without a single byte has no record at all.

use super::{FD, RD};
use memchr::memchr;

/// The parts of a text between separators.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

/// The records of `body`, each for [`fields`]; none if it is empty.
pub fn records(body: &[u8]) -> Split<'_> {
    Split::none_if_empty(body, RD)
}

/// The fields of `record`: one, empty, if the record is empty.
pub fn fields(record: &[u8]) -> Split<'_> {
    Split { rest: Some(record), separator: FD }
}

impl<'a> Split<'a> {
    pub(super) fn none_if_empty(text: &'a [u8], separator: u8) -> Split<'a> {
        Split { rest: (!text.is_empty()).then_some(text), separator }
    }

    /// What the iterator has not given yet, separators included.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some((item, tail)) = memchr(self.separator, rest).and_then(|at| rest.split_at_checked(at)) else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = tail.get(1..);
        Some(item)
    }
}
