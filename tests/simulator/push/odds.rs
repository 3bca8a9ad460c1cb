//! The rows of odds in a store's hour files against the prices of an exchange's runners.
//!
//! Rows are of runners by their ids, one sequence each: the first may be any of its prices, each further one must be the next; a row that is
//! marked `recovered` may stand for any. After the last row nothing may miss. As several places may have one price, a sequence is at a set
//! of places. Only where the server puts no changes together.

use super::judge::{Judgement, PushJudge};
use rusqlite::{Connection, OpenFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What was found of the odds.
#[derive(Clone, Debug, Default)]
pub struct OddsJudgement {
    pub rows: u64,
    /// Rows that stand for values that were left out.
    pub recovered: u64,
    /// Sequences compared, and what differs.
    pub judgement: Judgement,
}

impl OddsJudgement {
    pub fn is_equal(&self) -> bool {
        self.judgement.is_equal()
    }
}

/// A row of a selection with a price.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    odds: f64,
    recovered: bool,
}

impl PushJudge {
    /// Compares all rows of a store's folder. Pause the server first.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn odds(&self, store: &Path) -> rusqlite::Result<OddsJudgement> {
        let mut rows: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
        for file in hour_files(store) {
            read(&file, &mut rows)?;
        }
        let mut report = OddsJudgement::default();
        for row in rows.values().flatten() {
            report.rows += 1;
            report.recovered += u64::from(row.recovered);
        }
        let world = self.shared.world();
        for (slot, id) in world.topics().iter().enumerate() {
            let Some(topic) = world.topic(slot) else { continue };
            for (runner, prices) in world.dialect.prices(topic, world.number(slot)) {
                let rows = rows.get(&(id.clone(), runner.clone())).map_or(&[][..], Vec::as_slice);
                report.judgement.compared += 1;
                if let Err(difference) = follow(&prices, rows) {
                    report.judgement.differs(format!("{id} {runner}: {difference}"));
                }
            }
        }
        Ok(report)
    }
}

/// The hour files in the order of their hours.
fn hour_files(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.join("hours")).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "db")).collect();
    files.sort();
    files
}

fn read(file: &Path, rows: &mut BTreeMap<(String, String), Vec<Row>>) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut query = connection.prepare(
        "SELECT match, selection, odds, recovered, type FROM history
         WHERE selection IS NOT NULL AND odds IS NOT NULL ORDER BY seq",
    )?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let of_runner = rows.entry((row.get(0)?, row.get(1)?)).or_default();
        // What is known when an hour begins stands for anything before it, too.
        let base = row.get::<_, String>(4)? == "base";
        of_runner.push(Row { odds: row.get(2)?, recovered: row.get::<_, bool>(3)? || base });
    }
    Ok(())
}

/// Whether rows follow prices to their end.
fn follow(prices: &[f64], rows: &[Row]) -> Result<(), String> {
    let with = |odds: f64| {
        let known = prices.iter().enumerate().filter(move |(_, price)| (**price - odds).abs() < 1e-6);
        known.map(|(place, _)| place).collect::<BTreeSet<usize>>()
    };
    let mut places: Option<BTreeSet<usize>> = None;
    for (count, row) in rows.iter().enumerate() {
        let all = with(row.odds);
        let next = match &places {
            Some(places) if !row.recovered => all
                .into_iter()
                .filter(|place| place.checked_sub(1).is_some_and(|at| places.contains(&at)))
                .collect(),
            Some(_) | None => all,
        };
        if next.is_empty() {
            return Err(format!("row {count} of {} says {}, which does not come next", rows.len(), row.odds));
        }
        places = Some(next);
    }
    let newest = prices.len().checked_sub(1);
    match (places, newest) {
        // Its only price came with the first whole.
        (None, _) if prices.len() <= 1 => Ok(()),
        (None, _) => Err(format!("no row, but {} prices", prices.len())),
        (Some(places), Some(newest)) if places.contains(&newest) => Ok(()),
        (Some(places), _) => {
            let missing = newest.unwrap_or(0).saturating_sub(places.last().copied().unwrap_or(0));
            Err(format!("the last {missing} prices miss"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(odds: f64) -> Row {
        Row { odds, recovered: false }
    }

    #[test]
    fn every_price_is_there_once_unless_a_row_stands_for_several() {
        let prices = [2.0, 3.0, 2.0, 4.0];
        assert_eq!(follow(&prices, &[row(2.0), row(4.0)]), Ok(()), "the second 2.0 may be the first row");
        assert_eq!(follow(&prices, &[row(2.0), row(3.0), row(2.0), row(4.0)]), Ok(()));
        assert!(follow(&prices, &[row(3.0), row(4.0)]).unwrap_err().contains("row 1"));
        let jump = Row { odds: 4.0, recovered: true };
        assert_eq!(follow(&prices, &[row(3.0), jump]), Ok(()));
        assert!(follow(&prices, &[row(3.0)]).unwrap_err().contains("the last 2 prices"));
        assert!(follow(&prices, &[]).is_err());
        assert_eq!(follow(&[2.0], &[]), Ok(()));
    }
}
