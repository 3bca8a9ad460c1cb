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
    match offset(document.get_ref(), &error.at).and_then(|offset| line_and_column(text, offset)) {
        Some((line, column)) => {
            MappingError { at: format!("line {line}, column {column} ({})", error.at), ..error }
        }
        None => error,
    }
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
        ] {
            let message = message(text);
            assert!(message.contains(place), "{text}: {message}");
        }
        assert_eq!(check(Payload::Inplay, "[event]\nscore = \"ZZ\"\n"), Ok(()));
        assert!(check(Payload::TopicTree, "a = [").unwrap_err().to_string().contains("line 1"));
        assert_eq!(check(Payload::Raw, "a = ["), Ok(()), "it has no table");
    }
}
