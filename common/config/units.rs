//! Durations and sizes as the configuration writes them: `"250ms"`, `"4MB"`.
//!
//! Invariant: what `Display` writes is read back as the same value. Parsing never overflows: what does not fit is an
//! error that says what was expected. Used by the configuration's types and by the command line.

use serde::Deserializer;
use serde::de::Visitor;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// Serde for a type that the file writes as text, which its `Display` gives and its `FromStr` reads. The text is for the error about
/// a value that is no text at all: what was expected.
macro_rules! as_text {
    ($name:ty, $expected:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::units::written(deserializer, $expected)
            }
        }
    };
}
pub(super) use as_text;

/// The longest duration that is accepted: ten years. Beyond it a number is a slip, and sums of deadlines stay far from any overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A duration written with its unit: `us`, `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dur(pub Duration);

impl Dur {
    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

/// Units from the smallest: name, microseconds.
const TIME_UNITS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

impl FromStr for Dur {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Duration(shown(text));
        let micros = scaled(text, &TIME_UNITS).ok_or_else(wrong)?;
        let duration = Duration::from_micros(micros);
        if duration > LONGEST { Err(wrong()) } else { Ok(Self(duration)) }
    }
}

impl fmt::Display for Dur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        if micros == 0 {
            return f.write_str("0s");
        }
        // One minute, hour or day reads better in the smaller unit: 60s, 60m, 24h.
        let fits = |&(name, size): &(&str, u64)| {
            micros.is_multiple_of(size) && (micros / size > 1 || matches!(name, "us" | "ms" | "s"))
        };
        let (name, size) = TIME_UNITS.into_iter().rev().find(fits).unwrap_or(("us", 1));
        write!(f, "{}{name}", micros / size)
    }
}

as_text!(Dur, "a duration as text, such as \"250ms\", \"3s\", \"5m\"");

/// A number of bytes written with its unit: `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`, `GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `n` megabytes of 10^6 bytes.
    pub const fn megabytes(n: u64) -> Self {
        Self(n * 1_000_000)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory, at most what memory can hold.
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Units from the smallest: name, bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
];

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bytes = scaled(text, &SIZE_UNITS).filter(|&bytes| i64::try_from(bytes).is_ok());
        bytes.map(Self).ok_or_else(|| UnitError::Size(shown(text)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&(name, size): &(&str, u64)| name != "KB" && self.0 > 0 && self.0.is_multiple_of(size);
        let (name, size) = SIZE_UNITS.into_iter().rev().find(fits).unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

as_text!(ByteSize, "a size as text, such as \"512kB\", \"4MB\"");

/// A value that is not written as its kind demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitError {
    Duration(String),
    Size(String),
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(text) => {
                write!(
                    f,
                    "`{text}` is not a duration, expected a number and a unit as in \"250ms\", \"3s\", \"5m\", \"24h\", \"30d\""
                )
            }
            Self::Size(text) => {
                write!(
                    f,
                    "`{text}` is not a size, expected a number and a unit as in \"512kB\", \"4MB\", \"10GB\" (1 MB = 10^6 bytes)"
                )
            }
        }
    }
}

impl std::error::Error for UnitError {}

/// Reads a value that is written as text.
pub(super) fn written<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(expected, PhantomData))
}

/// The number in `text` times its unit, in the smallest unit. Decimals are taken as far as they are whole there.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, name) = text.split_at(digits);
    let (_, size) = units.iter().find(|(unit, _)| *unit == name.trim_start())?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 12 || (number.contains('.') && part.is_empty()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part_of = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let fraction = u64::try_from(u128::from(part) * u128::from(*size) / part_of).ok()?;
    whole.checked_mul(*size)?.checked_add(fraction)
}

/// At most 40 characters of what was written, so that an error stays one line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
