//! What was looked at, how it is, and what to do about it.

use std::fmt;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warn,
    /// Something does not work.
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
pub struct Finding {
    level: Level,
    check: String,
    detail: String,
    advice: Option<String>,
}

impl Finding {
    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "level": self.level.as_str(),
            "check": self.check,
            "detail": self.detail,
            "advice": self.advice,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.as_str();
        write!(f, "{level:4}  {:22}  {}", self.check, self.detail)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{:30}→ {advice}", ""),
            None => Ok(()),
        }
    }
}

/// Everything that was looked at, in order.
#[derive(Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// As it should be.
    pub fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.add(Level::Ok, check, detail, None);
    }

    /// Worth a look.
    pub fn warn(
        &mut self,
        check: impl Into<String>,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Level::Warn, check, detail, Some(advice.into()));
    }

    /// Does not work.
    pub fn fail(
        &mut self,
        check: impl Into<String>,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Level::Fail, check, detail, Some(advice.into()));
    }

    fn add(
        &mut self,
        level: Level,
        check: impl Into<String>,
        detail: impl Into<String>,
        advice: Option<String>,
    ) {
        self.0.push(Finding {
            level,
            check: check.into(),
            detail: detail.into(),
            advice,
        });
    }

    /// How many there are of a level.
    pub fn count(&self, level: Level) -> usize {
        self.iter().filter(|finding| finding.level == level).count()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }
}
