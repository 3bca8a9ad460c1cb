//! What happens in a room: a pure function of the seed, the room and the place in it.
//!
//! So the truth of millions of messages needs no memory: which ones were sent is kept elsewhere, what they said is asked for here.
//! A message that takes another one back names the nearest one before it, and none is taken back twice.

use crate::model::random::Random;

/// Ids of rooms begin above this.
const FIRST_ROOM: u64 = 5_000_000;
/// More messages than any room has; ids stay below 2^53, which is what some readers take for an integer.
const MOST: u64 = 1_000_000_000;
/// How far back a message is looked for that can be taken back.
const BACK: u64 = 400;

const USERS: usize = 2_000;
const NAMES: [&str; 8] = ["viewer", "小明", "Zoë", "Łukasz 🎈", "шахтёр", "a\\\"b", "مشاهد", "<b>x</b>&amp;"];
const PHRASES: [&str; 10] = [
    "hello from the back row",
    "快快快",
    "੭ ᐕ)੭*⁾⁾打卡",
    "what a \"save\"!",
    "哈哈哈哈",
    "line\\nbreak\u{2028}inside",
    "🎉🎉🎉",
    "Über-Spiel",
    "why\tnot",
    "жду продолжения",
];
const GIFTS: [(u64, &str, i64); 4] = [
    (31_036, "小花花", 100),
    (30_607, "小心心", 0),
    (31_039, "Rocket 🚀", 500_000),
    (32_125, "泡泡机", 1_000),
];

/// What is stored of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Comment,
    Gift,
    /// A comment that was paid for.
    SuperChat,
    /// Something said before is taken back.
    Retract,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Self::Comment, Self::Gift, Self::SuperChat, Self::Retract];

    /// As the store writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Gift => "gift",
            Self::SuperChat => "super_chat",
            Self::Retract => "retract",
        }
    }
}

/// A line that must be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    /// The server's id of it; of a [`Kind::Retract`]: of what is taken back. 0: it has none.
    pub id: u64,
    /// The number of the user, and the name.
    pub uid: u64,
    pub user: String,
    /// Of a gift: its name.
    pub text: String,
    pub amount: Option<i64>,
}

/// What happens at one place of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// `rnd`: what the client that wrote it made up for it.
    Comment {
        line: Line,
        look: Look,
        rnd: u64,
    },
    /// A gift, with the command that repeats it where several come in a row.
    Gift(Line, GiftOf),
    SuperChat(Line),
    /// Months of membership, bought; it is announced again twice.
    Guard(Line),
    /// A comment is taken back.
    Recall(Line),
    /// A paid comment is taken back.
    Delete(Line),
    Watched(u64),
    Likes(u64),
    Live,
    Preparing,
    Title(String),
    /// A command that says nothing of this.
    Other(usize),
}

/// How a comment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Usual,
    /// The command's name has a suffix.
    Suffixed,
    /// The list of fields ends early.
    Short,
    /// A picture stands for the text.
    Emoticon,
    /// Without an id.
    Nameless,
}

/// What else a gift says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GiftOf {
    pub(crate) gift: u64,
    pub(crate) price: i64,
    pub(crate) number: i64,
}

impl Happening {
    /// What must be stored of it, if anything.
    pub(crate) fn line(&self) -> Option<&Line> {
        match self {
            Self::Comment { line, .. }
            | Self::Gift(line, _)
            | Self::SuperChat(line)
            | Self::Guard(line)
            | Self::Recall(line)
            | Self::Delete(line) => Some(line),
            Self::Watched(_)
            | Self::Likes(_)
            | Self::Live
            | Self::Preparing
            | Self::Title(_)
            | Self::Other(_) => None,
        }
    }
}

/// What a place has before it is known what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rolled {
    Comment(Look),
    Gift,
    SuperChat,
    Guard,
    Recall,
    Delete,
    Watched,
    Likes,
    Live,
    Preparing,
    Title,
    Other,
}

/// Everything that is ever said, by its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    seed: u64,
}

/// The id of the room that is opened as the `index`-th.
pub(crate) fn room_id(index: u64) -> u64 {
    FIRST_ROOM + index
}

/// The id of the message at a place.
fn id_of(room: u64, place: u64) -> u64 {
    (room % 1_000_000) * MOST + place % MOST + 1
}

impl Script {
    pub(crate) fn new(seed: u64) -> Script {
        Script { seed }
    }

    pub(crate) fn title(self, room: u64, number: u64) -> String {
        format!("Room {room} «第{number}话» & friends")
    }

