//! What is wrong with a configuration, shown as a compiler would: the line, a mark under the place, what was expected.
//!
//! Invariant: at least one mistake; they stand in the order of the file. No secret is shown (`mask`).

use super::mask::mask;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// At most so many mistakes are reported of one file.
pub(super) const MAX_MISTAKES: usize = 50;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, `feed[0].url`; empty if it has no path (syntax).
    pub setting: String,
    pub message: String,
    /// What was expected, in one line; empty if the message has it.
    pub expected: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    pub(super) span: Range<usize>,
    pub(super) related: Option<(Range<usize>, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    source: String,
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    pub(super) fn new(file: &str, source: &str, mut mistakes: Vec<Mistake>) -> Self {
        for mistake in &mut mistakes {
            mistake.span = inside(source, &mistake.span);
            (mistake.line, mistake.column) = line_and_column(source, mistake.span.start);
        }
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes.truncate(MAX_MISTAKES);
        Self { file: file.to_owned(), source: mask(source).into_owned(), mistakes }
    }

    /// A mistake of the file as a whole: it cannot be read, or a folder is missing.
    pub fn of_file(path: &Path, message: String) -> Self {
        let mistake = Mistake { message, line: 1, column: 1, ..Mistake::default() };
        Self { file: path.display().to_string(), source: String::new(), mistakes: vec![mistake] }
    }

    /// The mistakes, in the order of the file.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    /// All of it in one line, for a log: the first mistake and how many more there are.
    pub fn one_line(&self) -> String {
        let Some(first) = self.mistakes.first() else { return self.file.clone() };
        let Mistake { line, column, message, .. } = first;
        let place = if self.source.is_empty() {
            format!("{}: {message}", self.file)
        } else {
            format!("{}:{line}:{column}: {message}", self.file)
        };
        let expected =
            if first.expected.is_empty() { String::new() } else { format!("; {}", first.expected) };
        let more = match self.mistakes.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more: see `touchline check`)", n - 1),
        };
        format!("{place}{expected}{more}").replace(|c: char| c.is_control(), " ")
    }

    fn show(&self, mistake: &Mistake) -> String {
        let title = Level::ERROR.primary_title(mistake.message.as_str());
        if self.source.is_empty() {
            return Renderer::plain()
                .render(&[title.element(annotate_snippets::Origin::path(self.file.as_str()))]);
        }
        let mut snippet = Snippet::source(self.source.as_str())
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(mistake.span.clone()).label(mistake.expected.as_str()));
        if let Some((span, label)) = &mistake.related {
            let span = inside(&self.source, span);
            snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.as_str()));
        }
        let group: Group<'_> = title.element(snippet);
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "{}\n", self.show(mistake))?;
        }
        match self.mistakes.len() {
            1 => write!(f, "1 mistake in {}", self.file),
            n => write!(f, "{n} mistakes in {}", self.file),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// The range, moved to character boundaries within the source.
fn inside(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end.max(start));
    start..end
}

fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}
