//! The man pages and the completions, from the same table as the parser.
//!
//! Invariant: only what this build has is offered. `touchline.1` is the overview, `touchline-VERB.1` a verb's page, as packagers expect.

use super::output::{Failure, Outcome, Printer};
use super::{Code, OutputFormat, examples, show, verbs};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The script that completes verbs, options and values in `shell`.
pub(super) fn completions(shell: &str, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let shell: Shell =
        shell.parse().map_err(|_| Failure::new(Code::Usage, format!("no completions for `{shell}`")))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut verbs::offered(), "touchline", &mut script);
    out.page(&String::from_utf8_lossy(&script), format)?;
    Ok(Code::Done)
}

/// The man page of a verb, else the overview.
pub(super) fn page(verb: Option<&str>, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let program = program();
    let page = match verb {
        None => overview(&program)?,
        Some(verb) => {
            let unknown = || Failure::new(Code::Usage, format!("no man page of `{verb}`"));
            of_verb(program.find_subcommand(verb).ok_or_else(unknown)?)?
        }
    };
    out.page(&page, format)?;
    Ok(Code::Done)
}

/// Writes every page into `folder`, which is made if it is not there.
pub(super) fn pages(folder: &Path, format: OutputFormat, out: &mut Printer<'_>) -> Outcome {
    let program = program();
    let mut pages = vec![("touchline.1".to_owned(), overview(&program)?)];
    for verb in program.get_subcommands() {
        pages.push((format!("touchline-{}.1", verb.get_name()), of_verb(verb)?));
    }
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(Code::Failed, format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, page) in &pages {
        let path = folder.join(name);
        fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let written = format!("{} man pages written to {}", names.len(), folder.display());
    show::print(&json!({"dir": folder, "pages": names}), format, &written, out)?;
    Ok(Code::Done)
}

/// The table with what every verb has in common passed on to each.
fn program() -> Command {
    let mut program = verbs::offered().disable_help_subcommand(true);
    program.build();
    program
}

/// The page that lists the verbs, and says what is common to all.
fn overview(program: &Command) -> Result<String, Failure> {
    let mut page = head(program)?;
    page.push_str(".SH VERBS\nEach has a page of its own, such as \\fBtouchline\\-run\\fR(1).\n");
    inner_verbs(&mut page, program);
    page.push_str(ENDING);
    Ok(page)
}

fn of_verb(verb: &Command) -> Result<String, Failure> {
    let mut page = head(verb)?;
    if verb.has_subcommands() {
        page.push_str(".SH VERBS\n");
        inner_verbs(&mut page, verb);
    }
    let examples = examples::of(verb.get_name());
    if !examples.is_empty() {
        page.push_str(".SH EXAMPLES\n");
    }
    for (command, what) in examples {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, ".TP\n\\fBtouchline {}\\fR\n{}", roff(command), roff(what));
    }
    page.push_str(".SH SEE ALSO\n\\fBtouchline\\fR(1), which has the exit status and the files.\n");
    Ok(page)
}

/// Title, name, synopsis, description and options.
fn head(command: &Command) -> Result<String, Failure> {
    let man = Man::new(command.clone())
        .source(concat!("touchline ", env!("CARGO_PKG_VERSION")))
        .manual("touchline manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn inner_verbs(page: &mut String, command: &Command) {
    // What clap adds to verbs with verbs of their own is none of ours.
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let places: String = verb
            .get_positionals()
            .flat_map(|arg| arg.get_value_names().unwrap_or_default())
            .map(|name| format!(" \\fI{}\\fR", roff(name)))
            .collect();
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, ".TP\n\\fB{}\\fR{places}\n{}.", roff(verb.get_name()), roff(&about));
    }
}

/// Text as roff takes it: no escape, no hyphenated option, no request at the beginning of a line.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const ENDING: &str = r#".SH EXIT STATUS
.TP
\fB0\fR
Done. A closed pipe on standard output is success.
.TP
\fB1\fR
Failed, or not in this build.
.TP
\fB2\fR
Wrong usage or configuration.
.TP
\fB3\fR
The daemon is not running; run: another instance holds the lock.
.TP
\fB4\fR
Timed out or partial; what is missing is named.
.TP
\fB5\fR
No permission.
.SH SIGNALS
To the daemon: TERM and INT drain and stop, a second one stops at once; USR1 reopens the log file; QUIT writes the status
to the log. HUP and USR2 are logged and ignored.
.SH FILES
.TP
\fBtouchline.toml\fR, \fB/etc/touchline/touchline.toml\fR
The configuration, in this order. \fBtouchline check \-\-print\fR shows all of it.
.TP
\fB/run/touchline/control.sock\fR
The control socket of root's daemon; others have theirs in \fB$XDG_RUNTIME_DIR/touchline\fR.
.TP
\fB/var/lib/touchline\fR
The saved state and the store of root's daemon; others have theirs in \fB$XDG_STATE_HOME/touchline\fR.
"#;
