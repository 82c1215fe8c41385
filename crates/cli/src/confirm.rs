//! Asks before what cannot be undone or shows secrets. A script says `--yes`; nobody is
//! asked where nobody can answer.

use std::io::{IsTerminal, Write};

use clap::Args;

use crate::failure::Failure;

/// `--yes`.
#[derive(Args)]
pub struct Confirmation {
    /// Do not ask; needed where no terminal is there to ask at
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Asks, unless that was answered on the command line. An error is a no.
    pub fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failure::usage(format!(
                "{question} There is no terminal to ask at: say --yes"
            )));
        }
        let mut answer = String::new();
        let asked = write!(std::io::stderr(), "{question} [y/N] ")
            .and_then(|()| std::io::stdin().read_line(&mut answer));
        match (asked, answer.trim().to_lowercase().as_str()) {
            (Ok(_), "y" | "yes") => Ok(()),
            _ => Err(Failure::new("refused", "nothing was done")),
        }
    }
}
