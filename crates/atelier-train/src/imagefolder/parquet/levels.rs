//! Small numbers in runs and packed bits: levels of nulls and lists, and places in dictionaries.

use super::{Reason, thrift::variable};

/// `count` numbers of `width` bits each, in Parquet's hybrid of runs and packed bits.
pub fn decode(mut bytes: &[u8], width: u32, count: usize) -> Result<Vec<u32>, Reason> {
    let damaged = || "has levels that are damaged".to_owned();
    if width > 32 {
        return Err(damaged());
    }
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let left = count - numbers.len();
        let header = variable(&mut bytes).ok_or_else(damaged)?;
        let length = usize::try_from(header >> 1).map_err(|_| damaged())?;
        if length == 0 {
            return Err(damaged());
        }
        if header & 1 == 0 {
            let (own, rest) = bytes.split_at_checked(width.div_ceil(8) as usize).ok_or_else(damaged)?;
            bytes = rest;
            let number = own.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            numbers.extend(std::iter::repeat_n(number, length.min(left)));
        } else {
            // Eight numbers a group; the last group may be cut at the end of its bytes.
            let size = length.saturating_mul(width as usize).min(bytes.len());
            let (own, rest) = bytes.split_at(size);
            bytes = rest;
            let most = length.saturating_mul(8).min(left);
            if most.saturating_mul(width as usize) > 8 * own.len() {
                return Err(damaged());
            }
            numbers.extend((0..most).map(|index| packed(own, index * width as usize, width)));
        }
    }
    Ok(numbers)
}

/// The number of `width` bits that begins at bit `start`, the lowest first.
fn packed(bytes: &[u8], start: usize, width: u32) -> u32 {
    (0..width as usize).fold(0, |number, bit| {
        let at = start + bit;
        number | u32::from(bytes[at / 8] >> (at % 8) & 1) << bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_bits_follow_each_other() {
        // The example of the format's description: 0 to 7 in three bits each.
        let packed = [0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(decode(&packed, 3, 8).expect("numbers"), [0, 1, 2, 3, 4, 5, 6, 7]);
        let run = [4 << 1, 5];
        let both = [&run[..], &packed].concat();
        assert_eq!(decode(&both, 3, 7).expect("numbers"), [5, 5, 5, 5, 0, 1, 2]);
        assert!(decode(&run, 3, 5).is_err());
        assert!(decode(&packed[..2], 3, 8).is_err());
    }
}
