//! Secrets: they reach the children, and nothing that is shown or printed.

use super::*;

#[test]
fn a_sinks_password_reaches_the_children_and_nothing_else() {
    let mut config = Config::default();
    config.streams.redis_options.password = Secret::new("hunter2".into());
    for shown in [config.to_toml(), format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child.streams.redis_options.password.expose(), "hunter2");
}

#[test]
fn a_header_that_sounds_like_a_secret_goes_to_children_and_nowhere_else() {
    let text = "[[feed]]\nurl = \"ws://h:1\"\nheaders = { Cookie = \"a=hunter2\", X-Api-Key = \"hunter2\", \
                authorization = \"Basic hunter2\", Origin = \"https://shown\" }\n";
    let config = Config::parse(text, FILE).unwrap();
    let printed = config.to_toml();
    assert!(printed.contains("Cookie = \"<redacted>\"") && printed.contains("https://shown"), "{printed}");
    assert!(!printed.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child, config);
    assert_eq!(child.feed[0].headers.expose()["Cookie"], "a=hunter2");
}

#[test]
fn no_report_shows_a_secret() {
    for text in [
        "[[feed]]\npassword = \"hunter2\"\n",
        "[[feed]]\nheaders = { Cookie = \"hunter2\", Authorization = \"hunter2\" }\n",
        "[[feed]]\n[feed.headers]\nX-Api-Key = \"hunter2\"\nnonsense = 3\n",
        "[[feed]]\nurl = \"dpt://bob:hunter2@h:1\"\n",
        "[[feed]]\nmax_connections = 0\npasword = 1 # near\nmy_secret = 'hunter2'\n",
        "[streams]\nredis = \"redis://:hunter2@h:1/0\"\n",
        "feed = [{ name = \"a\", password = \"hunter2\", max_connections = 0 }]\n",
        "[[feed]]\n\"password\" = \"\"\"\nhunter2 = ]\n\"\"\"\n",
        "[[feed]]\npassword = \"hunter2\n",
        "[[feed]]\npassword = '''\nhunter2\n",
    ] {
        let errors = errors(text);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        assert!(!errors.one_line().contains("hunter2"), "{}", errors.one_line());
        assert!(!format!("{errors:?}").contains("hunter2"));
    }
    let found = errors("[[feed]]\npassword = \"hunter2\"\n");
    assert_eq!(found.mistakes()[0].expected, "expected `password_env` or `password_file`");
}

#[test]
fn a_secret_reaches_the_children_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\nrest\n").unwrap();
    let text = format!("[[feed]]\nusername = \"u\"\npassword_file = {:?}\n", file.to_str().unwrap());
    let mut config = Config::parse(&text, FILE).unwrap();
    config.feed[0].password = config.feed[0].read_password().unwrap();
    assert_eq!(config.feed[0].password.expose(), "hunter2");
    for shown in [config.to_toml(), format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let child = Config::from_child_json(&config.to_child_json().unwrap()).unwrap();
    assert_eq!(child, config);
    assert_eq!(child.feed[0].password.expose(), "hunter2");

    config.feed[0].password_file = folder.path().join("none").display().to_string();
    let missing = config.feed[0].read_password().unwrap_err();
    assert!(missing.starts_with("password_file"), "{missing:?}");
    let wrong = Config::from_child_json("[{},[1],[]]").unwrap_err();
    assert!(wrong.to_string().contains("not of this build"));
}
