//! What may be shown of what a server said: short, plain, without the key and without signatures. Pure.

use crate::key::Key;

/// The most characters that are shown.
const LONGEST: usize = 2000;
/// The most characters of something that was not understood.
const EXCERPT: usize = 200;
/// A shorter key is no secret (a simulator's, perhaps), and would be found in every other word.
const SHORTEST_KEY: usize = 8;

/// A text of the server as it may be shown: no key, no query of an address, no control characters, at most
/// 2,000 characters.
pub(super) fn shown(text: &str, key: &Key) -> String {
    shortened(&on_one_line(&safe(text, key)), LONGEST)
}

/// The beginning of an answer that was not understood.
pub(super) fn excerpt(text: &str, key: &Key) -> String {
    shortened(&on_one_line(&safe(text, key)), EXCERPT)
}

/// The words of an answer that has no structure; of a page of HTML, its title and its text.
pub(super) fn plain(text: &str, key: &Key) -> String {
    let start = text.trim_start();
    if start.starts_with('<') {
        shown(&without_tags(start), key)
    } else {
        shown(text, key)
    }
}

fn safe(text: &str, key: &Key) -> String {
    let key = key.reveal().trim();
    let text = if key.len() < SHORTEST_KEY {
        text.to_owned()
    } else {
        text.replace(key, "***")
    };
    without_queries(&text)
}

/// Leaves the queries out of all addresses, also of those with slashes escaped as JSON may have them: a signed
/// address is a key to what it names.
fn without_queries(text: &str) -> String {
    let ends = |letter: char| letter.is_whitespace() || "\"'<>{}`".contains(letter);
    let words = text.split_inclusive(ends).map(|word| {
        let end = word
            .char_indices()
            .next_back()
            .filter(|&(_, letter)| ends(letter));
        let (word, end) = word.split_at(end.map_or(word.len(), |(place, _)| place));
        let is_address = word.contains("://") || word.contains(":\\/\\/");
        match word.find(['?', '#']).filter(|_| is_address) {
            Some(query) => format!("{}?…{end}", &word[..query]),
            None => format!("{word}{end}"),
        }
    });
    words.collect()
}

fn on_one_line(text: &str) -> String {
    let plain = text.replace(|letter: char| letter.is_control() || letter == '\u{feff}', " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => text.chars().take(longest - 1).chain(['…']).collect(),
    }
}

/// The text of a page of HTML: its title first, without scripts, styles and tags.
fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        text.push(' ');
        let tag = &rest[open + 1..];
        let name: String = tag
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        rest = if matches!(name.as_str(), "script" | "style") {
            after_element(tag, &name)
        } else if tag.starts_with("!--") {
            tag.split_once("-->").map_or("", |(_, after)| after)
        } else {
            tag.split_once('>').map_or("", |(_, after)| after)
        };
    }
    text.push_str(rest);
    let entities = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(text, |text, (entity, letter)| text.replace(entity, letter))
}

/// What follows the end tag of an element.
fn after_element<'a>(tag: &'a str, name: &str) -> &'a str {
    // only ASCII letters change, so that the places in both are the same
    let lower = tag.to_ascii_lowercase();
    let end = lower.find(&format!("</{name}"));
    let after = end.and_then(|end| tag[end..].split_once('>'));
    after.map_or("", |(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_the_key_are_not_shown() {
        let key = Key::new("bfl_secret");
        assert_eq!(
            shown(
                "see \"https://d.bfl.ai/a.png?sig=abc&se=1\", key bfl_secret",
                &key
            ),
            "see \"https://d.bfl.ai/a.png?…\", key ***"
        );
        assert_eq!(
            shown("https://a/b?x https://c?y#z", &key),
            "https://a/b?… https://c?…"
        );
        assert_eq!(
            shown(r#"{"a":"https:\/\/d\/x?sig=1"}"#, &key),
            r#"{"a":"https:\/\/d\/x?…"}"#
        );
        assert_eq!(shown("why? because", &key), "why? because");
        assert_eq!(shown("all", &Key::new("")), "all");
    }

    #[test]
    fn a_page_comes_down_to_its_text() {
        let page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p { a: b }</style>\n\
                    <script>if (1 < 2) {}</script></head><body><!-- <p>no</p> --><h1>Sorry &amp; bye</h1></body>";
        assert_eq!(plain(page, &Key::new("")), "502 Bad Gateway Sorry & bye");
        assert_eq!(plain("<unfinished", &Key::new("")), "");
        assert_eq!(plain("a < b", &Key::new("")), "a < b");
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let text = "ä".repeat(3000);
        let short = shown(&text, &Key::new(""));
        assert_eq!(short.chars().count(), LONGEST);
        assert!(short.ends_with("ä…"));
        assert_eq!(shown("a\r\n\tb\u{0}c\u{feff}", &Key::new("")), "a b c");
    }
}
