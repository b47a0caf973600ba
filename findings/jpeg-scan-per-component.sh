#!/bin/bash
# image 0.25.10 with zune-jpeg 0.5.15 (Rust): a baseline JPEG of 4:2:0 with one scan for each component becomes another
# picture, without an error.
#
# Expected: alone in its scan, a component's blocks stand row by row (ITU-T T.81, A.2.2); here each has one value.
# Seen: blocks stand in other places, or are missing.
# Public report: https://github.com/etemesi254/zune-image/issues/422
# Why it matters: programs that optimise JPEGs and some cameras write such files, and nothing says that the picture is
# another one. `ml-worker` reads JPEGs by jpeg-decoder, which has them right.
#
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cargo init -q --name finding --vcs none .
cargo add -q image@=0.25.10 --no-default-features --features jpeg
cargo add -q zune-jpeg@=0.5.15 --no-default-features
cat >src/main.rs <<'RUST'
/// Coded blocks that have one value each: the difference of their means, and the end of the block.
fn coded(blocks: &[u8]) -> Vec<u8> {
    let (mut bits, mut before) = (String::new(), 0);
    for block in blocks {
        let value = i32::from(*block) - 128;
        let difference = value - before;
        before = value;
        let size = (32 - difference.unsigned_abs().leading_zeros()) as usize;
        bits += &format!("{size:04b}");
        if size > 0 {
            bits += &format!("{:0size$b}", if difference > 0 { difference } else { difference + (1 << size) - 1 });
        }
        bits += "0";
    }
    bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
    let bytes = (0..bits.len() / 8).map(|n| u8::from_str_radix(&bits[8 * n..8 * n + 8], 2).unwrap());
    bytes.flat_map(|byte| if byte == 255 { vec![255, 0] } else { vec![byte] }).collect()
}

fn main() {
    let luma: Vec<u8> = (0..16).map(|n| 40 + 10 * n).collect();
    let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    file.extend([8; 64]);
    file.extend([0xff, 0xc0, 0, 17, 8, 0, 32, 0, 32, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]);
    file.extend([0xff, 0xc4, 0, 31, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into_iter().chain(0..12));
    file.extend([0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (id, blocks) in [(1, &luma[..]), (2, &[128; 4]), (3, &[128; 4])] {
        file.extend([0xff, 0xda, 0, 8, 1, id, 0, 0, 63, 0]);
        file.extend(coded(blocks));
    }
    file.extend([0xff, 0xd9]);
    let found = image::load_from_memory_with_format(&file, image::ImageFormat::Jpeg).map(|p| p.to_luma8());
    let found = found.map(|p| (0..16).map(|n| p.get_pixel(n % 4 * 8 + 4, n / 4 * 8 + 4).0[0]).collect::<Vec<_>>());
    println!("each block's middle, expected {luma:?}\n                           found {found:?}");
    let off = found.map(|found| found.iter().zip(&luma).filter(|(a, b)| a.abs_diff(**b) > 2).count());
    std::process::exit(i32::from(!matches!(off, Ok(1..))));
}
RUST
CARGO_TARGET_DIR="$dir/target" cargo run -q
