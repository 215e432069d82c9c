//! Tables for people, and details as `name  value` lines.

use comfy_table::{ContentArrangement, Table, presets};

use crate::output;

/// A table with a header; fits the terminal where there is one.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    if output::is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| output::plain(cell)));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// Names with values, one a line; those without a value are left out.
pub(crate) fn details(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let shown = lines.iter().filter(|(_, value)| !value.is_empty());
    shown
        .map(|(name, value)| format!("{name:width$}  {}", output::plain(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_plain() {
        let rows = [
            vec!["1".to_owned(), "a\nb".to_owned()],
            vec!["22".to_owned(), String::new()],
        ];
        assert_eq!(table(&["ID", "TEXT"], rows), "ID  TEXT\n1   a b\n22");
    }

    #[test]
    fn empty_details_are_left_out() {
        let lines = [
            ("id", "7".to_owned()),
            ("tags", String::new()),
            ("status", "queued".to_owned()),
        ];
        assert_eq!(details(&lines), "id      7\nstatus  queued");
    }
}
