//! Frames of a worker's channel as inputs of the ledgers. Odds are no part of the match stream.

use super::Store;
use crate::record::ledger::{Input, Source};
use std::borrow::Cow;
use touchline_common::ipc::messages::data::ToRecorderData;
use touchline_common::model::{Change, Flip};

impl Store {
    pub(super) fn frame(&mut self, source: Source, frame: &ToRecorderData, version: u64) {
        let changes: Vec<Change<'_>> = match frame {
            ToRecorderData::Obs { observation, .. } => observation.flips.iter().filter_map(change).collect(),
            ToRecorderData::Base { .. }
            | ToRecorderData::Lost { .. }
            | ToRecorderData::End { .. }
            | ToRecorderData::Open { .. }
            | ToRecorderData::Publish(_) => Vec::new(),
        };
        let (n, key, input) = match frame {
            ToRecorderData::Base { n, key, epoch, facts, registers, clock, received_at } => {
                let (n, epoch, clock, at) = (*n, *epoch, *clock, *received_at);
                let values = &[];
                (n, key, Input::Base { n, epoch, source, facts, registers, values, clock, at, version })
            }
            ToRecorderData::Obs { n, key, epoch, observation } => {
                let (n, epoch, clock, at) = (*n, *epoch, observation.clock, observation.received_at);
                let registers = &observation.registers;
                (n, key, Input::Obs { n, epoch, registers, changes: &changes, clock, at, version })
            }
            ToRecorderData::Lost { n, key, epoch, count, since } => {
                (*n, key, Input::Lost { epoch: *epoch, count: *count, since: *since })
            }
            ToRecorderData::End { n, key, epoch, why, at } => {
                (*n, key, Input::End { epoch: *epoch, why: *why, at: *at })
            }
            ToRecorderData::Open { .. } | ToRecorderData::Publish(_) => return,
        };
        self.taken(source, n);
        self.advance(key, &input, Some(source));
    }
}

fn change(flip: &Flip) -> Option<Change<'_>> {
    match flip {
        Flip::Comment { text } => Some(Change::Comment { text: Cow::Borrowed(text) }),
        Flip::Stat { key, side, text } => {
            Some(Change::Stat { key: Cow::Borrowed(key), side: *side, text: Cow::Borrowed(text) })
        }
        Flip::Odds { .. }
        | Flip::SelectionSuspended { .. }
        | Flip::MarketSuspended { .. }
        | Flip::MarketOpen { .. }
        | Flip::MarketClose { .. } => None,
    }
}
