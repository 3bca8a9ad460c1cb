//! The live page: its files in the program, without anything from elsewhere and without a build step.
//! The script is a few modules that the browser loads one by one: app.js begins, the others say in their heads what they draw.

use super::http::{Answer, Body, ContentType, PageFile, Status};

const INDEX: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
const APP: &str = include_str!("app.js");
const DOM: &str = include_str!("dom.js");
const STREAM: &str = include_str!("stream.js");
const LIST: &str = include_str!("list.js");
const MATCH: &str = include_str!("match.js");
const CHARTS: &str = include_str!("charts.js");
const CHAT: &str = include_str!("chat.js");
const POOL: &str = include_str!("pool.js");

pub(super) fn answer(file: PageFile) -> Answer {
    let (content, text) = match file {
        PageFile::Index => (ContentType::Html, INDEX),
        PageFile::Style => (ContentType::Style, STYLE),
        PageFile::App => (ContentType::Script, APP),
        PageFile::Dom => (ContentType::Script, DOM),
        PageFile::Stream => (ContentType::Script, STREAM),
        PageFile::List => (ContentType::Script, LIST),
        PageFile::Match => (ContentType::Script, MATCH),
        PageFile::Charts => (ContentType::Script, CHARTS),
        PageFile::Chat => (ContentType::Script, CHAT),
        PageFile::Pool => (ContentType::Script, POOL),
    };
    Answer { status: Status::Ok, content, body: Body::Fixed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPTS: [&str; 8] = [APP, DOM, STREAM, LIST, MATCH, CHARTS, CHAT, POOL];

    #[test]
    fn nothing_comes_from_elsewhere_and_names_are_text() {
        for text in SCRIPTS.into_iter().chain([INDEX, STYLE]) {
            // The name of SVG's namespace is an identifier: nothing is fetched by it.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "no resource of another origin");
        }
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(
                !SCRIPTS.iter().any(|script| script.contains(markup)),
                "{markup}: what feeds send is text"
            );
        }
        for inline in ["<style", "style=", "onclick", "javascript:"] {
            assert!(!INDEX.contains(inline), "{inline}: the page's policy forbids it");
        }
    }
}
