//! One worker's bulk stream: frames to inputs of the ledgers.
//!
//! The loop has checked the frames' numbers: none is missing, none comes twice. A frame is resolved as a whole before anything of it
//! counts; after one that cannot be understood nothing more of its channel is taken.

use super::handles::{Followed, Handles, Kind};
use super::ledger::{Change, Input, Place, Value};
use super::matches::Texts;
use super::{Bulk, Source};
use crate::record::thread::{Chunk, Reply};
use std::time::Instant;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{BulkBody, BulkFrame, EndReason, Name, Named};
use touchline_common::ipc::{Header, decode_borrowed};
use touchline_common::model::{Handle, MarketValue, OddsChange, SelectionValue};

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) handles: Handles,
    state: State,
    /// Room that each frame uses again.
    changes: Vec<Change>,
    values: Vec<(Place, Value)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// It sent what cannot be understood.
    Broken,
}

impl Channel {
    fn changes(&mut self, of: Handle, changes: &[OddsChange<'_>], texts: &mut Texts) -> Result<(), String> {
        self.changes.clear();
        let market = |handle| self.handles.part(handle, Kind::Market, of).map(Place);
        let selection = |handle| self.handles.part(handle, Kind::Selection, of).map(Place);
        for change in changes {
            self.changes.push(match change {
                OddsChange::Price { selection: handle, price, text } => {
                    Change::Price(selection(*handle)?, *price, texts.id(text))
                }
                OddsChange::SelectionSuspended { selection: handle, suspended } => {
                    Change::SelectionSuspended(selection(*handle)?, *suspended)
                }
                OddsChange::SelectionWon { selection: handle, won } => {
                    Change::SelectionWon(selection(*handle)?, *won)
                }
                OddsChange::MarketSuspended { market: handle, suspended } => {
                    Change::MarketSuspended(market(*handle)?, *suspended)
                }
                OddsChange::MarketOpen(value) => Change::MarketOpen(market(value.market)?, value.suspended),
                OddsChange::Selection(of) => Change::Selection(selection(of.selection)?, value(of, texts)),
                OddsChange::MarketClose { market: handle } => Change::MarketClose(market(*handle)?),
            });
        }
        Ok(())
    }

    fn base(
        &mut self,
        of: Handle,
        markets: &[MarketValue],
        selections: &[SelectionValue<'_>],
        texts: &mut Texts,
    ) -> Result<(), String> {
        self.values.clear();
        for market in markets {
            let place = Place(self.handles.part(market.market, Kind::Market, of)?);
            self.values.push((place, Value::of_market(market.suspended)));
        }
        for selection in selections {
            let place = Place(self.handles.part(selection.selection, Kind::Selection, of)?);
            self.values.push((place, value(selection, texts)));
        }
        Ok(())
    }
}

fn value(of: &SelectionValue<'_>, texts: &mut Texts) -> Value {
    Value { price: of.price, text: texts.id(&of.text), suspended: Some(of.suspended), won: of.won }
}

impl Bulk {
    pub(super) fn frames(&mut self, source: Source, token: usize, chunk: &Chunk, now: Instant) {
        // Out of the map meanwhile: a frame concerns matches and texts, too.
        let Some(mut channel) = self.channels.remove(&source) else { return };
        if channel.state == State::Open {
            let mut newest = None;
            for frame in chunk.frames() {
                let taken = frame.and_then(|(header, body)| self.frame(&mut channel, &header, body, now));
                match taken {
                    Ok(n) => newest = n.or(newest),
                    Err(what) => {
                        channel.state = State::Broken;
                        self.batch.replies.push(Reply::Broken { token, what });
                        break;
                    }
                }
            }
            if let Some(n) = newest {
                self.positions.insert(source.slot, (source.generation, n));
                self.batch.positions.insert(source.slot, (source.generation, n));
            }
        }
        self.channels.insert(source, channel);
    }

    /// Takes a name or a frame; the number of the frame.
    fn frame(
        &mut self,
        channel: &mut Channel,
        header: &Header,
        body: &[u8],
        now: Instant,
    ) -> Result<Option<u64>, String> {
        if header.kind == Name::KIND {
            let name: Name<'_> = decode_borrowed(header, body).map_err(|error| error.to_string())?;
            return self.name(channel, &name).map(|()| None);
        }
        let frame: BulkFrame<'_> = decode_borrowed(header, body).map_err(|error| error.to_string())?;
        self.body(channel, &frame, now).map(|()| Some(frame.n))
    }

    fn body(&mut self, channel: &mut Channel, frame: &BulkFrame<'_>, now: Instant) -> Result<(), String> {
        let handle = frame.handle;
        let &Followed { place, epoch, .. } = channel.handles.followed(handle)?;
        match &frame.body {
            BulkBody::Obs { changes, at } => {
                channel.changes(handle, changes, &mut self.texts)?;
                self.advance(place, Input::Obs { epoch, changes: &channel.changes, at: *at }, now);
            }
            BulkBody::Base { markets, selections, left_out, at } => {
                channel.base(handle, markets, selections, &mut self.texts)?;
                self.batch.conflated += left_out;
                self.advance(place, Input::Base { epoch, values: &channel.values, at: *at }, now);
            }
            BulkBody::Chat { lines, at } => self.chat(place, epoch, lines, *at, now),
            BulkBody::End { why, .. } => {
                channel.handles.end(handle);
                if let Some(one) = self.matches.slab.get_mut(place)
                    && *why == EndReason::Ended
                    && one.ledger.owner() == Some(epoch)
                {
                    one.over.get_or_insert(now);
                }
                self.unfollow(place, now);
            }
        }
        Ok(())
    }

    fn name(&mut self, channel: &mut Channel, name: &Name<'_>) -> Result<(), String> {
        let handle = name.handle;
        channel.handles.check_free(handle)?;
        match &name.named {
            Named::Match { key, epoch } => {
                if self.config.feed(key).is_none() {
                    return Err(format!(
                        "handle {handle} names a match of feed {}, which is not configured",
                        key.feed
                    ));
                }
                let place = self.matches.followed(key, *epoch, self.config.store.settle.get());
                if let Some(one) = self.matches.slab.get_mut(place) {
                    one.channels += 1;
                }
                channel.handles.name_match(handle, place, *epoch);
            }
            Named::Market { of, key, name } => {
                let place = channel.handles.followed(*of)?.place;
                if let Some(one) = self.matches.slab.get_mut(place) {
                    let market = one.place(None, key, name);
                    channel.handles.name_part(handle, Kind::Market, *of, market.0);
                }
            }
            Named::Selection { of, key, name } => {
                let market = channel.handles.find(*of, Kind::Market)?;
                let place = channel.handles.followed(market.of)?.place;
                if let Some(one) = self.matches.slab.get_mut(place) {
                    let selection = one.place(Some(Place(market.number)), key, name);
                    channel.handles.name_part(handle, Kind::Selection, market.of, selection.0);
                }
            }
        }
        Ok(())
    }
}
