//! What names a happening: a hash of what it is, never of when it was seen.
//!
//! SipHash-2-4 with 128 bits of output and the key zero: specified, with published test vectors, the same for ever.
//! An id is its upper 100 bits as 20 characters of base32 (RFC 4648's alphabet, lower case). What goes in, and in
//! which order, must never change: the stores of the world hold such ids. Every part is written with its length.

use super::event::EventType;
use std::fmt;
use touchline_common::model::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

/// A text of any length as one of [`ID_LEN`] characters.
pub fn shortened(text: &str) -> String {
    EventId(siphash128([0, 0], text.as_bytes())).to_string()
}

pub const ID_LEN: usize = 20;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl EventId {
    /// As a number, by which what is otherwise equal is put in an order that is the same for ever.
    pub fn number(self) -> u128 {
        self.0
    }

    /// The id as text, in bytes that are all ASCII.
    pub fn to_ascii(self) -> [u8; ID_LEN] {
        let mut out = [0; ID_LEN];
        let mut rest = self.0;
        for place in &mut out {
            let five = (rest >> 123) as usize;
            *place = ALPHABET.get(five).copied().unwrap_or(b'a');
            rest <<= 5;
        }
        out
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

/// Feed and match, hashed into every id of that match; made once per match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    prefix: Parts,
    /// How many matches had this id before; hashed where it is not 0.
    instance: u32,
}

/// Stands where the form of an id stands, before the instance; no form has this number.
const INSTANCE: u8 = 6;

impl Scope {
    /// The ids of match `id` in the feed that the configuration calls `feed`.
    pub fn new(feed: &str, id: &str) -> Scope {
        Scope { prefix: Parts(Vec::new()).text(feed).text(id), instance: 0 }
    }

    pub fn instance(&self) -> u32 {
        self.instance
    }

    /// The ids of the match that had this id after so many others.
    pub fn of_instance(self, instance: u32) -> Scope {
        Scope { instance, ..self }
    }

    /// From here on the ids are those of another match under the same id.
    pub fn next_instance(&mut self) {
        self.instance = self.instance.saturating_add(1);
    }

    /// Goal, card, corner, penalty, substitution, wicket, set: `n` is that side's count after, `k` how often this
    /// step was taken back before. `score_change`: `n` is the side's value after.
    pub fn counter(&self, kind: EventType, detail: &str, side: Side, n: i64, k: u32) -> EventId {
        self.begin(kind, 1).text(detail).text(side.as_str()).number(n).number(k.into()).id()
    }

    /// Start, period, set, game, end and, in sports of sets, point: the `index`-th in set `set` (0 outside one).
    pub fn phase(&self, kind: EventType, set: u8, index: i64, k: u32) -> EventId {
        self.begin(kind, 2).number(set.into()).number(index).number(k.into()).id()
    }

    /// A tennis point: the `i`-th of a game.
    pub fn tennis_point(&self, set: u8, game: i64, i: u32) -> EventId {
        self.begin(EventType::Point, 3).number(set.into()).number(game).number(i.into()).id()
    }

    /// What has no counter (a statistic, a comment, the whole match suspended): the `place`-th such event of message `n` of epoch
    /// `epoch`.
    ///
    /// Feed, match and epoch are hashed to 52 bits; `n` and `place` follow as they are, so that those of a match stand side by
    /// side in the store's index of ids. Numbers too large for that are hashed as well.
    pub fn uncounted(&self, epoch: u64, n: u64, place: u32) -> EventId {
        let parts = self.form(4).bytes(&epoch.to_le_bytes());
        if n >= 1 << 36 || place >= 1 << 12 {
            return parts.bytes(&n.to_le_bytes()).bytes(&place.to_le_bytes()).id();
        }
        let EventId(hash) = parts.id();
        EventId((hash >> 76 << 76) | (u128::from(n) << 40) | (u128::from(place) << 28))
    }

    /// An incident that its source names, the `k`-th time that it stands.
    pub fn named_incident(&self, kind: EventType, source_id: &str, k: u32) -> EventId {
        self.begin(kind, 7).text(source_id).number(k.into()).id()
    }

    /// An incident without a name: the `rank`-th of those that state the same. `clock`: seconds as the feed states them.
    pub fn stated_incident(
        &self,
        kind: EventType,
        (side, period, clock): (Option<Side>, Option<u8>, Option<u32>),
        rank: u32,
        k: u32,
    ) -> EventId {
        let parts = self.begin(kind, 8).text(side.map_or("", Side::as_str));
        let parts = parts.number(period.map_or(-1, i64::from)).number(clock.map_or(-1, i64::from));
        parts.number(rank.into()).number(k.into()).id()
    }

    /// The taking back of `id`; each id is taken back at most once, a repetition has another.
    pub fn retract(&self, id: EventId) -> EventId {
        self.begin(EventType::Retract, 5).bytes(&id.0.to_le_bytes()).id()
    }

    fn begin(&self, kind: EventType, form: u8) -> Parts {
        self.form(form).text(kind.as_str())
    }

    fn form(&self, form: u8) -> Parts {
        let parts = Parts(Vec::with_capacity(self.prefix.0.len() + 64)).bytes(&self.prefix.0);
        let parts = match self.instance {
            0 => parts,
            instance => parts.bytes(&[INSTANCE]).bytes(&instance.to_le_bytes()),
        };
        parts.bytes(&[form])
    }
}

/// What is hashed into an id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts(Vec<u8>);

impl Parts {
    fn bytes(mut self, bytes: &[u8]) -> Parts {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Parts {
        self.bytes(&(text.len() as u32).to_le_bytes()).bytes(text.as_bytes())
    }

    fn number(self, number: i64) -> Parts {
        self.bytes(&number.to_le_bytes())
    }

    fn id(self) -> EventId {
        EventId(siphash128([0, 0], &self.0))
    }
}

/// SipHash-2-4 with 128 bits of output, the first word in the upper half.
pub fn siphash128(key: [u64; 2], bytes: &[u8]) -> u128 {
    let [k0, k1] = key;
    let mut v = [
        0x736f_6d65_7073_6575 ^ k0,
        0x646f_7261_6e64_6f6d ^ k1 ^ 0xee,
        0x6c79_6765_6e65_7261 ^ k0,
        0x7465_6462_7974_6573 ^ k1,
    ];
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(tail) {
        *place = *byte;
    }
    absorb(&mut v, u64::from_le_bytes(last) | ((bytes.len() as u64) << 56));
    let first = squeeze(&mut v, |[v0, v1, v2, v3]| [v0, v1, v2 ^ 0xee, v3]);
    let second = squeeze(&mut v, |[v0, v1, v2, v3]| [v0, v1 ^ 0xdd, v2, v3]);
    (u128::from(first) << 64) | u128::from(second)
}

fn absorb(v: &mut [u64; 4], word: u64) {
    let [v0, v1, v2, v3] = *v;
    *v = round(round([v0, v1, v2, v3 ^ word]));
    let [v0, v1, v2, v3] = *v;
    *v = [v0 ^ word, v1, v2, v3];
}

fn squeeze(v: &mut [u64; 4], mark: impl Fn([u64; 4]) -> [u64; 4]) -> u64 {
    *v = round(round(round(round(mark(*v)))));
    v.iter().fold(0, |all, one| all ^ one)
}

fn round([mut v0, mut v1, mut v2, mut v3]: [u64; 4]) -> [u64; 4] {
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    [v0, v1, v2, v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of SipHash's authors: key 00 01 … 0f, input 00 01 … of that many bytes.
    #[test]
    fn published_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let want = [
            (0, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (2, "8177228da4a45dc7fca38bdef60affe4"),
        ];
        for (length, want) in want {
            let input: Vec<u8> = (0..length).collect();
            let hash = siphash128(key, &input);
            let bytes: Vec<u8> =
                ((hash >> 64) as u64).to_le_bytes().into_iter().chain((hash as u64).to_le_bytes()).collect();
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, want, "{length} bytes");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Scope::new("ab", "c").uncounted(1, 2, 3), Scope::new("a", "bc").uncounted(1, 2, 3));
    }
}
