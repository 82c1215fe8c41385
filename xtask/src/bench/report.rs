//! The table that is printed in the end.

use std::fmt;

/// What a target bounds.
#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

struct Line {
    what: String,
    ours: String,
    reference: String,
    ratio: f64,
    target: Target,
}

/// Lines of: what, ours, reference, ratio, target, met or not.
#[derive(Default)]
pub struct Report(Vec<Line>);

impl Report {
    /// Adds a line. Targets of absolute figures have a ratio to the figure itself.
    pub fn add(&mut self, what: &str, ours: String, reference: String, ratio: f64, target: Target) {
        self.0.push(Line {
            what: what.to_owned(),
            ours,
            reference,
            ratio,
            target,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | ours | reference | ratio | target | |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for line in &self.0 {
            let (met, target) = match line.target {
                Target::AtLeast(least) => (line.ratio >= least, format!("at least {least}")),
                Target::AtMost(most) => (line.ratio <= most, format!("at most {most}")),
            };
            let met = if met { "met" } else { "**missed**" };
            let Line {
                what,
                ours,
                reference,
                ratio,
                ..
            } = line;
            writeln!(
                f,
                "| {what} | {ours} | {reference} | {ratio:.2} | {target} | {met} |"
            )?;
        }
        Ok(())
    }
}
