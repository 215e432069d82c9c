//! Which part of a file is asked for, and whether the caller has it already. Pure.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it; also where the header is absent, not understood, or asks for several parts.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that do not exist.
    Outside,
}

/// What a `Range` header asks for, of a file of `size` bytes.
pub(crate) fn select(header: Option<&str>, size: u64) -> Selection {
    let parts = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = parts.and_then(|part| part.split_once('-')) else {
        return Selection::Whole;
    };
    let number = |text: &str| -> Option<Option<u64>> {
        match text.trim() {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Some(digits.parse().unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) if last.is_none_or(|last| first <= last) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            if first < end {
                Selection::Part(first..end)
            } else {
                Selection::Outside
            }
        }
        (Some(None), Some(Some(count))) => {
            if count == 0 || size == 0 {
                Selection::Outside
            } else {
                Selection::Part(size.saturating_sub(count)..size)
            }
        }
        _ => Selection::Whole,
    }
}

/// Whether an `If-None-Match` header names this entity tag (with its quotes).
pub(crate) fn matches(header: Option<&str>, tag: &str) -> bool {
    header.is_some_and(|header| {
        header
            .split(',')
            .map(str::trim)
            .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_what_is_not_understood_is_not_an_error() {
        let cases = [
            ("bytes=0-3", Selection::Part(0..4)),
            ("bytes=4-", Selection::Part(4..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=-30", Selection::Part(0..10)),
            ("bytes=9-99999999999999999999999", Selection::Part(9..10)),
            ("bytes=10-", Selection::Outside),
            ("bytes=10-12", Selection::Outside),
            ("bytes=-0", Selection::Outside),
            ("bytes=99999999999999999999999-", Selection::Outside),
            ("bytes=3-1", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("lines=1-2", Selection::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(select(Some(header), 10), expected, "{header}");
        }
        assert_eq!(select(None, 10), Selection::Whole);
        assert_eq!(select(Some("bytes=0-"), 0), Selection::Outside);
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        assert!(matches(Some("\"a\", W/\"b\""), "\"b\""));
        assert!(matches(Some("*"), "\"b\""));
        assert!(!matches(Some("\"a\""), "\"b\""));
        assert!(!matches(None, "\"b\""));
    }
}
