//! Rules for Markdown: a page for each failure code, paths and links that lead somewhere.

use std::collections::BTreeSet;

use crate::repository::Repository;

/// Where the codes are listed.
const CODES: &str = "proto/src/failure.rs";

/// Where their pages are.
const PAGES: &str = "docs/codes/";

/// What each page answers, in this order.
const HEADINGS: [&str; 3] = ["Means", "Likely causes", "Do this"];

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Made by a build or by the user, so that documents name them and the repository does not have them.
const NOT_KEPT: [&str; 6] = [
    "target",
    "data",
    ".tools",
    ".env",
    ".env.local",
    "orchestrator.toml",
];

/// Endings that make a word a file.
const FILE_ENDINGS: [&str; 12] = [
    ".rs", ".toml", ".md", ".proto", ".json", ".yml", ".yaml", ".html", ".js", ".css", ".lock", ".txt",
];

/// Codes without a page, pages without a code, and pages that leave a question open.
pub(crate) fn code_pages(repository: &Repository) -> Vec<String> {
    let Some(list) = repository.text(CODES) else {
        return vec![format!("{CODES} is not there")];
    };
    let mut faults = Vec::new();
    let listed: BTreeSet<&str> = list.split(PAGES).skip(1).filter_map(code_at_start).collect();
    if listed.is_empty() {
        faults.push(format!("{CODES} names no page in {PAGES}"));
    }
    for code in &listed {
        if !list.contains(&format!("\"{code}\"")) {
            faults.push(format!("{CODES} has the page of {code} and no code of this name"));
        }
        if !repository.has(&format!("{PAGES}{code}.md")) {
            faults.push(format!("{code} has no page {PAGES}{code}.md"));
        }
    }
    for (path, text) in repository.texts_ending(".md") {
        let Some(code) = path.strip_prefix(PAGES).and_then(|name| name.strip_suffix(".md")) else {
            continue;
        };
        if !listed.contains(code) {
            faults.push(format!("{path} is the page of no code in {CODES}"));
        }
        let answered = sections(text);
        if answered != HEADINGS {
            faults.push(format!(
                "{path} answers {answered:?}, and not {HEADINGS:?}, each with a text"
            ));
        }
    }
    faults
}

/// `name` of a text that goes on with `name.md`.
fn code_at_start(text: &str) -> Option<&str> {
    let (code, _) = text.split_once(".md")?;
    let is_code = !code.is_empty()
        && code
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter));
    is_code.then_some(code)
}

/// The headings below the title that have a text.
fn sections(page: &str) -> Vec<&str> {
    let (mut answered, mut open) = (Vec::new(), None);
    for line in page.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("##") {
            open = Some(heading.trim_start_matches('#').trim());
        } else {
            answered.extend(open.take());
        }
    }
    answered
}

/// Paths in backticks that are not there.
pub(crate) fn architecture(repository: &Repository) -> Vec<String> {
    let Some(text) = repository.text(ARCHITECTURE) else {
        return vec![format!("{ARCHITECTURE} is not there")];
    };
    let mut faults = Vec::new();
    for (line, code) in prose(text)
        .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |code| (number, code)))
    {
        if let Some(path) = as_path(code, repository)
            && !exists(path, repository)
        {
            faults.push(format!("{ARCHITECTURE}:{line}: `{code}` is not there"));
        }
    }
    faults
}

/// The path in a piece of code, if it looks like one: `gateway/src/sse.rs`, `docs/codes/`, `deny.toml`,
/// `proto/src/lifecycle.rs::step`. Addresses of the HTTP interface, content types and patterns do not.
fn as_path<'a>(code: &'a str, repository: &Repository) -> Option<&'a str> {
    let path = code.split(':').next()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
    if path.is_empty() || path.starts_with('/') || path.starts_with('-') || !path.chars().all(plain) {
        return None;
    }
    let is_file = FILE_ENDINGS.iter().any(|ending| path.ends_with(ending));
    let is_inside = path
        .split_once('/')
        .is_some_and(|(first, _)| repository.has(first));
    (is_file || is_inside || path.ends_with('/')).then_some(path)
}

fn exists(path: &str, repository: &Repository) -> bool {
    let path = path.trim_end_matches('/');
    let first = path.split('/').next().unwrap_or(path);
    if NOT_KEPT.contains(&first) || repository.has(path) {
        return true;
    }
    // a bare name stands for all files of that name: "each service has a `settings.rs`"
    let end = format!("/{path}");
    !path.contains('/')
        && repository
            .paths()
            .chain(repository.directories())
            .any(|known| known.ends_with(&end))
}

/// Relative links that lead nowhere.
pub(crate) fn links(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.texts_ending(".md") {
        for (number, line) in prose(text) {
            let without_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("` `");
            for target in targets(&without_code) {
                if !resolve(path, target).is_none_or(|resolved| repository.has(&resolved)) {
                    faults.push(format!("{path}:{number}: {target} leads nowhere"));
                }
            }
        }
    }
    faults
}

/// Where the links and pictures of a line lead: `[…](target)`, `[…]: target`, `src="target"`.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for rest in line.split("](").skip(1) {
        let end = rest
            .find(|letter: char| letter == ')' || letter.is_whitespace())
            .unwrap_or(rest.len());
        found.push(rest[..end].trim_matches(['<', '>']));
    }
    if let Some((_, rest)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
        found.extend(rest.split_whitespace().next());
    }
    for attribute in ["src=\"", "href=\""] {
        found.extend(
            line.split(attribute)
                .skip(1)
                .filter_map(|rest| rest.split('"').next()),
        );
    }
    found
}

