//! What a command prints: results on stdout, for people or as JSON; remarks on stderr,
//! for people only.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

/// Where results go.
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or with `json` for programs.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody looks on and progress is worth showing.
    pub fn is_watched(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// The result: `value` for programs, `text` for people.
    pub fn result(&self, value: &Value, text: &str) {
        match self.json {
            true => self.line(&value.to_string()),
            false => self.line(text),
        }
    }

    /// One line on stdout, as it is.
    pub fn line(&self, text: &str) {
        if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
            // Who read it has gone (`| head`), or the disk is full: no more can be told.
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                eprintln!("error: cannot write: {error}");
            }
            std::process::exit(Exit::Failure as i32);
        }
    }

    /// A remark to people.
    pub fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Tells why the command ends; answers how.
    pub fn failure(&self, failure: &Failure) -> Exit {
        match self.json {
            true => self.line(
                &json!({"error": {"code": failure.code, "detail": failure.detail}}).to_string(),
            ),
            false => eprintln!("error: {}", failure.detail),
        }
        failure.exit
    }
}

/// Rows under headings, as wide as they need; pages that follow keep the widths.
pub struct Table<const N: usize> {
    headings: [&'static str; N],
    widths: [usize; N],
    begun: bool,
}

impl<const N: usize> Table<N> {
    /// No row yet.
    pub fn new(headings: [&'static str; N]) -> Self {
        Self {
            headings,
            widths: headings.map(width),
            begun: false,
        }
    }

    /// Prints a page of rows, and before the first one the headings.
    pub fn page(&mut self, output: &Output, rows: &[[String; N]]) {
        for row in rows {
            for (own, cell) in self.widths.iter_mut().zip(row) {
                *own = width(cell).max(*own);
            }
        }
        if !self.begun && !rows.is_empty() {
            self.begun = true;
            output.line(&self.row(&self.headings.map(str::to_owned)));
        }
        for row in rows {
            output.line(&self.row(row));
        }
    }

    fn row(&self, cells: &[String; N]) -> String {
        let mut line = String::new();
        for (cell, own) in cells.iter().zip(&self.widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(own - width(cell) + 2));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Names and values under each other; absent values are left out.
pub fn details(pairs: &[(&str, Option<String>)]) -> String {
    let widest = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    pairs
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        .map(|(name, value)| format!("{name:widest$}  {value}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_line_up_and_leave_out_what_is_absent() {
        let text = details(&[
            ("id", Some("1".to_owned())),
            ("reason", None),
            ("status", Some("active".to_owned())),
        ]);

        assert_eq!(text, "id      1\nstatus  active");
    }

    #[test]
    fn a_row_is_padded_to_the_widest_cell_and_not_behind_the_last() {
        let mut table = Table::new(["a", "b"]);
        table.widths = [4, 9];

        assert_eq!(table.row(&["x".to_owned(), "y".to_owned()]), "x     y");
    }
}
