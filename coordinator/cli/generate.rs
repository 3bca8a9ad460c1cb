//! The man page and the completions, from the same table as the parser.

use super::output::{Failure, Outcome, Printer};
use super::{Code, verbs};
use clap::{Arg, Command};
use clap_complete::Shell;
use std::fmt::Write as _;

/// The script that completes verbs, options and values in `shell`.
pub(super) fn completions(shell: &str, out: &mut Printer<'_>) -> Outcome {
    let shell: Shell =
        shell.parse().map_err(|_| Failure::new(Code::Usage, format!("no completions for `{shell}`")))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut verbs::command(), "touchline", &mut script);
    out.bytes(&script)?;
    Ok(Code::Done)
}

/// The man page: clap's parts of the whole, then a part per verb, files and codes.
pub(super) fn man(out: &mut Printer<'_>) -> Outcome {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(verbs::command());
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
    for verb in verbs::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        verb_part(&mut page, verb, verb.get_name());
        for inner in verb.get_subcommands() {
            verb_part(&mut page, inner, &format!("{} {}", verb.get_name(), inner.get_name()));
        }
    }
    page
}

fn verb_part(page: &mut String, verb: &Command, name: &str) {
    let usage: String = verb.get_arguments().map(|arg| format!(" {}", usage(arg))).collect();
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a `String` cannot fail.
    let _ = writeln!(page, ".TP\n\\fB{}\\fR{}\n{}.", roff(name), roff(&usage), roff(&about));
    for arg in verb.get_arguments() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let default = arg.get_default_values().first().map(|default| format!(" [{}]", default.display()));
        let default = roff(&default.unwrap_or_default());
        let _ = writeln!(page, ".br\n\\fB{}\\fR  {}{default}", roff(&spelled(arg)), roff(&help));
    }
}

fn spelled(arg: &Arg) -> String {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    let value = arg.get_value_names().and_then(|names| names.first());
    let value = value.map(|name| format!("{name}{}", if many { "..." } else { "" }));
    long.into_iter().chain(value).collect::<Vec<_>>().join(" ")
}

fn usage(arg: &Arg) -> String {
    if arg.is_positional() { spelled(arg) } else { format!("[{}]", spelled(arg)) }
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
