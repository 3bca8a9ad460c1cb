//! Hides what may be a secret in the lines that an error report shows.
//!
//! Invariant: lengths and line breaks stay, so places stay true. The configuration has no key for a password itself, but
//! whoever writes one by mistake must not find it in a log.

use super::secret::sounds_secret;
use std::borrow::Cow;

/// `source` with the values of suspicious keys and the logins in addresses as `*`.
pub(super) fn mask(source: &str) -> Cow<'_, str> {
    let mut masked: Cow<'_, str> = Cow::Borrowed(source);
    let mut start = 0;
    // The mark that ends the text over several lines that a suspicious key has begun.
    let mut open: Option<&str> = None;
    for line in source.split_inclusive('\n') {
        let secret = match open {
            Some(_) => Some(0),
            None => secret_value(line),
        };
        if let Some((at, value)) = secret.and_then(|at| Some((at, line.get(at..)?))) {
            hide(&mut masked, start + at, value);
            open = still_open(open, value);
        }
        for range in logins(line) {
            let hidden = line.get(range.clone()).unwrap_or_default();
            hide(&mut masked, start + range.start, hidden);
        }
        start += line.len();
    }
    masked
}

/// Where the value of the first suspicious key of a line begins. From there on all of the line is hidden.
fn secret_value(line: &str) -> Option<usize> {
    let is_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices('=').map(|(at, _)| at).find_map(|at| {
        let before = line.get(..at)?.trim_end().trim_end_matches(['"', '\'']);
        let name = before.rsplit(|c| !is_key(c)).next()?;
        is_secret(name).then_some(at + 1)
    })
}

/// Whether a key's value is hidden: not where the key only names where the secret is.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    sounds_secret(&key) && !key.ends_with("_env") && !key.ends_with("_file")
}

/// The mark that must still come, after this part of a value.
fn still_open<'m>(open: Option<&'m str>, value: &str) -> Option<&'m str> {
    if let Some(mark) = open {
        return if value.contains(mark) { None } else { Some(mark) };
    }
    let mark = ["\"\"\"", "'''"].into_iter().find(|mark| value.trim_start().starts_with(mark))?;
    if value.matches(mark).count() > 1 { None } else { Some(mark) }
}

/// What stands between `://` and `@` in each address of a line.
fn logins(line: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for (at, scheme) in line.match_indices("://") {
        let start = at + scheme.len();
        let rest = line.get(start..).unwrap_or_default();
        let end = rest.find(['"', '\'', ' ', ',', '\n']).unwrap_or(rest.len());
        if let Some(login) = rest.get(..end).and_then(|address| address.rfind('@')) {
            found.push(start..start + login);
        }
    }
    found
}

/// Puts a star for each byte of `value`, which stands at `at`; blanks, quotes and line breaks stay.
fn hide(masked: &mut Cow<'_, str>, at: usize, value: &str) {
    let mut stars = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, ' ' | '\t' | '"' | '\'' | '\r' | '\n') {
            stars.push(c);
        } else {
            stars.extend(std::iter::repeat_n('*', c.len_utf8()));
        }
    }
    masked.to_mut().replace_range(at..at + value.len(), &stars);
}
