//! Bits and Huffman codes of JPEG scans.

use super::JpegError;

/// Why a scan cannot be followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There are no more bits.
    Short,
    /// The bits are no code.
    Codes,
}

impl Fault {
    /// The error of scan number `scan`, from 1.
    pub fn of_scan(self, scan: usize) -> JpegError {
        match self {
            Self::Short => JpegError::ShortScan { scan },
            Self::Codes => JpegError::Codes { scan },
        }
    }
}

/// A table of codes of up to 16 bits.
pub struct HuffmanTable {
    /// By the next 16 bits: length of the code and its symbol; a length of 0 for bits that are no code.
    by_bits: Vec<(u8, u8)>,
}

impl HuffmanTable {
    /// `counts` has the number of codes of 1 to 16 bits, `symbols` what they stand for, in order.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let mut by_bits = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, &count) in (1_u8..).zip(counts) {
            for &symbol in symbols.by_ref().take(usize::from(count)) {
                // A broken table has more codes than there are.
                if by_bits.len() >= 1 << 16 {
                    break;
                }
                by_bits.extend(std::iter::repeat_n((length, symbol), 1 << (16 - length)));
            }
        }
        // The code of ones alone is not used.
        by_bits.resize(1 << 16, (0, 0));
        Self { by_bits }
    }
}

/// The bits of a scan, up to the next marker.
pub struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Bits that were read ahead, the next one highest.
    ahead: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Those at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, ahead: 0, count: 0 }
    }

    /// Reads ahead as much as there is and as fits.
    fn refill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes[self.position..] {
                [0xff, 0, ..] => {
                    self.position += 1;
                    0xff
                }
                [] | [0xff, ..] => return,
                [byte, ..] => byte,
            };
            self.position += 1;
            self.ahead |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `count` bits, at most 16.
    pub fn take(&mut self, count: u8) -> Result<u32, Fault> {
        if self.count < 16 {
            self.refill();
        }
        let count = u32::from(count);
        if count > self.count {
            return Err(Fault::Short);
        }
        let bits = (self.ahead >> 48) as u32 >> (16 - count);
        self.ahead <<= count;
        self.count -= count;
        Ok(bits)
    }

    /// The symbol of the next code.
    pub fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, Fault> {
        if self.count < 16 {
            self.refill();
        }
        let (length, symbol) = table.by_bits[(self.ahead >> 48) as usize];
        if length == 0 {
            return Err(if self.count < 16 { Fault::Short } else { Fault::Codes });
        }
        self.take(length)?;
        Ok(symbol)
    }

    /// Goes on behind the restart marker of this number, modulo 8.
    pub fn restart(&mut self, number: usize) -> Result<(), Fault> {
        (self.ahead, self.count) = (0, 0);
        self.position = self.end();
        let fill = self.bytes[self.position..].iter().take_while(|&&byte| byte == 0xff).count();
        match self.bytes.get(self.position + fill) {
            Some(&code) if fill > 0 && usize::from(code) == 0xd0 + number % 8 => {
                self.position += fill + 1;
                Ok(())
            }
            _ => Err(Fault::Short),
        }
    }

    /// Where the next marker is, or the end of the bytes; only stuffed bytes lie before it.
    pub fn end(&self) -> usize {
        let mut position = self.position;
        loop {
            match self.bytes[position..].iter().position(|&byte| byte == 0xff) {
                Some(found) if self.bytes.get(position + found + 1) == Some(&0) => position += found + 2,
                Some(found) => return position + found,
                None => return self.bytes.len(),
            }
        }
    }
}
