//! Texts that are made anew before they are read: of another encoding, or with a line for each column. They are held in memory
//! whole.

use crate::data::{
    error::DataError,
    text::pieces::{line_feeds, stray},
};
use consilium_study::{Encoding, Layout, Orientation};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use encoding_rs::WINDOWS_1252;

/// Bytes to which Windows-1252 gives no character; the library makes control characters of them, which are in no table.
const NOTHING: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// The text as it is read: UTF-8, a line for each row, without a byte order mark.
pub(in crate::data) fn made(mut text: Vec<u8>, layout: Layout) -> Result<Vec<u8>, DataError> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        // whoever reads it says what it is
        return Ok(text);
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    if layout.encoding == Encoding::Latin1 && std::str::from_utf8(&text).is_err() {
        text = utf8(&text)?;
    }
    match layout.orientation {
        Orientation::Rows => Ok(text),
        Orientation::Columns => turned(&text),
    }
}

/// A text of Windows-1252.
fn utf8(text: &[u8]) -> Result<Vec<u8>, DataError> {
    if let Some(place) = text.iter().position(|byte| NOTHING.contains(byte)) {
        let line = 1 + line_feeds(&text[..place]);
        return Err(DataError::schema(format!(
            "line {line}: has a byte that is neither UTF-8 nor Windows-1252 (data.encoding)"
        )));
    }
    Ok(WINDOWS_1252.decode_without_bom_handling(text).0.into_owned().into_bytes())
}

/// The mark between the cells of a text's first line: that of tab, semicolon and comma which is there most often.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |mark: u8| {
        let mut quoted = false;
        let outside = |byte: &&u8| {
            quoted ^= **byte == b'"';
            !quoted && **byte == mark
        };
        line.iter().filter(outside).count()
    };
    // of equal ones the last
    b",;\t".iter().copied().max_by_key(|mark| count(*mark)).unwrap_or(b',')
}

/// Lines made columns. Lines that begin with `!` are what GEO says about a matrix, and are left out. Where the first line has one
/// cell less than all others, it names no column of names, as R's `write.table` does.
fn turned(text: &[u8]) -> Result<Vec<u8>, DataError> {
    let mark = delimiter(text);
    if let Some(place) = stray(text, mark) {
        let line = 1 + line_feeds(&text[..place]);
        return Err(DataError::schema(format!("line {line}: {}", super::STRAY)));
    }
    let broken = || DataError::schema("cannot be read as a table; save it as CSV in UTF-8");
    let mut reader = ReaderBuilder::new().delimiter(mark).has_headers(false).flexible(true).from_reader(text);
    let mut lines: Vec<ByteRecord> = Vec::new();
    for line in reader.byte_records() {
        let line = line.map_err(|_| broken())?;
        if !line.get(0).is_some_and(|cell| cell.starts_with(b"!")) {
            lines.push(line);
        }
    }
    let width = lines.first().map_or(0, ByteRecord::len);
    let unnamed = lines.len() > 1 && lines[1..].iter().all(|line| line.len() == width + 1);
    if let Some(first) = lines.first_mut().filter(|_| unnamed) {
        *first = [&b""[..]].into_iter().chain(first.iter()).collect();
    }
    let width = width + usize::from(unnamed);
    if let Some(line) = lines.iter().find(|line| line.len() != width) {
        let at = line.position().map_or(1, |position| position.line());
        return Err(DataError::schema(format!(
            "line {at}: has {} cells, the first line has {width}; a study whose tables have a line for each column \
             (data.orientation) needs as many in each",
            line.len()
        )));
    }
    let mut out = WriterBuilder::new().delimiter(mark).from_writer(Vec::with_capacity(text.len()));
    for place in 0..width {
        let cells = lines.iter().map(|line| line.get(place).unwrap_or_default());
        out.write_record(cells).map_err(|_| broken())?;
    }
    out.into_inner().map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const COLUMNS: Layout = Layout { encoding: Encoding::Utf8, orientation: Orientation::Columns };
    const LATIN: Layout = Layout { encoding: Encoding::Latin1, orientation: Orientation::Rows };

    #[test]
    fn bytes_of_windows_become_the_characters_that_pythons_codec_gives() {
        // bytes(b for b in range(0x80, 0x100) if b not in (0x81, 0x8d, 0x8f, 0x90, 0x9d)).decode("cp1252")
        let wanted = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ";
        let undefined = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
        let bytes: Vec<u8> = (0x80..=0xffu8).filter(|byte| !undefined.contains(byte)).collect();
        assert_eq!(String::from_utf8(made(bytes, LATIN).unwrap()).unwrap(), wanted);
        for byte in undefined {
            let said = made(vec![b'a', b'\n', 0xe4, byte], LATIN).unwrap_err().message;
            assert!(said.contains("line 2: has a byte that is neither"), "{said}");
        }
        // what is UTF-8 stays so, with its mark or without
        assert_eq!(made("\u{feff}größe".into(), LATIN).unwrap(), "größe".as_bytes());
    }

    #[test]
    fn lines_become_columns() {
        let turned = |text: &str| made(text.into(), COLUMNS).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(
            turned("gene\ts1\ts2\nTP53\t1\t2\nill\tyes\tno\n").unwrap(),
            "gene\tTP53\till\ns1\t1\tyes\ns2\t2\tno\n"
        );
        // of R, which names no column of names; of GEO, with what it says about the matrix
        assert_eq!(turned("s1;s2\na;1,5;2\n").unwrap(), ";a\ns1;1,5\ns2;2\n");
        let geo = "!Series_title\t\"x\"\n\n\"ID_REF\"\t\"GSM1\"\n\"p\"\t3\n!series_matrix_table_end\n";
        assert_eq!(turned(geo).unwrap(), "ID_REF\tp\nGSM1\t3\n");
        // cells with a mark or a line's end in them
        assert_eq!(turned("\"a,b\",\"c\nd\"\ne,f\n").unwrap(), "\"a,b\",e\n\"c\nd\",f\n");
        let said = turned("x,s1,s2\na,1,2\nb,1\n").unwrap_err().message;
        assert!(said.contains("line 3: has 2 cells, the first line has 3"), "{said}");
        assert!(turned("x,s1\n\"a,1\nb,1\n").unwrap_err().message.contains("line 2: has a cell that begins with"));
    }
}
