//! A body as records and fields.
//!
//! The separators separate: what stands after the last one is a record or field too, even if it is empty. Only a
//! body without a single byte has no record at all.

use super::{FD, RD};
use memchr::memchr;

/// The records of a body; each item is one record's text, for [`Fields`].
#[derive(Clone, Debug)]
pub struct Records<'a>(Split<'a>);

#[derive(Clone, Debug)]
pub struct Fields<'a>(Split<'a>);

#[derive(Clone, Debug)]
struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Records<'a> {
    /// The records of `body`; none if it is empty.
    pub fn of(body: &'a [u8]) -> Records<'a> {
        Records(Split { rest: (!body.is_empty()).then_some(body), separator: RD })
    }
}

impl<'a> Fields<'a> {
    /// The fields of `record`: one, empty, if the record is empty.
    pub fn of(record: &'a [u8]) -> Fields<'a> {
        Fields(Split { rest: Some(record), separator: FD })
    }

    pub(super) fn none_if_empty(text: &'a [u8]) -> Fields<'a> {
        Fields(Split { rest: (!text.is_empty()).then_some(text), separator: FD })
    }

    /// What the iterator has not given yet, separators included.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.0.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next()
    }
}

impl<'a> Split<'a> {
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
