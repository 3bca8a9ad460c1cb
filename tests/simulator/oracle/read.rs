//! Digests straight from JSON text, without values in between; leaves out what depends on who listens.

use crate::model::{Digest, DigestObject, Json};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Where in a document something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    HeadExtra,
    Market,
    Selections,
    Selection,
    Elsewhere,
}

/// What a document's head or tail adds to its digest: the members of both are those of one object, and so are those of their `extra`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The sum of its members but `extra`.
    members: u64,
    /// The sum of the members of `extra`, if it has one.
    extra: Option<u64>,
    /// The number of the newest change in it, if it has one.
    pub(super) number: Option<u64>,
}

impl Part {
    /// The digest of the object that these parts make together.
    pub(super) fn digest(parts: [Part; 2]) -> Digest {
        let mut object = DigestObject::default();
        for part in parts {
            object.0 = object.0.wrapping_add(part.members);
        }
        if parts.iter().any(|part| part.extra.is_some()) {
            let sum = parts.iter().filter_map(|part| part.extra).fold(0, u64::wrapping_add);
            Digest::put(&mut object, "extra", Digest::object(DigestObject(sum)));
        }
        Digest::object(object)
    }
}

/// A document's head or tail.
pub(super) fn part(body: &str) -> Option<Part> {
    let mut part = Part::default();
    read(body, Place::Head, &mut part)?;
    Some(part)
}

/// A market's digest.
pub(super) fn market(body: &str) -> Option<Digest> {
    read(body, Place::Market, &mut Part::default())
}

fn read(body: &str, place: Place, part: &mut Part) -> Option<Digest> {
    let mut input = serde_json::Deserializer::from_str(body);
    let digest = Reader { place, part }.deserialize(&mut input).ok()?;
    input.end().ok()?;
    Some(digest)
}

struct Reader<'n> {
    place: Place,
    part: &'n mut Part,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Digest;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Digest, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Digest, E> {
        Ok(Digest::flag(flag))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Digest, E> {
        Ok(Digest::integer(number))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Digest, E> {
        Ok(i64::try_from(number).map_or_else(|_| Digest::float(number as f64), Digest::integer))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Digest, E> {
        Ok(Digest::float(number))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Digest, E> {
        Ok(Digest::text(text))
    }
    fn visit_unit<E: Error>(self) -> Result<Digest, E> {
        Ok(Digest::null())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Digest, A::Error> {
        let mut array = <Digest as Json>::Items::default();
        while let Some(item) = items.next_element_seed(Reader { place: Place::Elsewhere, part: self.part })? {
            Digest::push(&mut array, item);
        }
        Ok(Digest::array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Digest, A::Error> {
        let mut object = <Digest as Json>::Members::default();
        while let Some(key) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let place = match (self.place, &*key) {
                (Place::HeadExtra, "ZC") => {
                    self.part.number = members.next_value::<String>()?.parse().ok();
                    continue;
                }
                (Place::Selection, "open" | "move") => {
                    members.next_value::<serde::de::IgnoredAny>()?;
                    continue;
                }
                (Place::Head, "extra") => Place::HeadExtra,
                (Place::Market, "selections") => Place::Selections,
                (Place::Selections, _) => Place::Selection,
                _ => Place::Elsewhere,
            };
            let value = members.next_value_seed(Reader { place, part: self.part })?;
            if place != Place::HeadExtra {
                Digest::put(&mut object, &key, value);
            }
        }
        match self.place {
            Place::Head => self.part.members = object.0,
            Place::HeadExtra => self.part.extra = Some(object.0),
            Place::Market | Place::Selections | Place::Selection | Place::Elsewhere => {}
        }
        Ok(Digest::object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_digest_from_text_is_the_digest_of_the_value_without_what_is_left_out() {
        let body = json!({"id": "1", "extra": {"ZC": "kept"}, "selections": {
            "A": {"odds": 2.25, "open": 2, "move": -1, "name": "a \"b\" ü\n"},
            "open": {"odds": 3, "extra": {"open": "kept", "move": [1, null]}}}});
        let without = json!({"id": "1", "extra": {"ZC": "kept"}, "selections": {
            "A": {"odds": 2.25, "name": "a \"b\" ü\n"},
            "open": {"odds": 3.0, "extra": {"open": "kept", "move": [1, null]}}}});
        assert_eq!(market(&body.to_string()), Some(Digest::of(&without)));
        let body = json!({"name": "A v B", "extra": {"ZC": "17", "UC": ""}, "odds": {"open": 1}});
        let without = json!({"name": "A v B", "extra": {"UC": ""}, "odds": {"open": 1}});
        let alone = |body: &Value| {
            part(&body.to_string()).map(|part| (Part::digest([part, Part::default()]), part.number))
        };
        assert_eq!(alone(&body), Some((Digest::of(&without), Some(17))));
        assert_eq!(alone(&without), Some((Digest::of(&without), None)));
        assert_eq!(market("{"), None);
        assert_eq!(market("{} x"), None);
    }

    #[test]
    fn head_and_tail_digest_as_the_object_they_make_together() {
        let head = json!({"name": "A v B", "extra": {"ZC": "17", "UC": ""}}).to_string();
        let tail = json!({"stats": {"corners": 3}, "extra": {"nodes": [1, 2]}}).to_string();
        let both = json!({"name": "A v B", "stats": {"corners": 3}, "extra": {"UC": "", "nodes": [1, 2]}});
        let parts = [part(&head).unwrap(), part(&tail).unwrap()];
        assert_eq!(Part::digest(parts), Digest::of(&both));
        assert_ne!(Part::digest([parts[0], Part::default()]), Digest::of(&both));
    }
}
