//! Variables looked up, and what is wrong with them gathered.

use std::fmt::Write as _;

/// One variable to mend. The message says what to do and never repeats the value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Its name.
    pub variable: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything wrong with the environment.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct SettingsError(pub Vec<Problem>);

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for problem in &self.0 {
            let joint = if text.is_empty() { "" } else { "; " };
            write!(text, "{joint}{} {}", problem.variable, problem.message)?;
        }
        f.write_str(&text)
    }
}

/// Looks variables up; an empty one counts as absent.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    pub(super) fn get(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn fail(&mut self, variable: &str, message: impl ToString) {
        self.problems.push(Problem {
            variable: variable.to_owned(),
            message: message.to_string(),
        });
    }

    pub(super) fn required(&mut self, variable: &str, what: &str) -> Option<String> {
        let value = self.get(variable);
        if value.is_none() {
            self.fail(variable, format!("is not set; {what}"));
        }
        value
    }

    pub(super) fn checked<T, E: std::fmt::Display>(
        &mut self,
        variable: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.fail(variable, error)).ok()
    }
}
