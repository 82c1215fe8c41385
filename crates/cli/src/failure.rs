//! How a command can end, as exit codes that scripts can trust.

use std::process::ExitCode;

use grantkeep_core::app::LoadError;
use grantkeep_core::kms::KmsError;
use grantkeep_core::settings::SettingsError;
use grantkeep_core::store::StoreError;
use grantkeep_core::tokens::TokenError;

/// The exit codes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// 0: all of it worked.
    Success,
    /// 1: something did not.
    Failure,
    /// 2: the command line is wrong.
    Usage,
    /// 3: a setting is missing or malformed.
    Settings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early. The detail says what to do and holds no secret.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

impl Failure {
    /// Something did not work.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failure,
            code,
            detail: detail.into(),
        }
    }

    /// The command line asks for something that makes no sense.
    pub fn usage(detail: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: "usage",
            detail: detail.into(),
        }
    }

    /// A setting that only this command needs is missing or malformed.
    pub fn settings(detail: impl Into<String>) -> Self {
        Self {
            exit: Exit::Settings,
            code: "misconfigured",
            detail: detail.into(),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::settings(error.to_string())
    }
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::Setting { .. } => Self::settings(error.to_string()),
            KmsError::Refused(_) => Self::new("misconfigured", error.to_string()),
            KmsError::Unavailable(_) => Self::new("storage_unavailable", error.to_string()),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Settings(error) => error.into(),
            LoadError::Kms(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::new(
                "storage_unavailable",
                format!("{error}: is DATABASE_URL right, and the server up?"),
            ),
            StoreError::Refused(_) => Self::new("storage_unavailable", error.to_string()),
            StoreError::Schema(detail) => Self::new("misconfigured", detail),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let (code, advice) = match &error {
            TokenError::NotConnected => ("not_connected", String::new()),
            TokenError::AmbiguousAccount { accounts } => (
                "ambiguous_account",
                format!(": name one with --account ({})", accounts.join(", ")),
            ),
            TokenError::InsufficientScope { missing, .. } => {
                ("insufficient_scope", format!(" ({})", missing.join(" ")))
            }
            TokenError::ReauthorizationRequired { reason, .. } => (
                "reauthorization_required",
                format!(" ({reason}): the user has to connect again"),
            ),
            TokenError::ClientRefused { error } => (
                "misconfigured",
                format!(" ({error}): check the provider's _CLIENT_ID and _CLIENT_SECRET"),
            ),
            TokenError::ProviderRefused { error, .. } => ("provider_error", format!(" ({error})")),
            TokenError::ProviderUnavailable {
                reason,
                retry_after,
            } => (
                "provider_unavailable",
                format!(": {reason}; try again in {retry_after} s"),
            ),
            TokenError::Cipher(cause) => ("integrity_error", format!(": {cause}")),
            TokenError::Store(cause) => return cause.clone().into(),
        };
        Self::new(code, format!("{error}{advice}"))
    }
}
