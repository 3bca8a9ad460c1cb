//! Rules of the document that hold whatever a match is held as.

use std::borrow::Cow;
use touchline_common::model::{Register, RegisterChange, Side};

pub(super) fn of_statistic(key: &str, side: Side) -> Option<Register> {
    match key {
        "yellow_cards" => Some(Register::YellowCards(side)),
        "red_cards" => Some(Register::RedCards(side)),
        "corners" => Some(Register::Corners(side)),
        "penalties" => Some(Register::Penalties(side)),
        "substitutions" => Some(Register::Substitutions(side)),
        _ => None,
    }
}

/// Adds a register for each side whose value is known.
pub(super) fn both(
    registers: &mut Vec<(Register, i64)>,
    values: [Option<impl Into<i64>>; 2],
    register: impl Fn(Side) -> Option<Register>,
) {
    for (side, value) in Side::BOTH.into_iter().zip(values) {
        registers.extend(register(side).zip(value.map(Into::into)));
    }
}

/// Fills `changes` with the registers that differ from those `reported`, which `now` becomes part of; both are in the order of
/// [`Register`]. What became unknown moves nothing.
pub(super) fn report_registers(
    reported: &mut Vec<(Register, i64)>,
    now: &[(Register, i64)],
    changes: &mut Vec<RegisterChange>,
) {
    changes.clear();
    for &(register, value) in now {
        match reported.binary_search_by_key(&register, |(register, _)| *register) {
            Ok(place) => match reported.get_mut(place) {
                Some(last) if last.1 != value => last.1 = value,
                Some(_) | None => continue,
            },
            Err(place) => reported.insert(place, (register, value)),
        }
        changes.push(RegisterChange { register, value });
    }
}

/// What the match list says of a match, without blanks at its ends, unless that is nothing.
pub(super) fn listed(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(Cow::Borrowed)
}

/// Home and away as they are stated, else as the match's name states them.
pub(super) fn sides<'a>(stated: [Option<Cow<'a, str>>; 2], name: Option<&str>) -> [Option<Cow<'a, str>>; 2] {
    let (home, away) = name.and_then(split_name).unzip();
    let [stated_home, stated_away] = stated;
    [stated_home.or(home.map(Cow::Owned)), stated_away.or(away.map(Cow::Owned))]
}

/// The two sides that a name states; with ` @ ` the away side stands first.
pub(crate) fn split_name(name: &str) -> Option<(String, String)> {
    let at = |mark: &str| name.find(mark).map(|at| (at, mark.len()));
    let (place, width, home_first) = match [at(" v "), at(" vs ")].into_iter().flatten().min() {
        Some((place, width)) => (place, width, true),
        None => at(" @ ").map(|(place, width)| (place, width, false))?,
    };
    let (first, second) = (name.get(..place)?.trim(), name.get(place + width..)?.trim());
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (home, away) = if home_first { (first, second) } else { (second, first) };
    Some((home.to_owned(), away.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_first_mark() {
        let split = |name| split_name(name).map(|(home, away)| format!("{home}|{away}"));
        assert_eq!(split("A v B").as_deref(), Some("A|B"));
        assert_eq!(split("A vs B v C").as_deref(), Some("A|B v C"));
        assert_eq!(split("A @ B").as_deref(), Some("B|A"));
        assert_eq!(split("A @ B v C").as_deref(), Some("A @ B|C"));
        for odd in ["A", "A v ", "Av B", " v B", "A / B"] {
            assert_eq!(split(odd), None, "{odd}");
        }
    }
}
