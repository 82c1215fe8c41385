//! Sealing: AES-256-GCM under a key ring, every ciphertext bound to the place it
//! belongs to, so that a copy of it anywhere else does not open.
//!
//! Layout: version (1 byte), key id (4), salt (32), ciphertext, tag (16). Key and
//! nonce of each message come from HKDF-SHA256 over the salt, so no two messages
//! share them however many are sealed (NIST SP 800-38D section 8.3 limits random
//! 96-bit nonces under one key).

mod fernet;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT: usize = 32;
const HEADER: usize = 1 + 4 + SALT;
const TAG: usize = 16;

/// Names a key without telling anything about it: the first four bytes of its
/// SHA-256, in hex in the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyId([u8; 4]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a key in the settings cannot be used. Says what to do, never the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Not base64, or not 32 bytes.
    #[error("must be 32 random bytes in base64; make one with `openssl rand -base64 32`")]
    Malformed,
    /// A key that everybody knows, or one without any randomness.
    #[error("is a well-known or empty key; make one with `openssl rand -base64 32`")]
    WellKnown,
}

/// Why a ciphertext did not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Sealed under a key that is in neither OAUTH_ENCRYPTION_KEY nor OAUTH_ENCRYPTION_KEYS_RETIRED.
    #[error("sealed under key {0}, which is not configured")]
    UnknownKey(KeyId),
    /// Altered, moved from another place, or not one of ours.
    #[error("the sealed value was altered or belongs somewhere else")]
    Integrity,
}

struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = KeyRing::decode(text)?;
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, bytes.as_slice()).as_ref()[..4]);
        Ok(Self {
            id: KeyId(id),
            bytes,
        })
    }
}

impl KeyRing {
    /// The 32 bytes of a key as settings have it; keys that everybody knows are none.
    pub fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let text = text.trim().trim_end_matches('=');
        let decoded = URL_SAFE_NO_PAD
            .decode(text)
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Malformed)?;
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(
            decoded
                .as_slice()
                .try_into()
                .map_err(|_| KeyError::Malformed)?,
        );
        if is_well_known(&bytes) {
            return Err(KeyError::WellKnown);
        }
        Ok(bytes)
    }
}

/// The keys of documentation, and keys with fewer than eight different bytes.
fn is_well_known(key: &[u8; 32]) -> bool {
    let mut seen = [false; 256];
    key.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let counting = key
        .windows(2)
        .all(|pair| pair[1] == pair[0].wrapping_add(1));
    // The key of the Fernet specification's test vectors.
    const FERNET_VECTOR: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4";
    counting
        || seen.iter().filter(|seen| **seen).count() < 8
        || URL_SAFE_NO_PAD.encode(key) == FERNET_VECTOR
}

/// The key that seals, and those that may still open.
pub struct KeyRing {
    primary: Key,
    retired: Vec<Key>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.ids().iter().map(KeyId::to_string))
            .finish()
    }
}

impl KeyRing {
    /// Reads base64 or base64url keys of 32 bytes.
    pub fn parse(primary: &str) -> Result<Self, KeyError> {
        Ok(Self {
            primary: Key::parse(primary)?,
            retired: Vec::new(),
        })
    }

    /// Adds a key that opens what was sealed under it and seals nothing.
    pub fn retire(&mut self, key: &str) -> Result<(), KeyError> {
        self.retired.push(Key::parse(key)?);
        Ok(())
    }

    /// The key that new ciphertexts are sealed under.
    pub fn primary_id(&self) -> KeyId {
        self.primary.id
    }

    /// Every key that opens, the primary one first.
    pub fn ids(&self) -> Vec<KeyId> {
        std::iter::once(&self.primary)
            .chain(&self.retired)
            .map(|key| key.id)
            .collect()
    }

    /// Eight hex digits that tell one token from another in an audit log: of an HMAC, so
    /// that nobody without the key can test a guess.
    pub fn fingerprint(&self, token: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.primary.bytes.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"grantkeep audit v1");
        context.update(token.as_bytes());
        let tag = context.sign();
        tag.as_ref()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Seals `plaintext` for one place. `fill` provides the randomness.
    pub fn seal(&self, plaintext: &[u8], place: &Place, fill: fn(&mut [u8])) -> Vec<u8> {
        let mut salt = [0; SALT];
        fill(&mut salt);
        let (key, nonce) = derive(&self.primary, &salt);

        let mut message = Vec::with_capacity(HEADER + plaintext.len() + TAG);
        message.push(VERSION);
        message.extend_from_slice(&self.primary.id.0);
        message.extend_from_slice(&salt);
        message.extend_from_slice(plaintext);
        let tag = key
            .seal_in_place_separate_tag(nonce, place.aad(self.primary.id), &mut message[HEADER..])
            .expect("a token set is far below AES-GCM's limit of 64 GiB");
        message.extend_from_slice(tag.as_ref());
        message
    }

    /// Opens what was sealed for the same place under a key of this ring.
    pub fn open(&self, sealed: &[u8], place: &Place) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (Some(header), Some(body)) = (sealed.get(..HEADER), sealed.get(HEADER..)) else {
            return Err(OpenError::Integrity);
        };
        if header[0] != VERSION {
            return Err(OpenError::Integrity);
        }
        let id = KeyId([header[1], header[2], header[3], header[4]]);
        let key = std::iter::once(&self.primary)
            .chain(&self.retired)
            .find(|key| key.id == id)
            .ok_or(OpenError::UnknownKey(id))?;
        let (key, nonce) = derive(key, &header[5..]);

