//! JSON values read for what they might hold, whatever they are: a number as text, a text as a number, nothing where another type stands.
//!
//! Commands change their shape without notice, and each index and member may be missing. So no type is ever wrong here: only
//! text that is no JSON is. What is not read is skipped without being built, at any depth.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// What a value makes of each JSON type: nothing, unless it says so.
pub(super) trait Lenient<'de>: Default {
    fn text(_text: &str) -> Self {
        Self::default()
    }

    /// A text that lies in the body as it is.
    fn borrowed(text: &'de str) -> Self {
        Self::text(text)
    }

    fn whole(_number: i64) -> Self {
        Self::default()
    }

    /// A number that only an unsigned one can be.
    fn large(_number: u64) -> Self {
        Self::default()
    }

    fn list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        skip(list).map(|()| Self::default())
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// Skips the rest of a list.
pub(super) fn skip<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(super) fn read<'de, T: Lenient<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Any(PhantomData))
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(i64::try_from(number).map_or_else(|_| T::large(number), T::whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let whole = number.fract() == 0.0 && number.abs() <= EXACT;
        Ok(if whole { T::whole(number as i64) } else { T::default() })
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::borrowed(text))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object)
    }
}

/// A text, or a whole number as one; empty otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Lenient<'de> for Text<'a> {
    fn text(text: &str) -> Self {
        Text(Cow::Owned(text.to_owned()))
    }

    fn borrowed(text: &'de str) -> Self {
        Text(Cow::Borrowed(text))
    }

    fn whole(number: i64) -> Self {
        Text(Cow::Owned(number.to_string()))
    }

    fn large(number: u64) -> Self {
        Text(Cow::Owned(number.to_string()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl Text<'_> {
    /// The text if there is one.
    pub(super) fn known(&self) -> Option<&str> {
        Some(&*self.0).filter(|text| !text.is_empty())
    }

    /// An id; 0 is none.
    pub(super) fn id(&self) -> Option<&str> {
        self.known().filter(|id| *id != "0")
    }
}

/// A whole number, or a text that is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole(pub(super) Option<i64>);

impl<'de> Lenient<'de> for Whole {
    fn text(text: &str) -> Self {
        Whole(text.trim().parse().ok())
    }

    fn whole(number: i64) -> Self {
        Whole(Some(number))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

/// An object; what it is otherwise counts as an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Lenient<'de> for Object<T> {
    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Object)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

/// Ids, the first [`Ids::MOST`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids<'a>(pub(super) Vec<Text<'a>>);

impl Ids<'_> {
    pub(super) const MOST: usize = 256;
}

impl<'de: 'a, 'a> Lenient<'de> for Ids<'a> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut ids = Vec::new();
        while ids.len() < Self::MOST {
            match list.next_element::<Text<'a>>()? {
                Some(id) => ids.extend(id.id().is_some().then_some(id)),
                None => return Ok(Ids(ids)),
            }
        }
        skip(list).map(|()| Ids(ids))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Ids<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}
