//! Scopes as Google treats them: aliases made canonical, sign-in scopes apart, and what each opens.

const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";
const MAIL: &str = "https://mail.google.com/";

/// What opens the whole mailbox.
pub(crate) const MAIL_ALL: &[&str] = &[
    MAIL,
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.readonly",
];

/// What lets a token read the mailbox's profile.
pub(crate) const MAIL_PROFILE: &[&str] = &[
    MAIL,
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.readonly",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.metadata",
];

/// What lets a token list and show messages, threads and history.
pub(crate) const MAIL_READ: &[&str] = &[
    MAIL,
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.readonly",
    "https://www.googleapis.com/auth/gmail.metadata",
];

/// What lets a token send.
pub(crate) const MAIL_SEND: &[&str] = &[
    MAIL,
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.send",
];

/// What lets a token list and show events.
pub(crate) const CALENDAR_READ: &[&str] = &[
    "https://www.googleapis.com/auth/calendar",
    "https://www.googleapis.com/auth/calendar.readonly",
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.events.readonly",
];

/// What lets a token create and delete events.
pub(crate) const CALENDAR_WRITE: &[&str] = &[
    "https://www.googleapis.com/auth/calendar",
    "https://www.googleapis.com/auth/calendar.events",
];

/// What is asked for, in canonical form: separated by spaces or commas, without repeats, and with
/// `openid` wherever the address or the profile is asked for.
pub(crate) fn requested(text: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split([' ', ',']).filter(|scope| !scope.is_empty()) {
        let scope = canonical(scope);
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    if scopes
        .iter()
        .any(|scope| scope == EMAIL || scope == PROFILE)
        && !scopes.iter().any(|scope| scope == "openid")
    {
        scopes.push("openid".to_owned());
    }
    scopes
}

/// The name under which Google echoes a scope.
pub(crate) fn canonical(scope: &str) -> &str {
    match scope {
        "email" => EMAIL,
        "profile" => PROFILE,
        other => other,
    }
}

/// Whether a scope only tells who the user is.
pub(crate) fn is_sign_in(scope: &str) -> bool {
    matches!(scope, "openid" | EMAIL | PROFILE)
}

/// Whether the user may untick a scope: not who they are, and not `offline_access`, which asks for
/// a refresh token rather than for a permission.
pub(crate) fn is_optional(scope: &str) -> bool {
    !is_sign_in(scope) && scope != "offline_access"
}

/// Whether the e-mail address may be told.
pub(crate) fn tells_email(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == EMAIL)
}

/// Whether the name may be told.
pub(crate) fn tells_profile(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == PROFILE)
}

/// What a person reads beside a scope's tick box.
pub(crate) fn description(scope: &str) -> &str {
    match scope
        .strip_prefix("https://www.googleapis.com/auth/")
        .unwrap_or(scope)
    {
        MAIL => "Read, write, send and permanently delete all your e-mail",
        "gmail.modify" => "Read, write and send e-mail, and move it to the bin",
        "gmail.readonly" => "Read your e-mail and its settings",
        "gmail.metadata" => "See who wrote to you and when, but not the text",
        "gmail.compose" => "Write drafts and send e-mail",
        "gmail.send" => "Send e-mail on your behalf",
        "gmail.labels" => "See and change your e-mail labels",
        "calendar" => "See, change and share all your calendars",
        "calendar.readonly" => "See all your calendars and their events",
        "calendar.events" => "See and change events on all your calendars",
        "calendar.events.readonly" => "See events on all your calendars",
        "Mail.Read" => "Read your e-mail",
        "Mail.Send" => "Send e-mail on your behalf",
        "Calendars.Read" => "See your calendars",
        "Calendars.ReadWrite" => "See and change your calendars",
        _ => "Use this permission on your behalf",
    }
}
