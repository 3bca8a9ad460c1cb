//! Where in a mapping file a mistake stands.
//!
//! The tables are compiled from what the files say together, in which no place is left; so it is looked up again by the name that the
//! mistake gives (`event.score`, `period 3.phase`), which only who checks a file needs.

use super::period::MappingError;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The mistake, named with line and column of the file, as far as they can be found.
pub(super) fn placed(error: MappingError, text: &str) -> MappingError {
    let document = DeTable::parse_recoverable(text).0;
    let document = document.get_ref();
    let at = match &error.other {
        Some(other) if states(document, other) && !states(document, &error.at) => other,
        Some(_) | None => &error.at,
    };
    match offset(document, at).and_then(|offset| line_and_column(text, offset)) {
        Some((line, column)) => MappingError { at: format!("line {line}, column {column} ({at})"), ..error },
        None => error,
    }
}

/// Whether the file itself has this key, in a section or outside.
fn states(document: &DeTable<'_>, at: &str) -> bool {
    let Some((section, key)) = at.split_once('.') else { return find(document, at).is_some() };
    find(document, section).is_some_and(
        |(_, value)| matches!(value.get_ref(), DeValue::Table(table) if find(table, key).is_some()),
    )
}

fn offset(document: &DeTable<'_>, at: &str) -> Option<usize> {
    let (section, key) = at.split_once('.').map_or((at, None), |(section, key)| (section, Some(key)));
    // Of a list: the entries of the file come before the built-in ones.
    let (section, entry) = section.split_once(' ').map_or((section, None), |(name, n)| (name, Some(n)));
    let (name, mut value) = find(document, section)?;
    let mut place = name.span();
    if let Some(entry) = entry {
        value = value.get_ref().get(entry.parse::<usize>().ok()?.checked_sub(1)?)?;
        place = value.span();
    }
    if let (Some(key), DeValue::Table(table)) = (key, value.get_ref())
        && let Some((key, _)) = find(table, key)
    {
        place = key.span();
    }
    Some(place.start)
}

fn find<'t, 'i>(
    table: &'t DeTable<'i>,
    name: &str,
) -> Option<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    table.iter().find(|(key, _)| **key.get_ref() == *name)
}

/// Both from 1, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> Option<(usize, usize)> {
    let before = text.get(..offset)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

#[cfg(test)]
mod tests {
    use crate::payload::check;
    use touchline_common::config::Payload;

    #[test]
    fn a_mistake_in_a_file_has_its_place() {
        let message = |text: &str| check(Payload::Inplay, text).unwrap_err().to_string();
        for (text, place) in [
            ("# ours\n[event]\n  scroe = \"SS\"\n", "line 3, column 3 (event.scroe): "),
            ("[event]\nscore = \"TOOLONG\"\n", "line 2, column 1 (event.score): "),
            ("\n[evnt]\n", "line 2, column 2 (evnt): "),
            ("topic = \"IT\"\na = [", "line 2, column "),
            (
                "[[period]]\nnames = [\"x\"]\nphase = \"during 3\"\nstatus = \"break\"\n",
                "line 3, column 1 (period 1.phase): ",
            ),
            // Of two places that contradict each other the file may hold either one, the built-in table the other.
            (
                "[event]\n score = \"IT\"\n",
                "line 2, column 2 (event.score): \"IT\" has two roles: topic and event.score",
            ),
            (
                "# ours\ntopic = \"D1\"\n",
                "line 2, column 1 (topic): \"D1\" has two roles: topic and score_line.value",
            ),
            ("[event]\npoints = \"SS\"\n", "line 2, column 1 (event.points): \"SS\" has two roles"),
            ("[event]\nscore = \"XP\"\n", "line 2, column 1 (event.score): \"XP\" has two roles"),
            (
                "[market]\ntype = \"PA\"\n",
                "line 2, column 1 (market.type): one type word stands for two kinds",
            ),
            (
                "[selection]\ntype = \"MA\"\n",
                "line 2, column 1 (selection.type): one type word stands for two",
            ),
            ("topic = 3\n", "line 1, column 1 (topic): expected"),
        ] {
            let message = message(text);
            assert!(message.contains(place), "{text}: {message}");
        }
        assert_eq!(check(Payload::Inplay, "[event]\nscore = \"ZZ\"\n"), Ok(()));
        assert_eq!(check(Payload::Inplay, "topic = \"TI\"\n[team]\nname = \"IT\"\n"), Ok(()));
        assert!(check(Payload::TopicTree, "a = [").unwrap_err().to_string().contains("line 1"));
        assert_eq!(check(Payload::Raw, "a = ["), Ok(()), "it has no table");
    }
}
