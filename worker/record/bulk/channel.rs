//! One worker's bulk stream: frames to inputs of the ledgers.
//!
//! Numbers are dense: one that is not above the position was committed before and is left out, one that skips is an error. A frame
//! is resolved as a whole before anything of it counts.

use super::handles::{Entry, Handles};
use super::ledger::{Change, Input, Value};
use super::matches::Texts;
use super::{Bulk, Reply, Source};
use std::time::Instant;
use touchline_common::ipc::frame::HEADER_LEN;
use touchline_common::ipc::messages::Message;
use touchline_common::ipc::messages::data::{BulkBody, BulkFrame, EndReason, Name, Named};
use touchline_common::ipc::{Header, decode_borrowed};
use touchline_common::model::{Epoch, Handle, MarketValue, OddsChange, SelectionValue};

#[derive(Debug)]
pub(super) struct Channel {
    token: usize,
    pub(super) handles: Handles,
    /// The number of the last frame that was taken; `None`: whatever comes first is the next.
    position: Option<u64>,
    pub(super) moved: bool,
    /// It sent what cannot be understood.
    broken: bool,
    changes: Vec<Change>,
    markets: Vec<(u32, bool)>,
    selections: Vec<(u32, Value)>,
}

struct Resolved {
    handle: Handle,
    place: usize,
    epoch: Epoch,
}

impl Channel {
    pub(super) fn new(token: usize, position: Option<u64>) -> Channel {
        Channel {
            token,
            handles: Handles::default(),
            position,
            moved: false,
            broken: false,
            changes: Vec::new(),
            markets: Vec::new(),
            selections: Vec::new(),
        }
    }

    fn resolve(&self, handle: Handle) -> Result<Resolved, String> {
        let followed = self.handles.followed(handle)?;
        Ok(Resolved { handle, place: followed.place, epoch: followed.epoch })
    }

    fn changes(&mut self, of: Handle, changes: &[OddsChange<'_>], texts: &mut Texts) -> Result<(), String> {
        self.changes.clear();
        for change in changes {
            self.changes.push(match change {
                OddsChange::Price { selection, price, text } => {
                    Change::Price(self.handles.selection(*selection, of)?, *price, texts.id(text))
                }
                OddsChange::SelectionSuspended { selection, suspended } => {
                    Change::SelectionSuspended(self.handles.selection(*selection, of)?, *suspended)
                }
                OddsChange::MarketSuspended { market, suspended } => {
                    Change::MarketSuspended(self.handles.market(*market, of)?, *suspended)
                }
                OddsChange::MarketOpen(MarketValue { market, suspended }) => {
                    Change::MarketOpen(self.handles.market(*market, of)?, *suspended)
                }
                OddsChange::Selection(SelectionValue { selection, price, text, suspended }) => {
                    let value = Value { price: *price, text: texts.id(text), suspended: Some(*suspended) };
                    Change::Selection(self.handles.selection(*selection, of)?, value)
                }
                OddsChange::MarketClose { market } => Change::MarketClose(self.handles.market(*market, of)?),
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
        self.markets.clear();
        self.selections.clear();
        for value in markets {
            self.markets.push((self.handles.market(value.market, of)?, value.suspended));
        }
        for value in selections {
            let selection = self.handles.selection(value.selection, of)?;
            let (price, suspended) = (value.price, Some(value.suspended));
            self.selections.push((selection, Value { price, text: texts.id(&value.text), suspended }));
        }
        Ok(())
    }
}

impl Bulk {
    /// Takes whole frames; what a channel sends after a mistake, or on an older channel, is left out.
    pub(super) fn frames(&mut self, source: Source, token: usize, mut bytes: &[u8], now: Instant) {
        // Out of the map meanwhile: a frame concerns matches and texts, too.
        let Some(mut channel) = self.channels.remove(&source) else { return };
        while channel.token == token && !channel.broken && !bytes.is_empty() {
            let taken = split(bytes).and_then(|(header, body, rest)| {
                bytes = rest;
                self.frame(&mut channel, source, &header, body, now)
            });
            if let Err(what) = taken {
                channel.broken = true;
                self.batch.replies.push(Reply::Broken { token, what });
            }
        }
        self.channels.insert(source, channel);
    }

    fn frame(
        &mut self,
        channel: &mut Channel,
        source: Source,
        header: &Header,
        body: &[u8],
        now: Instant,
    ) -> Result<(), String> {
        if header.kind == Name::KIND {
            let name: Name<'_> = decode_borrowed(header, body).map_err(|error| error.to_string())?;
            return self.name(channel, &name);
        }
        let frame: BulkFrame<'_> = decode_borrowed(header, body).map_err(|error| error.to_string())?;
        let committed = match channel.position {
            Some(position) if frame.n > position + 1 => {
                return Err(format!("frame {} follows frame {position}", frame.n));
            }
            Some(position) => frame.n <= position,
            None => false,
        };
        if committed {
            // A match whose end is committed is named no more; should it be, this ends it.
            if matches!(frame.body, BulkBody::End { .. })
                && let Some(place) = channel.handles.end(frame.handle)
            {
                self.unfollow(place, now);
            }
            return Ok(());
        }
        self.body(channel, &frame, now)?;
        channel.position = Some(frame.n);
        self.positions.insert(source.slot, (source.generation, frame.n));
        if !std::mem::replace(&mut channel.moved, true) {
            self.batch.moved.push(source);
        }
        Ok(())
    }

    fn body(&mut self, channel: &mut Channel, frame: &BulkFrame<'_>, now: Instant) -> Result<(), String> {
        let Resolved { handle, place, epoch } = channel.resolve(frame.handle)?;
        match &frame.body {
            BulkBody::Obs { changes, at } => {
                channel.changes(handle, changes, &mut self.texts)?;
                self.advance(place, Input::Obs { epoch, changes: &channel.changes, at: *at }, now);
            }
            BulkBody::Base { markets, selections, left_out, at } => {
                channel.base(handle, markets, selections, &mut self.texts)?;
                self.batch.conflated += left_out;
                let (markets, selections) = (&channel.markets[..], &channel.selections[..]);
                self.advance(place, Input::Base { epoch, markets, selections, at: *at }, now);
            }
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
                if self.config.feeds.get(usize::from(key.feed.0)).is_none() {
                    return Err(format!(
                        "handle {handle} names a match of feed {}, which is not configured",
                        key.feed
                    ));
                }
                let place = self.matches.place(key, self.config.settle);
                if let Some(one) = self.matches.slab.get_mut(place) {
                    one.channels += 1;
                }
                channel.handles.name_match(handle, place, *epoch);
            }
            Named::Market { of, key, name } => {
                let place = channel.resolve(*of)?.place;
                if let Some(one) = self.matches.slab.get_mut(place) {
                    let market = one.market(key, name);
                    channel.handles.name_part(handle, *of, Entry::Market(of.0, market));
                }
            }
            Named::Selection { of, key, name } => {
                let (owner, market) = channel.handles.any_market(*of)?;
                let place = channel.resolve(owner)?.place;
                if let Some(one) = self.matches.slab.get_mut(place) {
                    let selection = one.selection(market, key, name);
                    channel.handles.name_part(handle, owner, Entry::Selection(owner.0, selection));
                }
            }
        }
        Ok(())
    }
}

/// The first frame of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), String> {
    let cut = || "a frame is cut off".to_owned();
    let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(cut)?;
    let header = Header::parse(head, u32::MAX).map_err(|error| error.to_string())?;
    let (body, rest) = rest.split_at_checked(header.length as usize).ok_or_else(cut)?;
    Ok((header, body, rest))
}
