//! Fernet, for reading what earlier systems encrypted; nothing is ever sealed this way:
//! its tokens are bound to no row, so one could be copied onto another.
//!
//! Token: base64url of version 0x80, seconds (8 bytes), IV (16), AES-128-CBC ciphertext,
//! HMAC-SHA256 (32) over all before. Key: 16 bytes for signing, 16 for encryption.

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use zeroize::Zeroizing;

use super::{KeyRing, OpenError};

const VERSION: u8 = 0x80;
const HEADER: usize = 1 + 8;
const BLOCK: usize = 16;
const TAG: usize = 32;

impl KeyRing {
    /// Opens a Fernet token with the first key that signed it. Its age does not matter.
    pub fn open_fernet(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let message = Zeroizing::new(URL_SAFE.decode(token).map_err(|_| OpenError::Integrity)?);
        std::iter::once(&self.primary)
            .chain(&self.retired)
            .find_map(|key| open(&key.bytes, &message))
            .ok_or(OpenError::Integrity)
    }
}

/// The plaintext, if the signature is of this key: verified before anything is decrypted.
fn open(key: &[u8; 32], message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (signing, encryption) = key.split_at(16);
    let (signed, tag) = message.split_at_checked(message.len().checked_sub(TAG)?)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, signing), signed, tag).ok()?;

    let (header, rest) = signed.split_at_checked(HEADER)?;
    let (iv, ciphertext) = rest.split_at_checked(BLOCK)?;
    let whole = ciphertext.len() >= BLOCK && ciphertext.len().is_multiple_of(BLOCK);
    if header.first() != Some(&VERSION) || !whole {
        return None;
    }
    let key = UnboundCipherKey::new(&AES_128, encryption).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let iv: [u8; BLOCK] = iv.try_into().ok()?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let context = DecryptionContext::Iv128(iv.into());
    let length = key.decrypt(&mut plaintext, context).ok()?.len();
    plaintext.truncate(length);
    Some(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification, and one more under another key.
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const OF_ZERO: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODyQzHtxlkOKI25P2pGjfamDEsKR7Y5rC4RNmUQ8cn_F37L5SxFMHbUmzpnxmfUiMQQ==";

    fn opened(key: &str, token: &str) -> Option<String> {
        let key: [u8; 32] = URL_SAFE.decode(key).ok()?.try_into().ok()?;
        let plaintext = open(&key, &URL_SAFE.decode(token).ok()?)?;
        String::from_utf8(plaintext.to_vec()).ok()
    }

    #[test]
    fn the_vectors_of_the_specification_open() {
        assert_eq!(opened(KEY, TOKEN).as_deref(), Some("hello"));
        assert_eq!(opened(ZERO, OF_ZERO).as_deref(), Some("hello"));
        assert_eq!(opened(ZERO, TOKEN), None);
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_refused() {
        let key: [u8; 32] = URL_SAFE.decode(KEY).expect("key").try_into().expect("32");
        let message = URL_SAFE.decode(TOKEN).expect("token");

        for bit in 0..message.len() * 8 {
            let mut altered = message.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key, &altered).is_none(), "bit {bit}");
        }
        for length in 0..message.len() {
            assert!(open(&key, &message[..length]).is_none(), "length {length}");
        }
    }

    #[test]
    fn a_wrong_version_is_refused_even_with_a_right_signature() {
        let key: [u8; 32] = URL_SAFE.decode(KEY).expect("key").try_into().expect("32");
        let mut message = URL_SAFE.decode(TOKEN).expect("token");
        message.truncate(message.len() - TAG);
        message[0] = 0x81;
        let signing = hmac::Key::new(hmac::HMAC_SHA256, &key[..16]);
        message.extend_from_slice(hmac::sign(&signing, &message).as_ref());

        assert!(open(&key, &message).is_none());
    }

    #[test]
    fn any_key_of_the_ring_opens() {
        let mut ring = KeyRing::parse("b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE").expect("key");
        assert!(ring.open_fernet(TOKEN).is_err());
        // A key that the ring refuses for being well known, put there all the same.
        let bytes: [u8; 32] = URL_SAFE.decode(KEY).expect("key").try_into().expect("32");
        ring.retired.push(super::super::Key {
            id: ring.primary_id(),
            bytes: Zeroizing::new(bytes),
        });

        assert_eq!(ring.open_fernet(TOKEN).expect("opens").as_slice(), b"hello");
    }
}
