//! The header fields of a message as bytes: read, changed and written without touching the rest.

/// Header fields in order.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// The fields of a message, and its body.
    pub(crate) fn split(raw: &[u8]) -> (Fields, &[u8]) {
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let mut rest = raw;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = after;
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            match (text.first(), fields.last_mut()) {
                (None, _) => break,
                (Some(b' ' | b'\t'), Some((_, value))) => {
                    value.extend_from_slice(b"\r\n");
                    value.extend_from_slice(text);
                }
                _ => {
                    let colon = text.iter().position(|byte| *byte == b':');
                    let (name, value) = text.split_at(colon.unwrap_or(text.len()));
                    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
                    fields.push((
                        String::from_utf8_lossy(name).trim().to_owned(),
                        value.to_vec(),
                    ));
                }
            }
        }
        (Fields(fields), rest)
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The first field of this name, still encoded.
    pub(crate) fn first(&self, name: &str) -> Option<&[u8]> {
        let mut named = self.0.iter();
        named
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// Adds a field, on one line.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let value = value.replace(['\r', '\n'], " ").into_bytes();
        self.0.push((name.to_owned(), value));
    }

    /// Adds a field that is not there yet.
    pub(crate) fn add_absent(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.add(name, value);
        }
    }

    /// Takes every field of this name away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Names and values, each made readable by `decode`.
    pub(crate) fn into_decoded(self, decode: impl Fn(&[u8]) -> String) -> Vec<(String, String)> {
        let decoded = self.0.into_iter();
        decoded
            .map(|(name, value)| (name, decode(&value)))
            .collect()
    }

    /// The message of these fields and a body.
    pub(crate) fn with_body(&self, body: &[u8]) -> Vec<u8> {
        let mut raw = Vec::with_capacity(body.len() + 512);
        for (name, value) in &self.0 {
            raw.extend_from_slice(name.as_bytes());
            raw.extend_from_slice(b": ");
            raw.extend_from_slice(value);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(body);
        raw
    }
}
