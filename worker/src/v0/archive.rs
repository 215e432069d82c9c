//! The files of a site: under names that do no harm, and packed into one archive. Pure.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
};

use bytes::Bytes;
use connectors::v0::File;
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

/// The longest name of a file, in characters.
const MAX_NAME: usize = 200;

/// The files by names that stay within a directory, whatever v0 called them, in the order of the names.
pub(super) fn named(files: Vec<File>) -> BTreeMap<String, Bytes> {
    let mut named = BTreeMap::new();
    for file in files {
        let name = harmless(&file.path);
        let mut free = name.clone();
        let mut number = 2;
        while named.contains_key(&free) {
            free = format!("{name}.{number}");
            number += 1;
        }
        named.insert(free, file.content);
    }
    named
}

/// A relative path without surprises.
fn harmless(path: &str) -> String {
    let cleaned: String = path
        .chars()
        .map(|letter| match letter {
            '\\' => '/',
            ':' => '_',
            letter if letter.is_control() => '_',
            letter => letter,
        })
        .take(MAX_NAME)
        .collect();
    let parts: Vec<&str> = cleaned
        .split('/')
        .filter(|part| !part.is_empty() && !part.chars().all(|letter| letter == '.'))
        .collect();
    if parts.is_empty() {
        "file".to_owned()
    } else {
        parts.join("/")
    }
}

/// All files in one archive; the same files always give the same bytes.
pub(super) fn packed(files: &BTreeMap<String, Bytes>) -> Result<Bytes, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(name.as_str(), options)?;
        archive.write_all(content)?;
    }
    Ok(archive.finish()?.into_inner().into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn file(path: &str, content: &'static str) -> File {
        File {
            path: path.to_owned(),
            content: content.into(),
        }
    }

    #[test]
    fn names_stay_within_a_directory_and_apart() {
        for (path, name) in [
            ("app/page.tsx", "app/page.tsx"),
            ("/etc/passwd", "etc/passwd"),
            ("../../x", "x"),
            ("a/./b//c", "a/b/c"),
            ("C:\\Windows\\x", "C_/Windows/x"),
            ("a\nb", "a_b"),
            ("..", "file"),
            ("", "file"),
        ] {
            assert_eq!(harmless(path), name, "{path:?}");
        }
        let files = vec![file("b", "1"), file("/a", "2"), file("a", "3"), file("../a", "4")];
        let named: Vec<(String, Bytes)> = named(files).into_iter().collect();
        let expected = [("a", "2"), ("a.2", "3"), ("a.3", "4"), ("b", "1")];
        let expected = expected.map(|(name, content)| (name.to_owned(), Bytes::from(content)));
        assert_eq!(named, expected);
    }

    #[test]
    fn an_archive_has_all_files_and_is_always_the_same() {
        let files = || named(vec![file("b.txt", "two"), file("app/größe.txt", "one")]);
        let archive = packed(&files()).expect("an archive");
        assert_eq!(archive, packed(&files()).expect("an archive"));
        let mut read = zip::ZipArchive::new(Cursor::new(archive)).expect("an archive");
        let mut found = Vec::new();
        for index in 0..read.len() {
            let mut entry = read.by_index(index).expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            let name = entry.name().expect("a name").into_owned();
            found.push((name, text));
        }
        let expected = [("app/größe.txt", "one"), ("b.txt", "two")];
        assert_eq!(
            found,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }
}
