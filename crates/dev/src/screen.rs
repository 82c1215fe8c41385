//! What people read: colours only on a terminal, and no panic when nobody reads on.

use std::io::{IsTerminal as _, Write as _};

/// How text is set off; plain where colours are not wanted.
#[derive(Clone, Copy)]
pub enum Style {
    /// A heading.
    Bold,
    /// Aside.
    Dim,
    /// It worked.
    Green,
    /// It did not.
    Red,
    /// Mind this.
    Yellow,
}

/// `text` for standard output.
pub fn styled(style: Style, text: &str) -> String {
    paint(std::io::stdout().is_terminal(), style, text)
}

/// Prints a line on standard output. A reader that has gone is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line about how it goes on standard error.
pub fn progress(line: &str) {
    let line = paint(std::io::stderr().is_terminal(), Style::Dim, line);
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a line that must be minded on standard error.
pub fn warn(line: &str) {
    let word = paint(std::io::stderr().is_terminal(), Style::Yellow, "warning:");
    let _ = writeln!(std::io::stderr(), "{word} {line}");
}

/// Prints why it does not go on, on standard error.
pub fn complain(line: &str) {
    let word = paint(std::io::stderr().is_terminal(), Style::Red, "cargo dev:");
    let _ = writeln!(std::io::stderr(), "{word} {line}");
}

/// See <https://no-color.org>: any value but the empty one means none.
fn paint(terminal: bool, style: Style, text: &str) -> String {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !terminal || refused {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Green => 32,
        Style::Red => 31,
        Style::Yellow => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
