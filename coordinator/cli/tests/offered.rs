//! What is offered to an operator: help, man pages, completions, examples; and what is refused, also as JSON.

use super::*;

#[test]
fn parser_help_man_page_and_completions_agree() {
    let help = touchline(&["--help"]).out;
    let man = touchline(&["man"]).out;
    let scripts: Vec<String> =
        ["bash", "zsh", "fish"].iter().map(|shell| touchline(&["completions", shell]).out).collect();
    let command = verbs::command();
    for script in &scripts {
        let offered = script.contains("coordinator-only") || script.contains("recorder");
        assert!(!offered, "a verb that is not built, or is no operator's, is not offered: {script}");
    }
    for verb in command.get_subcommands() {
        let shown = !verb.is_hide_set();
        let name = verb.get_name().replace('-', "\\-");
        assert_eq!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{} ", verb.get_name()))),
            shown,
            "{name}"
        );
        assert_eq!(man.contains(&format!("\\fB{name}\\fR")), shown, "{name}");
        if shown {
            assert!(scripts.iter().all(|script| script.contains(verb.get_name())), "{name}");
            let help = touchline(&[verb.get_name(), "--help"]);
            assert_eq!(help.code, Code::Done);
            let page = touchline(&["man", verb.get_name()]).out;
            assert!(page.contains(&format!("touchline-{}", verb.get_name())), "{page}");
            assert!(
                help.out.contains("\nExamples:\n  touchline ") && page.contains(".SH EXAMPLES"),
                "{name}"
            );
            let args = verb.get_arguments().chain(command.get_arguments());
            for arg in args.filter(|arg| !arg.is_hide_set()) {
                let spelled = match arg.get_long() {
                    Some(long) => format!("--{long}"),
                    None => arg.get_value_names().unwrap()[0].to_string(),
                };
                assert!(help.out.contains(&spelled), "{name} {spelled}: {}", help.out);
                assert!(page.contains(&spelled.replace('-', "\\-")), "{name} {spelled}: {page}");
            }
        }
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn every_example_is_what_the_parser_takes() {
    let command = verbs::command();
    let inner = command.get_subcommands().flat_map(clap::Command::get_subcommands);
    for verb in command.get_subcommands().chain(inner).map(clap::Command::get_name) {
        for (example, _) in examples::of(verb) {
            let args = ["touchline"].into_iter().chain(example.split(' '));
            let parsed = verbs::offered().try_get_matches_from(args);
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            assert!(example.split(' ').any(|word| word == verb), "{example} is no example of {verb}");
        }
    }
}

#[test]
fn man_pages_are_written_as_packagers_expect_them() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let ran = touchline(&["man", "--dir", dir.to_str().unwrap()]);
    assert_eq!(ran.code, Code::Done, "{}", ran.err);
    let mut written: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let built = CONTRACT.iter().filter(|(_, built)| *built == Built::Yes);
    let mut expected: Vec<String> = built.map(|(verb, _)| format!("touchline-{verb}.1")).collect();
    expected.push("touchline.1".to_owned());
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
    let of_one = std::fs::read_to_string(dir.join("touchline-events.1")).unwrap();
    assert_eq!(of_one, touchline(&["man", "events"]).out);
    for wrong in [&["man", "recorder"][..], &["man", "reload"], &["man", "events", "--dir", "x"]] {
        assert_eq!(touchline(wrong).code, Code::Usage, "{wrong:?}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = touchline(&["man", "--dir", file.join("below").to_str().unwrap()]);
    assert!(ran.code == Code::Failed && ran.err.contains("cannot write"), "{}", ran.err);
}

#[test]
fn with_json_everything_is_json_errors_too() {
    for (args, code, said) in [
        (&["statsu", "--json"][..], Code::Usage, "'status'"),
        (&["--json", "match"], Code::Usage, "the following required arguments were not provided: <ID>"),
        (&["--json"], Code::Usage, "requires a subcommand"),
        (&["matches", "--state", "liv", "--json"], Code::Usage, "possible values: waiting"),
        (&["reload", "--json"], Code::Failed, "`reload` is not in this build"),
        (&["simulate", "--protocol", "zap", "--json"], Code::Usage, "expected ws or wss"),
        (&["status", "--json", "--socket", "/nowhere"], Code::NotRunning, "cannot connect to /nowhere"),
        (&["run", "--json", "--config", "/nowhere.toml"], Code::Usage, "/nowhere.toml"),
        (&["check", "--json", "--config", "/nowhere.toml"], Code::Usage, "/nowhere.toml"),
        (&["dissect", "--json", "/nowhere.pcap"], Code::Failed, "/nowhere.pcap"),
    ] {
        let ran = touchline(args);
        assert_eq!(
            (ran.code, ran.err.as_str(), ran.out.lines().count()),
            (code, "", 1),
            "{args:?}: {}",
            ran.out
        );
        let object: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&object["ok"], &object["code"]), (&json!(false), &json!(u8::from(code))), "{args:?}");
        let error = object["error"].as_str().unwrap();
        assert!(error.contains(said) && !error.contains("Usage:"), "{args:?}: {error}");
    }
    for args in [&["--help"][..], &["--version"], &["events", "--help"], &["man"], &["completions", "zsh"]] {
        let ran = touchline(&[args, &["--json"]].concat());
        let object: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(ran.code == Code::Done && object["text"].is_string(), "{args:?}: {}", ran.out);
    }
    // Behind `--` it is no option.
    let ran = touchline(&["match", "--socket", "/nowhere", "--", "--json"]);
    assert!(ran.code == Code::NotRunning && ran.out.is_empty(), "{}", ran.out);
}

#[test]
fn no_operator_starts_a_child_and_nothing_of_the_kind_is_suggested() {
    for word in ["worker", "recorder", "recoder", "relod"] {
        let ran = touchline(&[word]);
        assert_eq!((ran.code, ran.asked.as_str()), (Code::Usage, ""), "{word}");
        let tip = ran.err.split_once("tip: ").map_or("", |(_, tip)| tip);
        assert!(!tip.contains("'reload'") && !tip.contains("'recorder'"), "{word}: {tip}");
    }
    let asked = Asked::default();
    let args = ["touchline:", "worker", "3", "inplay"].map(OsString::from);
    let code = main_with(args, &asked, &mut Vec::new(), &mut Vec::new());
    assert_eq!((code, asked.take()), (Code::Done, "Worker(SlotId(3)) 0".to_owned()));
}

#[test]
fn what_is_not_built_says_so_however_it_is_called() {
    for (verb, _) in CONTRACT.iter().filter(|(_, built)| *built == Built::No) {
        let ran = touchline(&[verb]);
        assert_eq!((ran.code, ran.out.as_str()), (Code::Failed, ""), "{verb}");
        assert_eq!(ran.err, format!("touchline: `{verb}` is not in this build\n"));
    }
    for args in [&["upgrade", "--coordinator-only", "--dry-run"][..], &["simulate", "--fault", "drop"]] {
        let ran = touchline(args);
        assert_eq!(ran.code, Code::Failed, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("not in this build") && ran.asked.is_empty(), "{args:?}: {}", ran.err);
    }
}
