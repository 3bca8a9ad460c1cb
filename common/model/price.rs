//! Prices as exact decimals: no floating point decides whether two odds are equal.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Decimal odds, stake included, in ten-thousandths: 5/4 is 22,500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub i64);

impl Price {
    /// The price that a text states, rounded half up to four decimals: `5/4`, `EVS` or `Evens`, decimal `2.25`, American
    /// `+150` or `-200`.
    ///
    /// `None` where it is no price (empty, `SP`, `0/0`, `1/0`) or might mean something else: a whole number without a sign, more than
    /// nine digits, decimal odds below 1.
    #[inline]
    pub fn from_text(text: impl AsRef<[u8]>) -> Option<Price> {
        let text = text.as_ref();
        fraction(text).or_else(|| unusual(text))
    }
}

/// `n/d` is n/d + 1. As nearly all prices are written.
#[inline]
fn fraction(text: &[u8]) -> Option<Price> {
    let (n, rest) = small_number(text)?;
    let (d, rest) = small_number(rest.strip_prefix(b"/")?)?;
    rest.is_empty().then(|| over(n, d)).flatten()
}

#[cold]
fn unusual(text: &[u8]) -> Option<Price> {
    let text = text.trim_ascii();
    let (first, rest) = text.split_first()?;
    match first {
        b'+' => american(rest).and_then(|n| over(n, 100)),
        b'-' => american(rest).and_then(|n| over(100, n)),
        b'e' | b'E' => {
            let even = [&b"evs"[..], b"even", b"evens"].iter().any(|word| text.eq_ignore_ascii_case(word));
            even.then_some(Price(20_000))
        }
        _ => match text.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                let (n, d) = (text.get(..at)?.trim_ascii_end(), text.get(at + 1..)?.trim_ascii_start());
                over(whole(n)?, whole(d)?)
            }
            None => decimal(text),
        },
    }
}

/// What is won of a stake, as a price with the stake.
fn over(won: u64, stake: u64) -> Option<Price> {
    let known = won > 0 && stake > 0;
    known.then(|| Price(((won * 20_000 + stake) / (2 * stake) + 10_000) as i64))
}

/// The number of American odds, of which none is below 100.
fn american(digits: &[u8]) -> Option<u64> {
    whole(digits).filter(|n| *n >= 100)
}

fn decimal(text: &[u8]) -> Option<Price> {
    let (units, rest) = small_number(text)?;
    let parts = rest.strip_prefix(b".")?;
    whole(parts)?;
    let digit = |place: usize| u64::from(parts.get(place).map_or(0, |digit| digit - b'0'));
    let four = (0..4).fold(0, |sum, place| sum * 10 + digit(place));
    let price = units * 10_000 + four + u64::from(digit(4) >= 5);
    (price >= 10_000).then_some(Price(price as i64))
}

/// A number of one to nine digits and nothing else.
fn whole(text: &[u8]) -> Option<u64> {
    small_number(text).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// The number of one to nine digits that a text begins with, and what follows it.
#[inline]
fn small_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    let mut length = 0;
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        number = number * 10 + u64::from(digit);
        length += 1;
        if length > 9 {
            return None;
        }
    }
    Some((number, text.get(length..)?)).filter(|_| length > 0)
}

impl fmt::Display for Price {
    /// As short as it is exact: `2.25`, `3`, `1.0001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let mut digits = rest;
        let mut width = 4;
        while digits % 10 == 0 {
            digits /= 10;
            width -= 1;
        }
        write!(f, "{whole}.{digits:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Price::from_text(text).map(|p| p.to_string())
    }

    #[test]
    fn fractions_become_decimal_odds() {
        assert_eq!(shown("5/4").as_deref(), Some("2.25"));
        assert_eq!(shown("1/1").as_deref(), Some("2"));
        assert_eq!(shown("1/3").as_deref(), Some("1.3333"));
        assert_eq!(shown("2/3").as_deref(), Some("1.6667"));
        assert_eq!(shown("1/10000").as_deref(), Some("1.0001"));
        assert_eq!(shown("1/20000").as_deref(), Some("1.0001"), "half goes up");
        assert_eq!(shown("150/1").as_deref(), Some("151"));
    }

    #[test]
    fn other_ways_to_write_a_price() {
        for (text, price) in [
            ("EVS", "2"),
            ("Evs", "2"),
            ("evens", "2"),
            ("EVENS", "2"),
            ("Even", "2"),
            (" 5/4 ", "2.25"),
            ("5 / 4", "2.25"),
            ("2.5", "2.5"),
            ("1.01", "1.01"),
            ("2.00", "2"),
            ("3.33335", "3.3334"),
            ("9.99995", "10"),
            ("+150", "2.5"),
            ("-200", "1.5"),
            ("+100", "2"),
            ("-110", "1.9091"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(price), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_price_is_none() {
        for text in [
            "",
            " ",
            "0/0",
            "1/0",
            "0/1",
            "/",
            "1",
            "250",
            "a/b",
            "-1/2",
            "+1/2",
            "1/2/3",
            "1.5/2",
            "9999999999/1",
            "1/9999999999",
            "1/",
            "/1",
            "SP",
            "sp",
            "EV",
            "Evensx",
            "+",
            "-",
            "+99",
            "-5",
            "+1.5",
            ".5",
            "0.9",
            "0.0",
            "1.",
            "1.2.3",
            "1,5",
            "N/A",
            "\u{ff11}/2",
        ] {
            assert_eq!(Price::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn no_bytes_panic_and_a_price_is_at_least_one() {
        proptest::proptest!(|(text in "[-+0-9./ EVNSevns]{0,12}")| {
            if let Some(price) = Price::from_text(&text) {
                proptest::prop_assert!(price.0 >= 10_000, "{text:?}");
            }
        });
    }
}
