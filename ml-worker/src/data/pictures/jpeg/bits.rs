//! The bits of a JPEG's coded data, and its Huffman tables.

/// Bits that are looked up at once.
const SHORT: u32 = 9;

/// A Huffman table (annex C).
pub(super) struct Table {
    /// For the next [`SHORT`] bits, the value of the code they begin with and its length; 0 where it is longer.
    short: [(u8, u8); 1 << SHORT],
    /// For each length, what the first 16 bits of its codes lie below, and what leads from code to value.
    long: [(u32, i32); 17],
    values: Vec<u8>,
}

impl Table {
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut table = Self { short: [(0, 0); 1 << SHORT], long: [(0, 0); 17], values: values.to_vec() };
        let (mut code, mut at) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(counts) {
            table.long[length as usize].1 = at as i32 - code as i32;
            for value in values.get(at..at + usize::from(*count))? {
                if length <= SHORT {
                    let first = (code << (SHORT - length)) as usize;
                    table.short.get_mut(first..first + (1 << (SHORT - length)))?.fill((*value, length as u8));
                }
                code += 1;
            }
            at += usize::from(*count);
            if code > 1 << length {
                return None;
            }
            table.long[length as usize].0 = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// The bits of coded data between two marks, without the zeros that follow 255.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the highest down, and how many they are.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// `bytes` end at a mark; fill bytes before it are none of the data.
    pub(super) fn of(mut bytes: &'a [u8]) -> Self {
        while let [rest @ .., 0xff] = bytes {
            bytes = rest;
        }
        Self { bytes, at: 0, held: 0, count: 0 }
    }

    #[inline]
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.bytes.get(self.at) else { return };
            self.at += 1 + usize::from(*byte == 0xff);
            self.held |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        self.held <<= count;
        Some(())
    }

    /// The next bits as a number; at most 15.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        self.fill();
        let value = (self.held >> 48) as u32 >> (16 - count);
        self.skip(count)?;
        Some(value)
    }

    #[inline]
    pub(super) fn code(&mut self, table: &Table) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        let (value, length) = table.short[(self.held >> (64 - SHORT)) as usize];
        if length > 0 {
            self.skip(length.into())?;
            return Some(value);
        }
        let next = (self.held >> 48) as u32;
        let length = (SHORT + 1..=16).find(|n| next < table.long[*n as usize].0)?;
        let index = (next >> (16 - length)) as i32 + table.long[length as usize].1;
        self.skip(length)?;
        table.values.get(usize::try_from(index).ok()?).copied()
    }

    /// How many bits are left.
    pub(super) fn left(&self) -> usize {
        self.count as usize + self.bytes.len().saturating_sub(self.at) * 8
    }

    /// Up to where in `bytes` all has been taken, in whole bytes.
    pub(super) fn whole_bytes(&self) -> usize {
        // what is held has been read, and may hold 255 with its zero
        let mut at = self.at.min(self.bytes.len());
        for _ in 0..self.count / 8 {
            at = at.saturating_sub(1);
            if at > 0 && self.bytes[at] == 0 && self.bytes[at - 1] == 0xff {
                at -= 1;
            }
        }
        at
    }
}
