//! Hides what may be a secret in the lines that an error report shows.
//!
//! Invariant: lengths and line breaks stay, so places stay true. The configuration has no key for a password itself, but
//! whoever writes one by mistake must not find it in a log.

use std::borrow::Cow;

/// Words in a key whose value is hidden, unless the key only tells where the secret is.
const SECRET_WORDS: [&str; 5] = ["password", "passwd", "secret", "token", "credential"];

/// `source` with the values of suspicious keys and the logins in addresses as `*`.
pub(super) fn mask(source: &str) -> Cow<'_, str> {
    let mut masked: Cow<'_, str> = Cow::Borrowed(source);
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        if let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_secret(key)) {
            hide(&mut masked, start + key.len() + 1, value);
        }
        for range in logins(line) {
            let hidden = line.get(range.clone()).unwrap_or_default();
            hide(&mut masked, start + range.start, hidden);
        }
        start += line.len();
    }
    masked
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let key = key.trim().trim_matches(['"', '\'']);
    SECRET_WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_env") && !key.ends_with("_file")
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
