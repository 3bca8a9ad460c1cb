//! Prices as exact decimals: no floating point decides whether two odds are equal.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Decimal odds, stake included, in ten-thousandths: 5/4 is 22,500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub i64);

impl Price {
    /// The price that `n/d` states: n/d + 1, rounded half up to four decimals.
    ///
    /// `None` where there is no price: empty, `0/0`, `1/0`, a negative, or what is not two whole numbers of at most
    /// nine digits.
    #[inline]
    pub fn from_fraction(text: impl AsRef<[u8]>) -> Option<Price> {
        let (n, rest) = small_number(text.as_ref())?;
        let (d, rest) = small_number(rest.strip_prefix(b"/")?)?;
        if n == 0 || d == 0 || !rest.is_empty() {
            return None;
        }
        Some(Price(((n * 20_000 + d) / (2 * d) + 10_000) as i64))
    }
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
        Price::from_fraction(text).map(|p| p.to_string())
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
    fn what_is_no_price_is_none() {
        for text in [
            "",
            "0/0",
            "1/0",
            "0/1",
            "/",
            "1",
            "a/b",
            "-1/2",
            "1/2/3",
            "1.5/2",
            "9999999999/1",
            "1/9999999999",
            "1/",
            "/1",
            "1 /2",
            "+1/2",
        ] {
            assert_eq!(Price::from_fraction(text), None, "{text:?}");
        }
    }
}
