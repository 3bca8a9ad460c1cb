//! What a command says that somebody said or gave: a line of the chat, borrowed from the command.
//!
//! An id is the server's own wherever it has one; a line without is taken as it comes. What a server makes longer than anybody
//! writes is cut, so that one command is never more than some kilobytes.

use super::command::{Command, Data, Info};
use super::users::People;
use crate::payload::digest;
use std::borrow::Cow;
use touchline_common::model::{ChatKind, ChatLine};

/// Bytes of a comment, and of a name, at most.
const TEXT: usize = 4096;
const NAME: usize = 256;
/// An id that is longer is replaced by a hash of it.
const ID: usize = 128;

pub(super) fn comment<'a>(info: &'a Info<'_>, people: &People) -> ChatLine<'a> {
    let id = match (info.sent.id(), info.sent.rnd.id(), info.sent.at.0) {
        ("", Some(rnd), Some(at)) => Cow::Owned(format!("{rnd}-{at}")),
        (id, _, _) => Cow::Borrowed(id),
    };
    ChatLine {
        kind: ChatKind::Comment,
        id: bounded(id),
        user: people.shown(&info.by.id, cut(&info.by.name.0, NAME)),
        text: cut(&info.text.0, TEXT).into(),
        amount: None,
        feed_at: micros(info.sent.at.0, 1_000),
    }
}

pub(super) fn gift<'a>(data: &'a Data<'_>, people: &People) -> ChatLine<'a> {
    ChatLine {
        kind: ChatKind::Gift,
        id: bounded(data.tid.id().or(data.rnd.id()).unwrap_or_default().into()),
        user: people.shown(&data.uid, cut(&data.uname.0, NAME)),
        text: counted(data.gift.known().or(data.gift_name.known()), data.num.0),
        amount: data.total_coin.0.or(data.price.0),
        feed_at: micros(data.timestamp.0, 1_000_000),
    }
}

/// A guard that was bought. It has no id: who bought which, and from when on, names it, as far as who may be stored.
pub(super) fn guard<'a>(data: &'a Data<'_>, people: &People) -> ChatLine<'a> {
    let user = people.shown(&data.uid, cut(&data.username.0, NAME));
    let id = match (data.start_time.0, &*user) {
        (None, _) | (_, "") => String::new(),
        (Some(from), user) => format!("{from}-{}-{user}", data.gift_id.0),
    };
    ChatLine {
        kind: ChatKind::Gift,
        id: bounded(id.into()),
        user,
        text: counted(data.gift_name.known(), data.num.0),
        amount: data.price.0,
        feed_at: micros(data.start_time.0, 1_000_000),
    }
}

pub(super) fn super_chat<'a>(data: &'a Data<'_>, people: &People) -> ChatLine<'a> {
    ChatLine {
        kind: ChatKind::SuperChat,
        id: bounded(data.id.id().unwrap_or_default().into()),
        user: people.shown(&data.uid, cut(&data.user_info.0.uname.0, NAME)),
        text: cut(&data.message.0, TEXT).into(),
        amount: data.price.0,
        feed_at: micros(data.ts.0.or(data.start_time.0), 1_000_000),
    }
}

/// What a command takes back: a line for each id.
pub(super) fn taken_back<'a>(command: &'a Command<'_>) -> impl Iterator<Item = ChatLine<'a>> {
    let data = command.data();
    let ids = data.target_id.id().into_iter().chain(data.ids.0.iter().map(|id| &*id.0));
    ids.map(|id| ChatLine {
        kind: ChatKind::Retract,
        id: bounded(id.into()),
        user: "".into(),
        text: "".into(),
        amount: None,
        feed_at: None,
    })
}

/// The text up to `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn counted(name: Option<&str>, number: Option<i64>) -> Cow<'_, str> {
    let name = cut(name.unwrap_or_default(), NAME);
    match number {
        Some(number) => format!("{name} × {number}").into(),
        None => name.into(),
    }
}

fn bounded(id: Cow<'_, str>) -> Cow<'_, str> {
    if id.len() > ID { format!("{:016x}", digest(id.as_bytes())).into() } else { id }
}

/// A time in units of `unit` microseconds; one before 1970 is none.
fn micros(time: Option<i64>, unit: i64) -> Option<i64> {
    time.filter(|time| *time > 0)?.checked_mul(unit)
}
