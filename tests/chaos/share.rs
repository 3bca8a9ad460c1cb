//! A long run in several sites side by side: how many, and which part of it is whose.
//!
//! Pure: the same run has the same parts. Callers: the program beside this, in the process that starts the sites and in each of them.

use super::Options;
use super::plan::Chance;

/// More sites are not taken, even if they are asked for: two cores have not enough for each.
pub const SITES_MAX: usize = 4;

/// Above so many faults there are two sites: a thousand then take some 20 minutes, and on two cores that do nothing else each site still
/// has what the bounds of time need. With three, a worker's end is now and then noticed some 30 ms too late.
const TWO_ABOVE: usize = 60;

/// How many sites a run of so many faults has, if none are asked for.
pub fn sites_for(faults: usize) -> usize {
    1 + usize::from(faults > TWO_ABOVE)
}

impl Options {
    /// The part of `site`, counted from 0, of `sites`: an even share of the faults, and a seed of its own.
    pub fn share(&self, site: usize, sites: usize) -> Options {
        let sites = sites.max(1);
        let faults = self.faults / sites + usize::from(site < self.faults % sites);
        Options { faults, seed: seed_of(self.seed, site), ..self.clone() }
    }
}

/// The first site has the run's own seed: a run of one site is what it always was.
fn seed_of(seed: u64, site: usize) -> u64 {
    let mut chance = Chance(seed);
    (0..site).fold(seed, |_, _| chance.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn short_runs_have_one_site_and_long_ones_two() {
        let sites: Vec<usize> = [1, 60, 61, 100_000].map(sites_for).into();
        assert_eq!(sites, [1, 1, 2, 2]);
    }

    #[test]
    fn the_shares_are_the_whole_and_almost_even() {
        for (faults, sites) in [(1_000, 3), (7, 4), (2, 4), (12, 1)] {
            let whole = Options { faults, ..Options::default() };
            let shares: Vec<usize> = (0..sites).map(|site| whole.share(site, sites).faults).collect();
            assert_eq!(shares.iter().sum::<usize>(), faults);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn each_site_of_each_run_has_a_seed_of_its_own_and_the_first_the_runs() {
        let mut seen = BTreeSet::new();
        for seed in 1..=200 {
            let whole = Options { seed, ..Options::default() };
            assert_eq!(whole.share(0, 4).seed, seed);
            for site in 0..SITES_MAX {
                assert_eq!(whole.share(site, 2).seed, whole.share(site, 4).seed, "whatever their number");
                assert!(seen.insert(whole.share(site, 4).seed), "seed {seed}, site {site}");
            }
        }
    }
}
