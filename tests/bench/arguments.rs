//! The command line: which rows, in which form.

use crate::effort::Effort;
use crate::rows::RowName;
use std::path::PathBuf;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, each row as soon as it is measured.
    Text,
    /// One object at the end.
    Json,
    /// The table of `docs/performance.md` at the end.
    Markdown,
    /// The help.
    Help,
}

/// When the exit code is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// When a measured figure is over its limit.
    WhenOver,
    /// Never.
    Never,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The rows, in their order.
    pub rows: Vec<RowName>,
    /// The form.
    pub form: Form,
    /// The exit code.
    pub fail: Fail,
    /// How much is measured.
    pub effort: Effort,
    /// An older result to hold this one against.
    pub compare: Option<PathBuf>,
    /// A result that is there already: nothing is measured.
    pub from: Option<PathBuf>,
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// What was not understood, with the help.
    pub fn parse(given: &[String]) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            rows: Vec::new(),
            form: Form::Text,
            fail: Fail::WhenOver,
            compare: None,
            from: None,
            effort: Effort::Full,
        };
        let mut rest = given.iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "--json" => arguments.form = Form::Json,
                "--markdown" => arguments.form = Form::Markdown,
                "--compare" => arguments.compare = Some(file(word, rest.next())?),
                "--from" => arguments.from = Some(file(word, rest.next())?),
                "--quick" => arguments.effort = Effort::Quick,
                "--no-fail" => arguments.fail = Fail::Never,
                "--help" | "-h" => arguments.form = Form::Help,
                "--row" => {
                    let name = rest.next().ok_or_else(|| wrong("--row needs a name"))?;
                    let row = RowName::ALL.into_iter().find(|row| row.as_str() == name);
                    arguments.rows.push(row.ok_or_else(|| wrong(&format!("there is no row {name:?}")))?);
                }
                other => match RowName::ALL.into_iter().find(|row| row.as_str() == other) {
                    Some(row) => arguments.rows.push(row),
                    None => return Err(wrong(&format!("{other:?} is not understood"))),
                },
            }
        }
        if arguments.rows.is_empty() {
            arguments.rows = RowName::ALL.into_iter().filter(|row| row.is_usual()).collect();
        }
        Ok(arguments)
    }
}

fn file(option: &str, name: Option<&String>) -> Result<PathBuf, String> {
    name.map(PathBuf::from).ok_or_else(|| wrong(&format!("{option} needs a file")))
}

fn wrong(what: &str) -> String {
    format!("{what}\n{}", help())
}

/// The help.
pub fn help() -> String {
    let mut text = String::from(
        "bench [NAME | --row NAME]... [--json | --markdown] [--compare OLD.json] [--from NEW.json] [--quick] [--no-fail]\n\
         Measures each row of the table of targets and prints it beside its limit; exit code 1 if one is over it.\n\
         Each figure is the median of interleaved runs, with the lowest and the highest; ratios stand first.\n\
         --compare prints old, new and their ratio, figure by figure, after measuring; --from takes a result of --json\n\
         instead of measuring, for --compare and --markdown. --quick: one round of each, to see that the rows work.\n\
         Rows:\n",
    );
    for row in RowName::ALL {
        let when = if row.is_usual() { "" } else { " (only when named)" };
        text.push_str(&format!("  {:<12} {}{when}\n", row.as_str(), row.title()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_names_all_usual_rows_are_meant() {
        let usual = parse(&[]).unwrap();
        assert!(usual.rows.contains(&RowName::Loads));
        assert_eq!(parse(&["--row", "saturation"]).unwrap().rows, [RowName::Saturation]);
        assert_eq!(parse(&["strategies", "--json"]).unwrap().rows, [RowName::Strategies]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parse(&["--row"]).unwrap_err().contains("needs a name"));
        assert!(parse(&["--row", "x"]).unwrap_err().contains("\"x\""));
        assert!(parse(&["--compare"]).unwrap_err().contains("needs a file"));
        assert!(parse(&["-x"]).unwrap_err().contains("\"-x\""));
    }
}
