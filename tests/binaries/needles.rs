//! Finds a secret in a text in whatever form it got there.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Of longer secrets their beginning is looked for: a log may cut, and whoever has twenty
/// characters has more than is needed to recognise a user.
const BEGINNING: usize = 20;

/// A secret by its name, with every form that is looked for.
pub struct Needle {
    name: String,
    forms: Vec<String>,
}

impl Needle {
    pub fn new(name: &str, secret: &[u8]) -> Self {
        assert!(secret.len() >= 8, "{name} is too short to be looked for");
        let beginning = &secret[..secret.len().min(BEGINNING)];
        let mut forms = vec![hex(beginning), hex(beginning).to_ascii_uppercase()];
        for ahead in 0..3 {
            forms.push(base64(&STANDARD_NO_PAD, beginning, ahead));
            forms.push(base64(&URL_SAFE_NO_PAD, beginning, ahead));
        }
        if let Ok(text) = std::str::from_utf8(beginning) {
            let form = url::form_urlencoded::byte_serialize(beginning);
            let json = serde_json::Value::from(text).to_string();
            forms.push(text.to_owned());
            forms.push(form.collect());
            forms.push(percent_encoded(beginning));
            forms.push(json.trim_matches('"').to_owned());
            forms.push(text.replace('/', "\\/"));
        }
        forms.sort();
        forms.dedup();
        Self {
            name: name.to_owned(),
            forms,
        }
    }

    /// The secret's name and the form, if one occurs in the text.
    pub fn found_in(&self, text: &str) -> Option<String> {
        let form = self.forms.iter().find(|form| text.contains(*form))?;
        Some(format!("{} as {form}", self.name))
    }
}

/// Everything but letters and digits, as cautious encoders do.
fn percent_encoded(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte.is_ascii_alphanumeric() {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is in any base64 text that has `ahead` (modulo 3) bytes before the secret: without
/// the characters that also depend on the neighbours.
fn base64(engine: &impl base64::Engine, secret: &[u8], ahead: usize) -> String {
    let mut bytes = vec![0; ahead];
    bytes.extend_from_slice(secret);
    bytes.truncate(bytes.len() / 3 * 3);
    let encoded = engine.encode(bytes);
    let shared = [0, 2, 3][ahead];
    encoded[shared..].to_owned()
}

#[test]
fn every_form_of_a_secret_is_found_and_another_secret_is_not() {
    let secret = "1//0Ab+c d~e-f_g\"hijklmnopqrstuvwxyz";
    let needle = Needle::new("secret", secret.as_bytes());
    let json = serde_json::json!({"nested": secret}).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let embedded = |ahead: &str| format!("{ahead}{secret}&more=1");

    let mut texts = vec![
        secret.to_owned(),
        secret[..20].to_owned(),
        json,
        form,
        percent_encoded(secret.as_bytes()),
        hex(secret.as_bytes()),
        format!("\\x{}", hex(embedded("{").as_bytes())),
    ];
    for ahead in ["", "a", "ab", "abc"] {
        texts.push(STANDARD_NO_PAD.encode(embedded(ahead)));
        texts.push(URL_SAFE_NO_PAD.encode(embedded(ahead)));
    }

    for text in texts {
        assert!(needle.found_in(&text).is_some(), "{text}");
    }
    let other = "1//0Ab+c d~e-f_h\"hijklmnopqrstuvwxyz";
    assert_eq!(needle.found_in(other), None);
}