    /// What happens in `room` at `place`, counted from 0.
    pub(crate) fn happening(self, room: u64, place: u64) -> Happening {
        let (rolled, mut random) = self.roll(room, place);
        let uid = 1_000 + random.below(USERS) as u64;
        let line = Line {
            kind: Kind::Comment,
            id: id_of(room, place),
            uid,
            user: user(uid),
            text: format!("{} {place}", random.word(&PHRASES)),
            amount: None,
        };
        match rolled {
            Rolled::Comment(look) => {
                let id = if look == Look::Nameless { 0 } else { line.id };
                Happening::Comment { line: Line { id, ..line }, look, rnd: line.id }
            }
            Rolled::Gift => gift(line, &mut random),
            Rolled::SuperChat => {
                let price = i64::from(random.between(30, 2_000));
                Happening::SuperChat(Line { kind: Kind::SuperChat, amount: Some(price), ..line })
            }
            Rolled::Guard => guard(place),
            Rolled::Recall => match self.nearest(room, place, Rolled::Recall, is_a_comment) {
                Some(id) => Happening::Recall(retract(id)),
                None => usual(line),
            },
            Rolled::Delete => match self.nearest(room, place, Rolled::Delete, |one| one == Rolled::SuperChat)
            {
                Some(id) => Happening::Delete(retract(id)),
                None => usual(line),
            },
            Rolled::Watched => Happening::Watched(place * 7 + 100),
            Rolled::Likes => Happening::Likes(place * 3 + 10),
            Rolled::Live => Happening::Live,
            Rolled::Preparing => Happening::Preparing,
            Rolled::Title => Happening::Title(self.title(room, place)),
            Rolled::Other => Happening::Other(random.below(usize::MAX)),
        }
    }

    fn roll(self, room: u64, place: u64) -> (Rolled, Random) {
        let mixed =
            self.seed ^ room.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place.wrapping_mul(0xd134_2543_de82_ef95);
        let mut random = Random::new(mixed);
        let rolled = match random.below(1_000) {
            0..660 => Rolled::Comment(Look::Usual),
            660..700 => Rolled::Comment(Look::Suffixed),
            700..740 => Rolled::Comment(Look::Short),
            740..760 => Rolled::Comment(Look::Emoticon),
            760..780 => Rolled::Comment(Look::Nameless),
            780..880 => Rolled::Gift,
            880..900 => Rolled::SuperChat,
            900..905 => Rolled::Guard,
            905..915 => Rolled::Recall,
            915..920 => Rolled::Delete,
            920..940 => Rolled::Watched,
            940..955 => Rolled::Likes,
            955 => Rolled::Live,
            956 => Rolled::Preparing,
            957 => Rolled::Title,
            _ => Rolled::Other,
        };
        (rolled, random)
    }

    /// The nearest message before `place` that is one of `these`, unless another `taker` stands between.
    fn nearest(self, room: u64, place: u64, taker: Rolled, these: fn(Rolled) -> bool) -> Option<u64> {
        for before in (place.saturating_sub(BACK)..place).rev() {
            let (rolled, _) = self.roll(room, before);
            if rolled == taker {
                return None;
            }
            if these(rolled) {
                return Some(id_of(room, before));
            }
        }
        None
    }
}

fn is_a_comment(rolled: Rolled) -> bool {
    matches!(rolled, Rolled::Comment(Look::Usual | Look::Suffixed | Look::Short | Look::Emoticon))
}

fn retract(id: u64) -> Line {
    Line { kind: Kind::Retract, id, uid: 0, user: String::new(), text: String::new(), amount: None }
}

fn usual(line: Line) -> Happening {
    Happening::Comment { rnd: line.id, line, look: Look::Usual }
}

/// It has no id: who bought it when names it to others, and among gifts of its room the price does.
fn guard(place: u64) -> Happening {
    let uid = 1_000_000 + place;
    let amount = i64::try_from(138_000_001 + place % 500_000 * 2).ok();
    let line = Line { kind: Kind::Gift, id: 0, uid, user: user(uid), text: "舰长".to_owned(), amount };
    Happening::Guard(line)
}

fn gift(line: Line, random: &mut Random) -> Happening {
    let (gift, name, price) = random.pick(&GIFTS).copied().unwrap_or((1, "", 0));
    let number = i64::from(random.between(1, 10));
    let line = Line { kind: Kind::Gift, text: name.to_owned(), amount: Some(price * number), ..line };
    Happening::Gift(line, GiftOf { gift, price, number })
}

fn user(uid: u64) -> String {
    let name =
        usize::try_from(uid).ok().and_then(|uid| NAMES.get(uid % NAMES.len())).copied().unwrap_or_default();
    format!("{name}_{uid}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_room_has_everything_and_says_the_same_each_time() {
        let script = Script::new(7);
        let room = room_id(3);
        let lines: Vec<Line> =
            (0..20_000).filter_map(|place| script.happening(room, place).line().cloned()).collect();
        let again: Vec<Line> =
            (0..20_000).filter_map(|place| Script::new(7).happening(room, place).line().cloned()).collect();
        assert_eq!(lines, again);
        for kind in Kind::ALL {
            assert!(lines.iter().filter(|line| line.kind == kind).count() > 20, "{kind:?}");
        }
        assert_ne!(Script::new(8).happening(room, 0), script.happening(room_id(4), 0));
    }

    #[test]
    fn ids_name_their_place_and_nothing_is_taken_back_twice_or_before_it_was_said() {
        let script = Script::new(1);
        let room = room_id(0);
        let (mut said, mut taken) = (HashSet::new(), HashSet::new());
        for place in 0..50_000 {
            let happening = script.happening(room, place);
            let Some(line) = happening.line() else { continue };
            if line.kind == Kind::Retract {
                assert!(said.contains(&line.id) && taken.insert(line.id), "{place}: {line:?}");
            } else if line.id != 0 {
                assert_eq!(line.id % MOST, place + 1);
                assert!(line.id < 1 << 53 && said.insert(line.id));
            }
        }
        assert!(taken.len() > 300, "{}", taken.len());
    }
}
