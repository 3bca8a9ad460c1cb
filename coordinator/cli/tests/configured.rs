//! What the verbs that read the configuration file make of it, and refuse.

use super::*;

#[test]
fn run_and_check_read_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("touchline.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "[daemon]\nrun_dir = \"/r\"\nstate_dir = \"/s\"\n[[feed]]\n").unwrap();
    assert_eq!(touchline(&["run", "--config", file]).asked, "run 1 /r/control.sock");
    assert_eq!(touchline(&["run", "--config", file, "--socket", "s"]).asked, "run 1 s");
    let check = touchline(&["check", "--config", file]);
    assert_eq!((check.code, check.out), (Code::Done, format!("{file} is valid: 1 feed inplay\n")));
    let print = touchline(&["check", "--print", "--config", file]).out;
    assert!(
        Config::parse(&print, "printed").is_ok() && print.contains("publish_deadline = \"20ms\""),
        "{print}"
    );

    std::fs::write(&path, "[pool]\nmax_workers = 0\n[sandbox]\nuser = \"u\"\n").unwrap();
    let run = touchline(&["run", "--config", file]);
    assert_eq!((run.code, run.asked.as_str(), run.err.lines().count()), (Code::Usage, "", 1));
    assert!(run.err.starts_with(&format!("touchline: {file}:2:15: `max_workers` is 0")), "{}", run.err);
    let check = touchline(&["check", "--config", file]);
    assert_eq!(check.code, Code::Usage);
    assert!(
        check.err.contains("^ expected at least 1") && check.err.contains("not in this build"),
        "{}",
        check.err
    );
    let json: Value = serde_json::from_str(&touchline(&["check", "--json", "--config", file]).out).unwrap();
    assert_eq!(json["mistakes"][1]["line"], 4);
    assert_eq!(json["mistakes"][1]["setting"], "sandbox.user");
}

#[test]
fn what_cannot_work_is_refused_by_check_and_by_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("bad.toml"), "[event]\nscroe = \"SS\"\n").unwrap();
    std::fs::write(file("broken.toml"), "[event").unwrap();
    std::fs::write(file("good.toml"), "[event]\nscore = \"ZZ\"\n").unwrap();
    let dirs = format!("[daemon]\nrun_dir = {:?}\nstate_dir = {:?}\n", file("r"), file("s"));
    let tried = |verb: &str, text: &str| {
        std::fs::write(file("t.toml"), format!("{dirs}{text}\n")).unwrap();
        touchline(&[verb, "--config", &file("t.toml")])
    };
    let mapping = |name: &str| format!("[[feed]]\nmapping = {:?}", file(name));
    let target = |name: &str| format!("[log]\ntarget = {:?}", file(name));
    let no_variable = "[[feed]]\nusername = \"u\"\npassword_env = \"TOUCHLINE_NO_SUCH_VARIABLE\"";
    let no_authority = format!("[[feed]]\nurl = \"dpts://h:1\"\nca_file = {:?}", file("ca.pem"));
    for (text, said) in [
        (mapping("bad.toml"), "bad.toml: mapping, at line 2, column 1 (event.scroe)"),
        (mapping("broken.toml"), "broken.toml: mapping, at line 1"),
        (mapping("none.toml"), "none.toml: cannot read it"),
        (no_variable.to_owned(), "password_env: "),
        (no_authority, "ca.pem: "),
        (target("none/log"), "the folder of the log"),
        (target(""), "is a folder"),
    ] {
        let checked = tried("check", &text);
        assert_eq!(checked.code, Code::Usage, "{text}: {}", checked.out);
        assert!(checked.err.contains(said) && checked.err.contains("t.toml:"), "{text}: {}", checked.err);
        let ran = tried("run", &text);
        assert_eq!((ran.code, ran.asked.as_str(), ran.err.lines().count()), (Code::Usage, "", 1), "{text}");
        assert!(ran.err.contains(said), "{text}: {}", ran.err);
    }
    for text in [mapping("good.toml"), target("s/log"), target("log")] {
        let checked = tried("check", &text);
        assert_eq!(checked.code, Code::Done, "{text}: {}", checked.err);
    }
}

#[test]
fn a_replay_is_of_a_match_or_of_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("touchline.toml");
    let state = Value::from(folder.path().to_str().unwrap());
    std::fs::write(&config, format!("[daemon]\nrun_dir = {state}\nstate_dir = {state}\n")).unwrap();
    let verb = ["replay", "--config", config.to_str().unwrap()];
    let run = |args: &[&str]| touchline(&[&verb[..], args].concat());
    for (args, code, error) in [
        (&[][..], Code::Usage, "expected either --match ID or --raw FILE"),
        (&["--match", "7", "--at", "later"][..], Code::Usage, "--at: expected a minute such as 45"),
        (&["--match", "7", "--speed", "0"][..], Code::Usage, "expected more than 0"),
        (&["--match", "7", "--at", "45", "--speed", "2"][..], Code::Usage, "cannot be used with"),
        (&["--match", "7"][..], Code::Failed, "the store "),
        (&["--raw", "/nowhere.raw"][..], Code::Failed, "/nowhere.raw: "),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(error) && ran.out.is_empty(), "{args:?}: {}", ran.err);
    }
}
