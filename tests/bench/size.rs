//! Lines of product code: `*.rs` in common, coordinator and worker, without files of tests and the pool's simulation.

use crate::error::{BenchError, While};
use crate::report::{Figure, Limit, Measured};
use std::fs;
use std::path::Path;

const CRATES: [&str; 3] = ["common", "coordinator", "worker"];
/// Folders and files, by their name without ending, that are no product code; and those whose name ends with `tests`.
const LEFT_OUT: [&str; 2] = ["simulation", "target"];

/// The row.
///
/// # Errors
/// When the sources are not where they were when this was built.
pub fn measure() -> Result<Measured, BenchError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let counts =
        CRATES.iter().map(|name| lines(&root.join(name))).collect::<Result<Vec<usize>, BenchError>>()?;
    let all: usize = counts.iter().sum();
    let mut figures = vec![Figure::one("all", "lines", Limit::None, all as f64)];
    figures.extend(
        CRATES.iter().zip(counts).map(|(name, count)| Figure::one(*name, "lines", Limit::None, count as f64)),
    );
    Ok(Measured { figures, notes: Vec::new() })
}

fn lines(folder: &Path) -> Result<usize, BenchError> {
    let what = format!("reading {}", folder.display());
    let mut sum = 0;
    for entry in fs::read_dir(folder).during(&what)? {
        let path = entry.during(&what)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if LEFT_OUT.contains(&stem) || stem.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            sum += lines(&path)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sum += fs::read_to_string(&path).during(&what)?.lines().count();
        }
    }
    Ok(sum)
}
