//! The match list: followed here or not, and reported in messages that the coordinator takes: a list of thousands of matches is more than one frame may hold.

use super::Worker;
use touchline_common::ipc::messages::worker::{FromWorker, ListChange};
use touchline_common::model::Listing;

/// Bytes of the list in one message, roughly; a single match may exceed it.
const LIST_AT_ONCE: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(super) struct MatchList {
    pub(super) is_followed: bool,
    /// What was not reported yet.
    pub(super) changes: Vec<ListChange>,
    sync: ListSync,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ListSync {
    #[default]
    Complete,
    /// Changes were dropped because it did not read; a fresh snapshot follows once it does.
    Lost,
}

impl Worker {
    /// Asked again while it is followed, a fresh load is taken: that confirms what the list had.
    pub(super) fn follow_list(&mut self) {
        if self.parts.list_topic.is_empty() {
            return log::error!(feed = self.parts.feed_name.as_str(); "list.not_configured");
        }
        if !self.list.is_followed {
            let Worker { parts, .. } = self;
            let added = parts.trees.add_list(&parts.list_topic, parts.match_id.clone(), &parts.match_topics);
            if let Err(error) = added {
                return log::error!(error:% = error; "list.refused");
            }
            self.list.is_followed = true;
        }
        self.subscribe_list();
        self.meter.report_now = true;
    }

    fn subscribe_list(&mut self) {
        let topic = self.parts.list_topic.clone();
        self.subscribe(&topic);
    }

    /// Another worker has the list now: what this one still knows of it is not reported.
    pub(super) fn unfollow_list(&mut self) {
        if !std::mem::replace(&mut self.list.is_followed, false) {
            return;
        }
        let Worker { parts, source, meter, list, .. } = self;
        source.unfollow(&parts.list_topic);
        meter.forgotten(parts.list_topic.as_bytes());
        parts.trees.remove_list(&parts.list_topic);
        *list = MatchList::default();
        self.meter.report_now = true;
    }

    /// Reports what changed in the list, in messages that the coordinator takes. What it does not read is dropped; once it
    /// reads again the loss of the list is reported, and a fresh load is asked for.
    pub(super) fn report_list(&mut self) {
        loop {
            self.report_list_part();
            self.parts.trees.drain_lists(&mut self.list.changes);
            if self.list.changes.is_empty() {
                return;
            }
        }
    }

    fn report_list_part(&mut self) {
        if self.list.changes.is_empty() && self.list.sync == ListSync::Complete {
            return;
        }
        let mut changes = std::mem::take(&mut self.list.changes);
        if self.list.sync == ListSync::Lost {
            changes.clear();
            if !self.send(&FromWorker::List(vec![ListChange::Lost])) {
                return;
            }
            self.list.sync = ListSync::Complete;
            return self.subscribe_list();
        }
        while !changes.is_empty() {
            let rest = changes.split_off(changes_at_once(&changes));
            if !self.send(&FromWorker::List(changes)) {
                self.list.sync = ListSync::Lost;
                return;
            }
            changes = rest;
        }
    }
}

/// How many of `changes` go into one message: at least one.
fn changes_at_once(changes: &[ListChange]) -> usize {
    let mut bytes = 0;
    let fits = changes.iter().take_while(|change| {
        let before = bytes;
        bytes += size(change);
        before < LIST_AT_ONCE
    });
    fits.count()
}

/// Bytes of a change in a message, nearly.
fn size(change: &ListChange) -> usize {
    const NUMBERS: usize = 64;
    let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match change {
        ListChange::Present { id, listing } => {
            let Listing { name, sport_id, sport, competition, score, period, .. } = listing;
            let texts = [name, sport_id, sport, competition, score, period];
            let attributes = listing.attributes.iter().map(|(name, value)| name.len() + value.len() + 16);
            NUMBERS + id.as_str().len() + texts.into_iter().map(of).sum::<usize>() + attributes.sum::<usize>()
        }
        ListChange::Gone { id } => NUMBERS + id.as_str().len(),
        ListChange::LoadBegin | ListChange::LoadEnd | ListChange::Lost => NUMBERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchline_common::ipc::encode_frame;

    #[test]
    fn a_long_list_is_cut_into_messages_of_bounded_size_and_none_is_lost() {
        let present = |n: usize| {
            let name = Some("n".repeat(n % 700));
            let attributes = vec![("CL.ID".to_owned(), "7".repeat(n % 90))];
            let listing = Listing { name, attributes, ..Listing::default() };
            ListChange::Present { id: format!("match{n}").as_str().into(), listing }
        };
        let mut changes: Vec<ListChange> = (0..5_000).map(present).collect();
        changes.push(ListChange::LoadEnd);
        let (mut messages, mut sent) = (0, 0);
        while !changes.is_empty() {
            let rest = changes.split_off(changes_at_once(&changes));
            sent += changes.len();
            messages += 1;
            let mut frame = Vec::new();
            encode_frame(&FromWorker::List(changes), 0, 0, &mut frame).unwrap();
            assert!(frame.len() <= LIST_AT_ONCE + 1_000, "{} bytes", frame.len());
            changes = rest;
        }
        assert_eq!(sent, 5_001);
        assert!(messages > 5 && messages < 20, "{messages} messages");
        let huge = Listing { name: Some("n".repeat(2 * LIST_AT_ONCE)), ..Listing::default() };
        let huge = ListChange::Present { id: "m".into(), listing: huge };
        assert_eq!(changes_at_once(&[huge, ListChange::LoadEnd]), 1, "a single match may be larger");
    }
}
