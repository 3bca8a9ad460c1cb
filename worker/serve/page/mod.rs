//! The live page: three files in the program, without anything from elsewhere.

use super::http::{Answer, Body, ContentType, PageFile, Status};

const INDEX: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("app.js");
const STYLE: &str = include_str!("style.css");

pub(super) fn answer(file: PageFile) -> Answer {
    let (content, text) = match file {
        PageFile::Index => (ContentType::Html, INDEX),
        PageFile::Script => (ContentType::Script, SCRIPT),
        PageFile::Style => (ContentType::Style, STYLE),
    };
    Answer { status: Status::Ok, content, body: Body::Fixed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere_and_names_are_text() {
        for text in [INDEX, SCRIPT, STYLE] {
            assert!(!text.contains("http://") && !text.contains("https://"), "no resource of another origin");
        }
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(markup), "{markup}: what feeds send is text");
        }
        for inline in ["<style", "style=", "onclick", "javascript:"] {
            assert!(!INDEX.contains(inline), "{inline}: the page's policy forbids it");
        }
    }
}
