//! `only` and `skip`: which matches of a list are followed.
//!
//! Pure. Within a field one fit suffices; a field without entries does not count, a filter without any fits nothing. Texts are compared
//! without case; `*` at either end stands for anything. What the list does not give fits nothing: a match without a competition is not followed under
//! `only.competitions`, and not skipped under `skip.competitions`.

use touchline_common::config::{MatchFilter, Status};
use touchline_common::model::Listing;

pub(in crate::pool) fn follows(only: &MatchFilter, skip: &MatchFilter, listing: &Listing) -> bool {
    (is_empty(only) || fits(only, listing)) && (is_empty(skip) || !fits(skip, listing))
}

fn is_empty(filter: &MatchFilter) -> bool {
    *filter == MatchFilter::default()
}

/// All fields that have entries must fit.
fn fits(filter: &MatchFilter, listing: &Listing) -> bool {
    let status = if listing.in_play { Status::InPlay } else { Status::NotStarted };
    one_fits(&filter.sports, &[listing.sport_id.as_deref(), listing.sport.as_deref()])
        && one_fits(&filter.competitions, &[listing.competition.as_deref()])
        && (filter.teams.is_empty()
            || listing.name.as_deref().is_some_and(|name| team_fits(&filter.teams, name)))
        && (filter.status.is_empty() || filter.status.contains(&status))
}

fn one_fits(patterns: &[String], texts: &[Option<&str>]) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| texts.iter().flatten().any(|text| text_fits(pattern, text)))
}

fn team_fits(patterns: &[String], name: &str) -> bool {
    let sides = [" v ", " vs ", " @ "].iter().find_map(|between| name.split_once(between));
    patterns.iter().any(|pattern| match sides {
        Some((one, other)) => text_fits(pattern, one.trim()) || text_fits(pattern, other.trim()),
        None => text_fits(pattern, name),
    })
}

fn text_fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (None, None) => text == pattern,
        (Some(end), None) => text.ends_with(end),
        (None, Some(begin)) => text.starts_with(begin),
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        Listing {
            name: Some("Alpha v Beta".into()),
            sport_id: Some("1".into()),
            sport: Some("soccer".into()),
            competition: Some("First League".into()),
            in_play: true,
            ..Listing::default()
        }
    }

    fn filter(sports: &[&str], competitions: &[&str], teams: &[&str], status: &[Status]) -> MatchFilter {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        MatchFilter {
            sports: own(sports),
            competitions: own(competitions),
            teams: own(teams),
            status: status.to_vec(),
        }
    }

    #[test]
    fn each_kind_of_entry_is_looked_at() {
        let none = MatchFilter::default();
        for (only, expected) in [
            (none.clone(), true),
            (filter(&["soccer"], &[], &[], &[]), true),
            (filter(&["1"], &[], &[], &[]), true),
            (filter(&["13", "tennis"], &[], &[], &[]), false),
            (filter(&[], &["first league"], &[], &[]), true),
            (filter(&[], &["first"], &[], &[]), false),
            (filter(&[], &["first*"], &[], &[]), true),
            (filter(&[], &["*LEAGUE"], &[], &[]), true),
            (filter(&[], &["*st le*"], &[], &[]), true),
            (filter(&[], &["*"], &[], &[]), true),
            (filter(&[], &[], &["beta"], &[]), true),
            (filter(&[], &[], &["bet"], &[]), false),
            (filter(&[], &[], &[], &[Status::InPlay]), true),
            (filter(&[], &[], &[], &[Status::NotStarted]), false),
            (filter(&["soccer"], &["other"], &[], &[]), false),
        ] {
            assert_eq!(follows(&only, &none, &listing()), expected, "{only:?}");
            assert_eq!(follows(&none, &only, &listing()), !expected || is_empty(&only), "skip {only:?}");
        }
    }

    #[test]
    fn what_is_unknown_fits_nothing() {
        let unknown = Listing::default();
        let by_competition = filter(&[], &["*"], &[], &[]);
        assert!(!follows(&by_competition, &MatchFilter::default(), &unknown));
        assert!(follows(&MatchFilter::default(), &by_competition, &unknown));
    }
}
