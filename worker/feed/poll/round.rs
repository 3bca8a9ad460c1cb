//! The pages of one list, from the first to the last. Pure.
//!
//! A round counts only once it is complete: a list that is cut short would end matches. Bounds: [`PAGES_MAX`] pages, the bytes of
//! the feed's limit for all of them together. A page that leads back to itself ends the round as broken.

use super::json;
use super::plan::SourcePlan;
use std::hash::{DefaultHasher, Hash, Hasher};
use touchline_common::config::{Page, PageBy, encode};

const PAGES_MAX: u32 = 1_000;

/// What came of a list so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    at: At,
    pages: u32,
    /// The entries as they were written, with commas between them.
    text: String,
    entries: Vec<Entry>,
}

/// An entry of a list: its id, and a hash of all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) hash: u64,
}

/// The page that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    First,
    /// By number, offset or cursor: the parameter's value.
    Value(String),
    Link(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A further page is to be asked for.
    More,
    /// All entries, as a JSON array and one by one.
    Complete {
        array: String,
        entries: Vec<Entry>,
    },
    Broken(String),
}

pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Round {
    /// The url of the page that is asked for; `base` is the source's own.
    pub(super) fn url(&self, base: String, page: Option<&Page>) -> String {
        let Some(page) = page else { return base };
        let value = match (&self.at, page.by) {
            (At::Link(url), _) => return url.clone(),
            (At::Value(value), _) => value.as_str(),
            (At::First, PageBy::Number) => "1",
            (At::First, PageBy::Offset) => "0",
            (At::First, PageBy::Cursor | PageBy::Link) => return base,
        };
        let mut url = base;
        url.push(if url.contains('?') { '&' } else { '?' });
        encode(&page.param, &mut url);
        url.push('=');
        encode(value, &mut url);
        url
    }

    /// Takes a page: its body, and its Link header. `base` is the source's own url, `limit` the bytes of all pages together.
    pub(super) fn take(
        &mut self,
        source: &SourcePlan,
        base: &str,
        body: &[u8],
        link: Option<&str>,
        limit: usize,
    ) -> Progress {
        let Some(found) = json::find(body, &source.list) else {
            return Progress::Broken(format!(
                "no JSON, or nothing at list = {:?}; check the pointer",
                source.list
            ));
        };
        let Some(elements) = json::elements(found) else {
            return Progress::Broken(format!(
                "what is at list = {:?} is no array; check the pointer",
                source.list
            ));
        };
        for element in &elements {
            let written = element.get();
            if self.text.len() + written.len() >= limit {
                return Progress::Broken(
                    "all pages together are larger than `inflated` in [limits] allows".to_owned(),
                );
            }
            if !self.text.is_empty() {
                self.text.push(',');
            }
            self.text.push_str(written);
            if let Some(id) = json::find_in(element, &source.id).and_then(json::text) {
                self.entries.push(Entry { id, hash: hash(written.as_bytes()) });
            }
        }
        self.pages += 1;
        match next(source.page.as_ref(), self.pages, self.offset(), elements.len(), base, body, link) {
            Ok(None) => Progress::Complete {
                array: format!("[{}]", self.text),
                entries: std::mem::take(&mut self.entries),
            },
            Ok(Some(at)) if at == self.at => Progress::Broken("a page leads back to itself".to_owned()),
            Ok(Some(_)) if self.pages >= PAGES_MAX => {
                Progress::Broken(format!("more than {PAGES_MAX} pages; check `page`"))
            }
            Ok(Some(at)) => {
                self.at = at;
                Progress::More
            }
            Err(why) => Progress::Broken(why),
        }
    }

    /// Of the page that is asked for.
    fn offset(&self) -> u64 {
        match &self.at {
            At::Value(value) => value.parse().unwrap_or_default(),
            At::First | At::Link(_) => 0,
        }
    }
}

/// The page after one with `count` entries; none if it was the last.
fn next(
    page: Option<&Page>,
    pages: u32,
    offset: u64,
    count: usize,
    base: &str,
    body: &[u8],
    link: Option<&str>,
) -> Result<Option<At>, String> {
    let Some(page) = page else { return Ok(None) };
    let is_last = count == 0 || (count as u64) < u64::from(page.size);
    match page.by {
        PageBy::Number | PageBy::Offset if is_last => Ok(None),
        PageBy::Number => Ok(Some(At::Value((pages + 1).to_string()))),
        PageBy::Offset => Ok(Some(At::Value(offset.saturating_add(count as u64).to_string()))),
        PageBy::Cursor => Ok(json::find(body, &page.next).and_then(json::text).map(At::Value)),
        PageBy::Link => {
            let url = link.and_then(|link| next_page(base, link)).transpose()?;
            Ok(url.map(At::Link))
        }
    }
}

/// The url that a Link header names as the next page of what `base` answered with. Public for a fuzz target.
///
/// # Errors
/// It is at another server.
pub fn next_page(base: &str, link: &str) -> Option<Result<String, String>> {
    next_link(link).map(|to| same_server(base, to))
}

/// The target of rel="next" in a Link header (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|link| {
        let (target, rest) = link.split_once('>')?;
        let mut parameters = rest.split([';', ',']).map(str::trim);
        let is_next = parameters.any(|parameter| {
            let value = parameter.strip_prefix("rel=").map(|value| value.trim_matches('"'));
            value.is_some_and(|value| value.split(' ').any(|word| word.eq_ignore_ascii_case("next")))
        });
        is_next.then_some(target)
    })
}

