//! What a document is written into: JSON values, or the digest of what those values would be.
//!
//! One description of a document (`document`) thus gives both, and they cannot drift apart. A digest is of the
//! value, not of a text: the order of an object's members does not count, and 3 and 3.0 are the same number.

use serde_json::{Map, Number, Value};

/// A kind of output.
pub(crate) trait Json: Sized {
    /// An object under construction.
    type Members: Default;
    /// An array under construction.
    type Items: Default;

    /// A text.
    fn text(text: &str) -> Self;
    /// A whole number.
    fn integer(number: i64) -> Self;
    /// A yes or no.
    fn flag(flag: bool) -> Self;
    /// Ten-thousandths as a decimal number.
    fn decimal(ten_thousandths: i64) -> Self;
    /// Adds a member.
    fn put(object: &mut Self::Members, key: &str, value: Self);
    /// The object as a value.
    fn object(object: Self::Members) -> Self;
    /// Adds an item.
    fn push(array: &mut Self::Items, value: Self);
    /// The array as a value.
    fn array(array: Self::Items) -> Self;
}

impl Json for Value {
    type Members = Map<String, Value>;
    type Items = Vec<Value>;

    fn text(text: &str) -> Self {
        Value::String(text.to_owned())
    }
    fn integer(number: i64) -> Self {
        Value::from(number)
    }
    fn flag(flag: bool) -> Self {
        Value::Bool(flag)
    }
    fn decimal(ten_thousandths: i64) -> Self {
        if ten_thousandths % 10_000 == 0 {
            return Value::from(ten_thousandths / 10_000);
        }
        Number::from_f64(ten_thousandths as f64 / 10_000.0).map_or(Value::Null, Value::Number)
    }
    fn put(object: &mut Self::Members, key: &str, value: Self) {
        object.insert(key.to_owned(), value);
    }
    fn object(object: Self::Members) -> Self {
        Value::Object(object)
    }
    fn push(array: &mut Self::Items, value: Self) {
        array.push(value);
    }
    fn array(array: Self::Items) -> Self {
        Value::Array(array)
    }
}

/// The digest of a JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(crate) u64);

/// The digest of an object, member by member, in any order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestObject(pub(crate) u64);

/// The digest of an array, item by item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestArray(u64);

const TEXT: u64 = 0xa076_1d64_78bd_642f;
const INTEGER: u64 = 0xe703_7ed1_a0b4_28db;
const FLAG: u64 = 0x8ebc_6af0_9c88_c6e3;
const FLOAT: u64 = 0x5899_65cc_7537_4cc3;
const OBJECT: u64 = 0x1d8e_4e27_c47d_124f;
const ARRAY: u64 = 0xeb44_acca_b455_d165;
const MEMBER: u64 = 0x9e6c_63d0_876a_68ee;
const NOTHING: u64 = 0x2d35_8dcc_aa6c_78a5;

impl Json for Digest {
    type Members = DigestObject;
    type Items = DigestArray;

    fn text(text: &str) -> Self {
        Digest(hash(TEXT, text.as_bytes()))
    }
    fn integer(number: i64) -> Self {
        Digest(mix(INTEGER ^ number as u64, MEMBER))
    }
    fn flag(flag: bool) -> Self {
        Digest(mix(FLAG ^ u64::from(flag), MEMBER))
    }
    fn decimal(ten_thousandths: i64) -> Self {
        Digest::float(ten_thousandths as f64 / 10_000.0)
    }
    fn put(object: &mut Self::Members, key: &str, value: Self) {
        object.0 = object.0.wrapping_add(Digest::member(key, value));
    }
    fn object(object: Self::Members) -> Self {
        Digest(mix(object.0 ^ OBJECT, MEMBER))
    }
    fn push(array: &mut Self::Items, value: Self) {
        array.0 = mix(array.0 ^ value.0, ARRAY).wrapping_add(1);
    }
    fn array(array: Self::Items) -> Self {
        Digest(mix(array.0 ^ ARRAY, OBJECT))
    }
}

impl Digest {
    /// Of a floating-point number; a whole one counts as the integer.
    pub(crate) fn float(number: f64) -> Self {
        if number.fract() == 0.0 && number.abs() < 9e15 {
            return Digest::integer(number as i64);
        }
        Digest(mix(FLOAT ^ number.to_bits(), MEMBER))
    }

    /// Of JSON's null.
    pub(crate) fn null() -> Self {
        Digest(mix(NOTHING, MEMBER))
    }

    /// What a member adds to the sum of its object.
    pub(crate) fn member(key: &str, value: Digest) -> u64 {
        mix(hash(MEMBER, key.as_bytes()) ^ value.0.rotate_left(31), OBJECT)
    }

    /// Of any JSON value.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Digest::null(),
            Value::Bool(flag) => Digest::flag(*flag),
            Value::Number(number) => number
                .as_i64()
                .map_or_else(|| Digest::float(number.as_f64().unwrap_or_default()), Digest::integer),
            Value::String(text) => Digest::text(text),
            Value::Array(items) => {
                let mut array = DigestArray::default();
                for item in items {
                    Digest::push(&mut array, Digest::of(item));
                }
                Digest::array(array)
            }
            Value::Object(members) => {
                let mut object = DigestObject::default();
                for (key, member) in members {
                    Digest::put(&mut object, key, Digest::of(member));
                }
                Digest::object(object)
            }
        }
    }
}

/// Folds a 128-bit product: cheap, and every bit of both reaches every bit of the result.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b ^ 0x8bb8_4b93_962e_acc9);
    (product as u64) ^ ((product >> 64) as u64)
}

fn hash(tag: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(tag, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        state = mix(state ^ word(chunk), TEXT);
    }
    mix(state ^ word(chunks.remainder()), ARRAY)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_have_equal_digests_and_others_do_not() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[1,2.5,"x"],"c":{"d":true}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"c":{"d":true},"b":[1.0,2.5,"x"],"a":1}"#).unwrap();
        assert_eq!(Digest::of(&one), Digest::of(&two));
        let all = [
            json!({}),
            json!([]),
            json!(""),
            json!(0),
            json!(false),
            json!(null),
            json!([0]),
            json!([[]]),
            json!({"a": 1}),
            json!({"a": 2}),
            json!({"b": 1}),
            json!([1, 2]),
            json!([2, 1]),
            json!("1"),
            json!(1.5),
            json!({"a": 1, "b": 2}),
            json!({"a": 2, "b": 1}),
            json!({"a": {"b": 1}}),
            json!("abcdefgh"),
            json!("abcdefg\0"),
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(Digest::of(a), Digest::of(b), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_price_digests_as_its_number() {
        for price in [22_500, 30_000, 13_333, 10_001, 1_510_000] {
            let shown = touchline_common::model::Price(price).to_string();
            let value: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(Digest::decimal(price), Digest::of(&value), "{shown}");
            assert_eq!(Digest::of(&Value::decimal(price)), Digest::of(&value), "{shown}");
        }
    }
}
