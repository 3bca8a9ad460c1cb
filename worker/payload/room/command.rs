//! A command of a room: its name, and the members that any of them is read for.
//!
//! One reading of the body, whatever order its members have; of a comment the indices that are used, the rest of its list is skipped.

use super::value::{Ids, Lenient, Object, Text, Whole, read, skip};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess};

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Command<'a> {
    #[serde(borrow, default)]
    cmd: Text<'a>,
    #[serde(borrow, default)]
    pub(super) info: Info<'a>,
    #[serde(borrow, default)]
    data: Object<Data<'a>>,
}

impl<'a> Command<'a> {
    /// # Errors
    /// Why it is no JSON.
    pub(super) fn parse(body: &'a [u8]) -> Result<Command<'a>, serde_json::Error> {
        serde_json::from_slice::<Object<Command<'a>>>(body).map(|object| object.0)
    }

    /// Its name, without what follows a colon.
    pub(super) fn name(&self) -> &str {
        self.cmd.0.split(':').next().unwrap_or_default()
    }

    pub(super) fn data(&self) -> &Data<'a> {
        &self.data.0
    }
}

/// The members of `data` that some command has.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow, default)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) uname: Text<'a>,
    #[serde(borrow, default)]
    pub(super) username: Text<'a>,
    #[serde(borrow, default)]
    pub(super) user_info: Object<Person<'a>>,
    #[serde(borrow, default, rename = "giftName")]
    pub(super) gift: Text<'a>,
    #[serde(borrow, default)]
    pub(super) gift_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) gift_id: Text<'a>,
    #[serde(default)]
    pub(super) num: Whole,
    #[serde(default)]
    pub(super) total_coin: Whole,
    #[serde(default)]
    pub(super) price: Whole,
    #[serde(borrow, default)]
    pub(super) tid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) rnd: Text<'a>,
    #[serde(default)]
    pub(super) timestamp: Whole,
    #[serde(default)]
    pub(super) start_time: Whole,
    #[serde(default)]
    pub(super) ts: Whole,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) target_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) ids: Ids<'a>,
    #[serde(default)]
    pub(super) click_count: Whole,
    #[serde(default)]
    pub(super) count: Whole,
    #[serde(borrow, default)]
    pub(super) title: Text<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Person<'a> {
    #[serde(borrow, default)]
    pub(super) uname: Text<'a>,
}

/// The `info` of a comment.
#[derive(Debug, Default)]
pub(super) struct Info<'a> {
    pub(super) sent: Sent<'a>,
    pub(super) text: Text<'a>,
    pub(super) by: By<'a>,
}

/// `info[0]`.
#[derive(Debug, Default)]
pub(super) struct Sent<'a> {
    /// Milliseconds since 1970 UTC.
    pub(super) at: Whole,
    pub(super) rnd: Text<'a>,
    shown: Object<Shown>,
}

impl Sent<'_> {
    /// The id that the server gave it; empty if it gave none.
    pub(super) fn id(&self) -> &str {
        &self.shown.0.extra.0
    }
}

/// `info[0][15]`.
#[derive(Debug, Default, serde::Deserialize)]
struct Shown {
    #[serde(default)]
    extra: ExtraId,
}

/// The `id_str` of an object that is written as a text.
#[derive(Debug, Default)]
struct ExtraId(String);

/// `info[2]`.
#[derive(Debug, Default)]
pub(super) struct By<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
}

/// Puts an element of a list in its place; whether there was one.
fn put<T>(place: &mut T, element: Option<T>) -> bool {
    element.map(|element| *place = element).is_some()
}

fn passed<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<bool, A::Error> {
    Ok(list.next_element::<IgnoredAny>()?.is_some())
}

impl<'de: 'a, 'a> Lenient<'de> for Info<'a> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut info = Info::default();
        let more = put(&mut info.sent, list.next_element()?)
            && put(&mut info.text, list.next_element()?)
            && put(&mut info.by, list.next_element()?);
        if more {
            skip(list)?;
        }
        Ok(info)
    }
}

impl<'de: 'a, 'a> Lenient<'de> for Sent<'a> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut sent = Sent::default();
        for index in 0.. {
            let more = match index {
                4 => put(&mut sent.at, list.next_element()?),
                5 => put(&mut sent.rnd, list.next_element()?),
                15 => put(&mut sent.shown, list.next_element()?),
                _ => passed(&mut list)?,
            };
            if !more {
                break;
            }
        }
        Ok(sent)
    }
}

impl<'de: 'a, 'a> Lenient<'de> for By<'a> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut by = By::default();
        if put(&mut by.id, list.next_element()?) && put(&mut by.name, list.next_element()?) {
            skip(list)?;
        }
        Ok(by)
    }
}

impl<'de> Lenient<'de> for ExtraId {
    fn text(text: &str) -> Self {
        #[derive(Default, serde::Deserialize)]
        struct Extra<'a> {
            #[serde(borrow, default)]
            id_str: Text<'a>,
        }
        // Most of these texts are long, and those of older servers have none.
        if memchr::memmem::find(text.as_bytes(), b"id_str").is_none() {
            return ExtraId::default();
        }
        let extra = serde_json::from_str::<Object<Extra<'_>>>(text).unwrap_or_default();
        ExtraId(extra.0.id_str.0.into_owned())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Info<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Sent<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for By<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<'de> Deserialize<'de> for ExtraId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}