/// The url `to`, if it stays with the server of `base`: where requests go the configuration says, not an answer.
fn same_server(base: &str, to: &str) -> Result<String, String> {
    let path = base.split_once("://").and_then(|(scheme, rest)| {
        let host = rest.split(['/', '?']).next()?;
        base.get(..scheme.len() + 3 + host.len())
    });
    let Some(server) = path else { return Err("the Link header has no base".to_owned()) };
    if to.starts_with('/') && !to.starts_with("//") {
        return Ok(format!("{server}{to}"));
    }
    match to.strip_prefix(server) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Ok(to.to_owned()),
        Some(_) | None => Err("the Link header leads to another server".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan::list;
    use super::*;
    use proptest::prelude::*;

    fn rounds(page: Page, pages: &[(&str, &str, Option<&str>)]) -> Result<(String, Vec<String>), String> {
        let source = SourcePlan { page: Some(page), ..list("l") };
        let mut round = Round::default();
        for (url, body, link) in pages {
            let base = "http://h/l?a=1";
            assert_eq!(round.url(base.to_owned(), source.page.as_ref()), *url);
            match round.take(&source, base, body.as_bytes(), *link, 1_000) {
                Progress::More => {}
                Progress::Complete { array, entries } => {
                    return Ok((array, entries.into_iter().map(|entry| entry.id).collect()));
                }
                Progress::Broken(why) => return Err(why),
            }
        }
        Err("more".to_owned())
    }

    fn page(by: PageBy, size: u32) -> Page {
        Page { by, param: "p".to_owned(), size, next: "/next".to_owned() }
    }

    #[test]
    fn pages_are_put_together_however_they_are_counted() {
        let (first, second) =
            (r#"{"m":[{"id":1},{"id":"b"}],"next":"c/2"}"#, r#"{"m":[ {"id": 3} ],"next":null}"#);
        let whole =
            Ok((r#"[{"id":1},{"id":"b"},{"id": 3}]"#.to_owned(), vec!["1".into(), "b".into(), "3".into()]));
        let urls =
            |by, size, one, two, link| rounds(page(by, size), &[(one, first, link), (two, second, None)]);
        assert_eq!(urls(PageBy::Number, 2, "http://h/l?a=1&p=1", "http://h/l?a=1&p=2", None), whole);
        assert_eq!(urls(PageBy::Offset, 2, "http://h/l?a=1&p=0", "http://h/l?a=1&p=2", None), whole);
        assert_eq!(urls(PageBy::Cursor, 0, "http://h/l?a=1", "http://h/l?a=1&p=c%2F2", None), whole);
        let link = Some("</x>; rel=\"prev\", </l?p=2>; rel=\"next\"");
        assert_eq!(urls(PageBy::Link, 0, "http://h/l?a=1", "http://h/l?p=2", link), whole);
    }

    #[test]
    fn an_empty_page_is_the_last_where_no_size_is_known() {
        let empty = r#"{"m":[]}"#;
        let pages =
            [("http://h/l?a=1&p=1", r#"{"m":[{"id":1}]}"#, None), ("http://h/l?a=1&p=2", empty, None)];
        assert_eq!(
            rounds(page(PageBy::Number, 0), &pages).map(|(array, _)| array),
            Ok(r#"[{"id":1}]"#.to_owned())
        );
    }

    #[test]
    fn what_is_no_page_breaks_the_round() {
        let broken =
            |by, body: &str, link| rounds(page(by, 1), &[("http://h/l?a=1", body, link)]).unwrap_err();
        assert!(broken(PageBy::Link, "{", None).contains("no JSON"));
        assert!(broken(PageBy::Link, r#"{"m":{}}"#, None).contains("no array"));
        for link in [
            "<http://other/x>; rel=next",
            "<//other/x>; rel=next",
            "<file:///x>; rel=next",
            "<http://h.other/>; rel=next",
        ] {
            assert!(broken(PageBy::Link, r#"{"m":[]}"#, Some(link)).contains("another server"), "{link}");
        }
        let large = format!(r#"{{"m":["{}"]}}"#, "x".repeat(1_000));
        assert!(broken(PageBy::Link, &large, None).contains("larger"));
        let circle = [
            ("http://h/l?a=1", r#"{"m":[],"next":"x"}"#, None),
            ("http://h/l?a=1&p=x", r#"{"m":[],"next":"x"}"#, None),
        ];
        assert!(rounds(page(PageBy::Cursor, 0), &circle).unwrap_err().contains("itself"));
    }

    proptest! {
        #[test]
        fn no_link_header_leads_to_another_server(
            noise in "[<>;,=\" a-z]{0,8}",
            target in "(http://h|http://|//|/|@|:|[?]|[.]|[a-z]){0,5}",
        ) {
            let header = format!("{noise}<{target}>; rel=\"last next\"");
            let next = next_link(&header);
            prop_assert!(next.is_some(), "{}", header);
            if let Ok(url) = same_server("http://h/l?a=1", next.unwrap_or_default()) {
                let rest = url.strip_prefix("http://h");
                prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])), "{}", url);
            }
        }
    }
}
