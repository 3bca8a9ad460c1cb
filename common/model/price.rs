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
    pub fn from_fraction(text: &str) -> Option<Price> {
        let (n, d) = text.split_once('/')?;
        let (n, d) = (small_number(n)?, small_number(d)?);
        if n == 0 || d == 0 {
            return None;
        }
        Some(Price((n * 20_000 + d).div_euclid(2 * d) + 10_000))
    }
}

fn small_number(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
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
        for text in ["", "0/0", "1/0", "0/1", "/", "1", "a/b", "-1/2", "1/2/3", "1.5/2", "9999999999/1"] {
            assert_eq!(Price::from_fraction(text), None, "{text:?}");
        }
    }
}
