//! The man page and the completions, from the same table as the parser.

use super::output::{Failure, Outcome, Printer};
use super::verbs::{Arg, Built, Kind, VERBS, Verb};
use super::{Code, parser};
use clap_complete::Shell;
use std::fmt::Write as _;

/// The script that completes verbs, options and values in `shell`.
pub(super) fn completions(shell: &str, out: &mut Printer<'_>) -> Outcome {
    let shell: Shell =
        shell.parse().map_err(|_| Failure::new(Code::Usage, format!("no completions for `{shell}`")))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut parser::command(), "touchline", &mut script);
    out.bytes(&script)?;
    Ok(Code::Done)
}

/// The man page: clap's parts of the whole, then a part per verb, files and codes.
pub(super) fn man(out: &mut Printer<'_>) -> Outcome {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(parser::command());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    out.bytes(&page)?;
    out.bytes(verbs_section().as_bytes())?;
    out.bytes(ENDING.as_bytes())?;
    Ok(Code::Done)
}

fn verbs_section() -> String {
    let mut page = String::from(".SH VERBS\n");
    for verb in VERBS.iter().filter(|verb| verb.built != Built::Hidden) {
        verb_part(&mut page, verb, "");
        for inner in verb.verbs {
            verb_part(&mut page, inner, verb.name);
        }
    }
    page
}

fn verb_part(page: &mut String, verb: &Verb, outer: &str) {
    let name = if outer.is_empty() { verb.name.to_owned() } else { format!("{outer} {}", verb.name) };
    let usage: String = verb.args.iter().map(|arg| format!(" {}", usage(arg))).collect();
    let unbuilt = if verb.built == Built::No { " (not in this build)" } else { "" };
    // Writing to a `String` cannot fail.
    let _ = writeln!(page, ".TP\n\\fB{}\\fR{}\n{}{unbuilt}.", roff(&name), roff(&usage), roff(verb.summary));
    for arg in verb.args {
        let default = if arg.default.is_empty() { String::new() } else { format!(" [{}]", arg.default) };
        let _ = writeln!(page, ".br\n\\fB{}\\fR  {}{}", roff(&spelled(arg)), roff(arg.help), roff(&default));
    }
}

fn spelled(arg: &Arg) -> String {
    match arg.kind {
        Kind::Switch => format!("--{}", arg.name),
        Kind::Option => format!("--{} {}", arg.name, arg.value),
        Kind::Options => format!("--{} {}...", arg.name, arg.value),
        Kind::Required => arg.value.to_owned(),
        Kind::Places => format!("{}...", arg.value),
    }
}

fn usage(arg: &Arg) -> String {
    match arg.kind {
        Kind::Switch | Kind::Option | Kind::Options => format!("[{}]", spelled(arg)),
        Kind::Required | Kind::Places => spelled(arg),
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
To the daemon: TERM and INT drain and stop, a second one stops now; HUP applies the changed configuration; USR1 opens
the log file anew; USR2 upgrades; QUIT writes the status to the log.
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