        let mut plaintext = Zeroizing::new(body.to_vec());
        let length = key
            .open_in_place(nonce, place.aad(id), &mut plaintext)
            .map_err(|_| OpenError::Integrity)?
            .len();
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

/// Where a ciphertext belongs: a purpose and the parts that name the place.
pub struct Place(Vec<u8>);

impl Place {
    /// `parts` are encoded with their lengths, so that `a`, `bc` and `ab`, `c` differ.
    pub fn new(purpose: &str, parts: &[&[u8]]) -> Self {
        let mut encoded = vec![VERSION];
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            encoded.extend_from_slice(&(part.len() as u64).to_be_bytes());
            encoded.extend_from_slice(part);
        }
        Self(encoded)
    }

    /// The encoding itself, the same for the same parts only.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn aad(&self, key: KeyId) -> Aad<Vec<u8>> {
        Aad::from([self.0.as_slice(), &key.0].concat())
    }
}

struct KeyAndNonce;

impl KeyType for KeyAndNonce {
    fn len(&self) -> usize {
        32 + 12
    }
}

fn derive(key: &Key, salt: &[u8]) -> (LessSafeKey, Nonce) {
    let mut material = Zeroizing::new([0; 32 + 12]);
    Salt::new(HKDF_SHA256, salt)
        .extract(key.bytes.as_slice())
        .expand(&[b"grantkeep seal v1"], KeyAndNonce)
        .and_then(|okm| okm.fill(material.as_mut_slice()))
        .expect("44 bytes are within HKDF's limit");
    let (key, nonce) = material.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes");
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce has 12 bytes");
    (LessSafeKey::new(key), nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE";
    const OTHER: &str = "cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE";

    fn fill(bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("randomness");
    }

    fn ring() -> KeyRing {
        KeyRing::parse(KEY).expect("key")
    }

    fn place(id: &str) -> Place {
        Place::new("test", &[id.as_bytes(), b"workspace"])
    }

    #[test]
    fn en01_a_ciphertext_opens_only_where_it_was_sealed_for() {
        let sealed = ring().seal(b"token", &place("a"), fill);

        assert_eq!(
            ring().open(&sealed, &place("a")).expect("opens").as_slice(),
            b"token"
        );
        assert_eq!(ring().open(&sealed, &place("b")), Err(OpenError::Integrity));
    }

    #[test]
    fn en01_moving_a_byte_from_one_part_to_the_next_names_another_place() {
        let sealed = ring().seal(b"t", &Place::new("p", &[b"a", b"bc"]), fill);

        assert!(
            ring()
                .open(&sealed, &Place::new("p", &[b"ab", b"c"]))
                .is_err()
        );
    }

    #[test]
    fn en02_sealing_twice_gives_two_ciphertexts() {
        assert_ne!(
            ring().seal(b"token", &place("a"), fill),
            ring().seal(b"token", &place("a"), fill)
        );
    }

    #[test]
    fn en04_the_key_id_selects_the_key_and_an_unknown_one_is_named() {
        let sealed = ring().seal(b"token", &place("a"), fill);
        let mut rotated = KeyRing::parse(OTHER).expect("key");

        assert_eq!(
            rotated.open(&sealed, &place("a")),
            Err(OpenError::UnknownKey(ring().primary_id()))
        );
        rotated.retire(KEY).expect("key");
        assert!(rotated.open(&sealed, &place("a")).is_ok());
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_refused() {
        let sealed = ring().seal(b"token set", &place("a"), fill);

        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(ring().open(&altered, &place("a")).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(
                ring().open(&sealed[..length], &place("a")).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn en08_short_empty_and_well_known_keys_are_refused() {
        let zero = STANDARD_NO_PAD.encode([0; 32]);
        let counting: Vec<u8> = (0..32).collect();

        assert_eq!(KeyRing::parse("c2hvcnQ=").err(), Some(KeyError::Malformed));
        assert_eq!(KeyRing::parse("!").err(), Some(KeyError::Malformed));
        assert_eq!(KeyRing::parse(&zero).err(), Some(KeyError::WellKnown));
        assert_eq!(
            KeyRing::parse(&STANDARD_NO_PAD.encode(counting)).err(),
            Some(KeyError::WellKnown)
        );
        assert_eq!(
            KeyRing::parse("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=").err(),
            Some(KeyError::WellKnown)
        );
    }

    #[test]
    fn standard_and_url_safe_base64_name_the_same_key() {
        let bytes = digest(&SHA256, b"any");
        let standard = base64::engine::general_purpose::STANDARD.encode(bytes.as_ref());
        let url_safe = URL_SAFE_NO_PAD.encode(bytes.as_ref());

        let ids = [standard, url_safe].map(|text| KeyRing::parse(&text).expect("key").primary_id());
        assert_eq!(ids[0], ids[1]);
    }

    #[test]
    fn tk07_a_fingerprint_tells_tokens_apart_and_depends_on_the_key() {
        let other = KeyRing::parse(OTHER).expect("key");

        assert_eq!(ring().fingerprint("token").len(), 8);
        assert_eq!(ring().fingerprint("token"), ring().fingerprint("token"));
        assert_ne!(ring().fingerprint("token"), ring().fingerprint("tokem"));
        assert_ne!(ring().fingerprint("token"), other.fingerprint("token"));
    }

    #[test]
    fn debug_shows_key_ids_and_no_key() {
        let shown = format!("{:?}", ring());

        assert!(shown.contains(&ring().primary_id().to_string()));
        assert!(!shown.contains(&KEY[..10]));
    }
}
