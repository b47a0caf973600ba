#!/bin/bash
# jpeg-decoder 0.3.2 (Rust): JPEG Lossless with restart intervals becomes other pixels, without an error.
#
# Expected: after a restart, prediction begins anew from the middle of the range (ITU-T T.81, H.1.1 and H.1.2.1).
# Seen: it goes on from the row above, so that every later row is off by a constant.
# Public report: https://github.com/image-rs/jpeg-decoder/issues/286 (a mammogram in DICOM)
# Why it matters: the transfer syntaxes .57 and .70 of DICOM are this coding, and medical images would be learned from
# with other values. `ml-worker` refuses such files by that name.
#
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cargo init -q --name finding --vcs none .
cargo add -q jpeg-decoder@=0.3.2 --no-default-features
cat >src/main.rs <<'RUST'
fn main() {
    // 2 x 2 samples of 8 bits, a restart after each row: 100 110 / 200 210, as differences -28 +10 / +72 +10
    let mut file = vec![0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 0, 2, 0, 2, 1, 1, 0x11, 0];
    file.extend([0xff, 0xc4, 0, 36, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(0..17));
    file.extend([0xff, 0xdd, 0, 4, 0, 2, 0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0]);
    file.extend([0x28, 0xc9, 0x5f, 0xff, 0xd0, 0x3c, 0x82, 0x57, 0xff, 0xd9]);
    let found = jpeg_decoder::Decoder::new(&file[..]).decode();
    println!("expected [100, 110, 200, 210], found {found:?}");
    std::process::exit(match found {
        Ok(pixels) if pixels == [100, 110, 172, 182] => 0,
        _ => 1,
    });
}
RUST
CARGO_TARGET_DIR="$dir/target" cargo run -q
