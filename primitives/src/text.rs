//! Texts that come from others.

use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, ops::Deref};
use scale_info::TypeInfo;
use sp_core::{bounded::BoundedVec, ConstU32};

/// Longest name of an institution, in bytes of UTF-8.
pub const MAX_NAME_LEN: u32 = 64;
/// Longest address of a node, in bytes.
pub const MAX_ADDRESS_LEN: u32 = 128;

/// Name of an institution: UTF-8, not empty, no control or format characters.
pub type Name = Text<MAX_NAME_LEN>;
/// A multiaddress, `/dns/node.hospital.example/tcp/30333` for example, without the peer id.
pub type Address = Text<MAX_ADDRESS_LEN>;

/// Text of at most `MOST` bytes of UTF-8, as it comes: whoever takes it in sees to it that it is UTF-8. On the wire and in the
/// storage it is the bytes with their length before them, and the metadata calls it text, so that clients show it as such.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen)]
pub struct Text<const MOST: u32>(BoundedVec<u8, ConstU32<MOST>>);

impl<const MOST: u32> Text<MOST> {
    /// Its bytes.
    pub fn into_inner(self) -> Vec<u8> {
        self.0.into_inner()
    }

    /// As much of these bytes as fits.
    pub fn truncate_from(bytes: Vec<u8>) -> Self {
        Self(BoundedVec::truncate_from(bytes))
    }
}

impl<const MOST: u32> TypeInfo for Text<MOST> {
    type Identity = str;

    fn type_info() -> scale_info::Type {
        str::type_info()
    }
}

impl<const MOST: u32> Deref for Text<MOST> {
    type Target = BoundedVec<u8, ConstU32<MOST>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<const MOST: u32> TryFrom<Vec<u8>> for Text<MOST> {
    type Error = Vec<u8>;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Vec<u8>> {
        BoundedVec::try_from(bytes).map(Self)
    }
}

impl<const MOST: u32> fmt::Debug for Text<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

/// Characters of Unicode's category Cf (format; 14.0), which are not seen and change how others are shown, and of Zl and Zp
/// (line and paragraph separators): first and last of each stretch.
const UNSEEN: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{13438}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Whether a character does something to a terminal or to the order and look of others, and is not seen itself: control and
/// format characters, among them those that turn the direction of writing, line and paragraph separators. With them one
/// text can be shown as another.
pub fn unseen(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bytes_to_the_chain_and_a_text_to_clients() {
        let text = Name::try_from("Klinik Süd".as_bytes().to_vec()).unwrap();
        assert_eq!(text.encode(), "Klinik Süd".to_owned().encode());
        assert_eq!(Name::decode(&mut &text.encode()[..]), Ok(text.clone()));
        assert_eq!(scale_info::MetaType::new::<Name>(), scale_info::MetaType::new::<str>());
        assert_eq!(Name::max_encoded_len(), 2 + 64, "its length takes two bytes from 64 on");
        let long = alloc::vec![b'x'; 65];
        assert_eq!(Name::try_from(long.clone()), Err(long.clone()));
        assert_eq!(Name::truncate_from(long).len(), 64);
        assert_eq!(alloc::format!("{text:?}"), "\"Klinik Süd\"");
    }

    #[test]
    fn what_is_not_seen_is_known() {
        for c in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(unseen(c), "{c:?}");
        }
        for c in [' ', 'a', 'ü', 'ø', '病', 'ש', '.', '\u{200a}', '\u{2070}'] {
            assert!(!unseen(c), "{c:?}");
        }
    }
}