/// The path from the root, for a link that stays in the repository; one that leaves it by `..` leads to
/// a name that no file has.
fn resolve(document: &str, target: &str) -> Option<String> {
    let file = target.split(['#', '?']).next().unwrap_or(target);
    if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (mut parts, relative) = match file.strip_prefix('/') {
        Some(from_root) => (Vec::new(), from_root),
        None => (document.split('/').collect::<Vec<_>>(), file),
    };
    // the name of the document itself
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Some(target.to_owned());
                }
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The lines outside of code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        in_block ^= is_fence;
        (!in_block && !is_fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "Full = \"store_full\", \"../../docs/codes/store_full.md\";\n// docs/codes/<code>.md\n";
    const PAGE: &str = "# t\n\n## Means\n\na\n\n## Likely causes\n\n- b\n\n## Do this\n\nc\n";

    fn pages_of(list: &str, pages: &[(&str, &str)]) -> usize {
        let mut files = vec![(CODES, list)];
        files.extend(pages);
        code_pages(&Repository::of(&files)).len()
    }

    #[test]
    fn finds_codes_without_pages_and_pages_without_codes() {
        assert_eq!(pages_of(LIST, &[("docs/codes/store_full.md", PAGE)]), 0);
        assert_eq!(pages_of(LIST, &[]), 1);
        assert_eq!(
            pages_of(
                LIST,
                &[("docs/codes/store_full.md", PAGE), ("docs/codes/old.md", PAGE)]
            ),
            1
        );
        let misspelled = LIST.replace("\"store_full\"", "\"store_ful\"");
        assert_eq!(pages_of(&misspelled, &[("docs/codes/store_full.md", PAGE)]), 1);
        assert_eq!(pages_of("", &[]), 1);
        assert_eq!(code_pages(&Repository::of(&[])).len(), 1);
    }

    #[test]
    fn finds_pages_that_leave_a_question_open() {
        let without_answer = PAGE.replace("- b\n", "");
        let without_heading = PAGE.replace("## Do this", "");
        let in_another_order = "# t\n## Likely causes\na\n## Means\nb\n## Do this\nc\n";
        for page in [without_answer.as_str(), &without_heading, in_another_order, ""] {
            assert_eq!(pages_of(LIST, &[("docs/codes/store_full.md", page)]), 1, "{page}");
        }
    }

    fn architecture_of(text: &str) -> Vec<String> {
        architecture(&Repository::of(&[
            (ARCHITECTURE, text),
            ("gateway/src/sse.rs", ""),
            ("gateway/src/settings.rs", ""),
            ("docs/codes/store_full.md", ""),
        ]))
    }

    #[test]
    fn finds_paths_that_are_not_there() {
        for text in [
            "`gateway/src/gone.rs`",
            "`gone/src/sse.rs`",
            "`gone.rs`",
            "`docs/gone/`",
            "`gateway/gone`",
        ] {
            assert_eq!(architecture_of(text).len(), 1, "{text}");
        }
        assert_eq!(architecture(&Repository::of(&[])).len(), 1);
    }

    #[test]
    fn takes_only_paths_for_paths() {
        for text in [
            "`gateway/src/sse.rs`, `gateway/src/sse.rs::stream`, `./gateway/`, `docs/codes/`, `settings.rs`, `codes/`",
            "`/api/jobs`, `image/png`, `GET /api/jobs`, `docs/codes/<code>.md`, `*/src/*.rs`, `job.id`",
            "`orchestrator.toml`, `data/`, `target/release/orchestrator`, gateway/src/gone.rs",
            "```\ngateway/src/gone.rs\n`gone.rs`\n```",
        ] {
            assert_eq!(architecture_of(text), Vec::<String>::new(), "{text}");
        }
    }

    fn links_of(document: &str, text: &str) -> usize {
        links(&Repository::of(&[
            (document, text),
            ("docs/setup.md", ""),
            ("docs/pictures/a b.png", ""),
        ]))
        .len()
    }

    #[test]
    fn finds_links_that_lead_nowhere() {
        for text in [
            "[a](docs/gone.md)",
            "see [a](docs/setup.md) and [b](gone.md#part).",
            "![a](pictures/gone.png \"title\")",
            "[a]: docs/gone.md",
            "<img src=\"gone.png\">",
            "[a](../setup.md)",
        ] {
            assert_eq!(links_of("README.md", text), 1, "{text}");
        }
        assert_eq!(links_of("docs/other.md", "[a](docs/setup.md)"), 1);
    }

    #[test]
    fn follows_links_that_lead_somewhere() {
        for text in [
            "[a](docs/setup.md#part) [b](./docs/) [c](#part) [d](https://example.com/x.md) [e](mailto:a@b.c)",
            "`[a](gone.md)` and `x` [b](docs/setup.md)",
            "```\n[a](gone.md)\n```",
            "[a]: docs/setup.md",
        ] {
            assert_eq!(links_of("README.md", text), 0, "{text}");
        }
        assert_eq!(
            links_of(
                "docs/other.md",
                "[a](setup.md) [b](../README.md) [c](/docs/setup.md) [d](..)"
            ),
            1
        );
        assert_eq!(
            links_of("docs/README.md", "[a](setup.md) [c](/docs/setup.md) [d](..)"),
            0
        );
    }
}
