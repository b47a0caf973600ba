//! The three primitives that everything is made of: BLAKE2b-256, HKDF-SHA-256 and X25519.
use blake2::{digest::consts::U32, Blake2b, Digest};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// BLAKE2b-256 of the concatenation.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2b::<U32>::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// 32 bytes of HKDF-SHA-256, extracted and expanded. The label is the salt.
pub(crate) fn derive(label: &[u8], secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(label), secret)
        .expand_multi_info(info, &mut key[..])
        .expect("HKDF-SHA-256 gives up to 8,160 bytes, and 32 are asked for");
    key
}

/// The public key of a secret. X25519 clamps the secret by itself.
pub(crate) fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// What two sites have in common by X25519. All zeros where the other chose a key of small order: it is used as it comes, since who
/// chose such a key could as well have published its secret.
pub(crate) fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public)).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, test case 1, whose first 32 of 42 bytes are what 32 bytes would be.
    #[test]
    fn derives_as_rfc_5869() {
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        let key = derive(&salt, &[0x0b; 22], &[&info[..4], &info[4..]]);
        assert_eq!(hex::encode(&key[..]), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    /// RFC 7748, section 5.2. The scalar is not clamped beforehand.
    #[test]
    fn agrees_as_rfc_7748() {
        let bytes = |text: &str| -> [u8; 32] { hex::decode(text).unwrap().try_into().unwrap() };
        let secret = bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let common = agree(&secret, &point);
        assert_eq!(hex::encode(&common[..]), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        let bob = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        assert_eq!(hex::encode(public(&bob)), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    }

    /// A key of small order makes the common secret zero, and that is used as it comes.
    #[test]
    fn a_key_of_small_order_gives_zeros() {
        assert_eq!(*agree(&[7; 32], &[0; 32]), [0; 32]);
    }

    #[test]
    fn hashes_the_concatenation() {
        let expected = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
        assert_eq!(hex::encode(hash(&[b"abc"])), expected);
        assert_eq!(hex::encode(hash(&[b"a", b"", b"bc"])), expected);
    }
}
