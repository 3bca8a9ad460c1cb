//! Which topics one subscription holds: `A` itself, `A/` everything below it, `A//` both.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) text: Box<str>,
    /// Bytes of `text` that are the topic at its top.
    top: usize,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Topic,
    Below,
    /// Both.
    Branch,
}

impl Selector {
    pub(super) fn parse(text: &str) -> Selector {
        let (top, scope) = match text.strip_suffix("//") {
            Some(top) => (top, Scope::Branch),
            None => match text.strip_suffix('/') {
                Some(top) => (top, Scope::Below),
                None => (text, Scope::Topic),
            },
        };
        Selector { text: text.into(), top: top.len(), scope }
    }

    pub(super) fn top(&self) -> &[u8] {
        self.text.as_bytes().get(..self.top).unwrap_or_default()
    }

    /// What a topic that it holds is called within the match: its name below the top, the top's own name in full.
    pub(super) fn key<'t>(&self, topic: &'t [u8]) -> Option<&'t [u8]> {
        let rest = topic.strip_prefix(self.top())?;
        match (rest.split_first(), self.scope) {
            (None, Scope::Topic | Scope::Branch) => Some(topic),
            (Some((b'/', below)), Scope::Below | Scope::Branch) if !below.is_empty() => Some(below),
            (None | Some(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_holds_its_top_or_what_is_below_or_both() {
        let key = |selector: &str, topic: &str| {
            let key = Selector::parse(selector).key(topic.as_bytes()).map(<[u8]>::to_vec);
            key.map(|key| String::from_utf8(key).unwrap())
        };
        assert_eq!(key("a/b", "a/b").as_deref(), Some("a/b"));
        assert_eq!(key("a/b", "a/b/c"), None);
        assert_eq!(key("a/b/", "a/b"), None);
        assert_eq!(key("a/b/", "a/b/c/d").as_deref(), Some("c/d"));
        assert_eq!(key("a/b//", "a/b").as_deref(), Some("a/b"));
        assert_eq!(key("a/b//", "a/b/c/d").as_deref(), Some("c/d"));
        for other in ["a/bc", "a", "b/c", "a/b/", ""] {
            assert_eq!(key("a/b//", other), None, "{other:?}");
        }
    }
}
