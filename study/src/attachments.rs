//! The files that every participant of a study needs beside its specification: read from the specification's bytes, for a node, which
//! need know nothing else of it.

use crate::named::NamedFile;
use consilium_primitives::{BlobRef, Hash};
use serde::Deserialize;

/// Most bytes of a trainer's code: an archive of programs, not of data.
pub const MAX_CODE_LEN: u64 = 64 << 20;

/// Files that a specification names by hash and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attachments {
    /// The file that training begins with.
    pub initial: Option<BlobRef>,
    /// The code of the study's own trainer.
    pub code: Option<BlobRef>,
}

/// What is read of a specification. All else in it may be as it likes, also what a later version of it brings.
#[derive(Deserialize)]
struct Names {
    initial: Option<NamedFile>,
    model: Option<Model>,
}

/// What is read of its model.
#[derive(Deserialize)]
struct Model {
    external: Option<External>,
}

/// What is read of a trainer of one's own.
#[derive(Deserialize)]
struct External {
    code: Option<NamedFile>,
}

impl Attachments {
    /// What these bytes name: nothing where they are no specification, and no file whose hash is none or whose length makes no
    /// sense. Whether all of it is a specification that can be worked with, each worker finds out for itself.
    pub fn of(spec: &[u8]) -> Self {
        let Ok(names) = serde_json::from_slice::<Names>(spec) else { return Self::default() };
        let sound = |file: NamedFile| file.check("").and_then(|()| file.blob("")).ok();
        let code = names.model.and_then(|model| model.external).and_then(|external| external.code);
        Self {
            initial: names.initial.and_then(sound),
            code: code.and_then(sound).filter(|blob| blob.len <= MAX_CODE_LEN),
        }
    }
}

/// Name of the file that lies beside a blob which a site's people have put into the blob store as a study's attachment. It tells the
/// courier that these bytes are meant for the members of a study that names them; what else is in the store is not.
pub fn attachment_note(root: &Hash) -> String {
    format!("{root:x}.attachment")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(digit: char, len: u64) -> String {
        format!("{{\"len\":{len},\"root\":\"{}\"}}", digit.to_string().repeat(64))
    }

    fn spec(initial: &str, code: &str) -> String {
        format!(
            "{{\"data\":{{\"later\":[1.5,null]}},\"initial\":{initial},\"model\":{{\"external\":{{\"code\":{code},\"tensors\":[\"b\"]}}}},\
             \"version\":1}}"
        )
    }

    #[test]
    fn both_files_are_read_and_all_else_may_be_unknown() {
        let found = Attachments::of(spec(&named('a', 7), &named('b', MAX_CODE_LEN)).as_bytes());
        assert_eq!(found.initial, Some(BlobRef { root: Hash::repeat_byte(0xaa), len: 7 }));
        assert_eq!(found.code, Some(BlobRef { root: Hash::repeat_byte(0xbb), len: MAX_CODE_LEN }));
        // a network of this program that begins with a file, and one that begins with its seed
        let text = format!("{{\"initial\":{},\"model\":{{\"dense\":{{\"hidden\":[16]}}}}}}", named('a', 7));
        let found = Attachments::of(text.as_bytes());
        assert_eq!((found.initial.map(|blob| blob.len), found.code), (Some(7), None));
        assert_eq!(Attachments::of(b"{\"model\":{\"logistic\":{}},\"seed\":1}"), Attachments::default());
    }

    #[test]
    fn what_makes_no_sense_names_no_file() {
        for len in [0, (4 << 30) + 1] {
            let found = Attachments::of(spec(&named('a', len), &named('b', 1)).as_bytes());
            assert_eq!((found.initial, found.code.map(|blob| blob.len)), (None, Some(1)), "{len}");
        }
        let found = Attachments::of(spec(&named('a', 1), &named('b', MAX_CODE_LEN + 1)).as_bytes());
        assert_eq!((found.initial.map(|blob| blob.len), found.code), (Some(1), None), "code of more than its most");
        // no hash: upper case, one digit short, a path
        for root in ["A".repeat(64), "a".repeat(63), "../../etc/passwd".into()] {
            let text = spec(&format!("{{\"len\":1,\"root\":\"{root}\"}}"), &named('b', 1));
            assert_eq!(Attachments::of(text.as_bytes()).initial, None, "{root}");
        }
        let twice = format!("{{\"initial\":{},\"initial\":{}}}", named('a', 1), named('b', 1));
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(8_000), "]".repeat(8_000));
        let whole = spec(&named('a', 7), &named('b', 7));
        let cut = (0..whole.len()).map(|end| whole.as_bytes()[..end].to_vec());
        let wrong = [&b""[..], b"null", b"[]", b"7", &[0xff; 64], b"{\"model\":\"external\"}", b"{\"initial\":\"a\"}"];
        let wrong = wrong.into_iter().map(<[u8]>::to_vec).chain([twice.into_bytes(), deep.into_bytes()]).chain(cut);
        for bytes in wrong {
            assert_eq!(Attachments::of(&bytes), Attachments::default(), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn the_note_lies_beside_the_blob_by_its_name() {
        assert_eq!(attachment_note(&Hash::repeat_byte(0x0a)), format!("{}.attachment", "0a".repeat(32)));
    }
}
