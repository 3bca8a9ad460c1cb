//! What people say and give in a room: the lane `chat` of the bulk stream.
//!
//! A line is an incident: the source's own id makes it one, whichever worker brings it. A line without an id is taken as it comes.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatLine<'a> {
    pub kind: ChatKind,
    /// The source's own id of it, unique in its room and kind; empty if it has none. Of a `Retract`: the id of what is taken back.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Who, as the settings let it be stored; empty if unknown.
    #[serde(borrow)]
    pub user: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// Of a gift or a paid comment: what it is worth, in the smallest unit that the source states.
    pub amount: Option<i64>,
    /// The source's own time of it, microseconds since 1970 UTC.
    pub feed_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChatKind {
    Comment,
    Gift,
    /// A comment that was paid for.
    SuperChat,
    /// What was said is taken back.
    Retract,
}

impl ChatKind {
    pub const ALL: [ChatKind; 4] = [Self::Comment, Self::Gift, Self::SuperChat, Self::Retract];

    /// As rows and events write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Gift => "gift",
            Self::SuperChat => "super_chat",
            Self::Retract => "retract",
        }
    }
}
