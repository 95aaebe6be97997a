//! Whether a JPEG file is whole.
//!
//! Decoders fill what a cut or damaged file lacks with grey and say nothing of it. Here every block of every scan is followed
//! through its Huffman codes (ITU-T T.81, annexes F and G), but no pixel is made. What comes after the end-of-image marker
//! does not matter: cameras and telephones append other pictures there.

mod entropy;
mod scan;

use entropy::HuffmanTable;
use scan::{Component, Frame, Scan};
use thiserror::Error;

/// The marker at the end of every file.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// Why a JPEG file is not whole.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum JpegError {
    /// The file ends before its end-of-image marker.
    #[error("the file is cut off: it has no end-of-image marker")]
    CutOff,
    /// The data of a scan end too early, as where somebody put a marker behind a cut file.
    #[error("the file is damaged: the data of scan {scan} end before its last block")]
    ShortScan {
        /// Its number, from 1.
        scan: usize,
    },
    /// The data of a scan are no codes of its tables.
    #[error("the file is damaged: the data of scan {scan} are not what its tables can say")]
    Codes {
        /// Its number, from 1.
        scan: usize,
    },
    /// A header contradicts itself.
    #[error("the file is damaged: {0}")]
    Header(&'static str),
}

/// Checks that `bytes`, a JPEG file, have everything up to the end-of-image marker.
///
/// Kinds of JPEG that no common decoder reads (arithmetic coding, lossless, hierarchical) are not followed.
///
/// # Errors
/// [`JpegError`] says what is missing.
pub fn check_jpeg(bytes: &[u8]) -> Result<(), JpegError> {
    let mut walk = Walk::default();
    // Behind the start-of-image marker.
    let mut position = 2;
    loop {
        let marker = next_marker(bytes, &mut position).ok_or(JpegError::CutOff)?;
        match marker {
            0xd9 => return walk.end(),
            // Standing alone: restarts, TEM, another start of image.
            0x01 | 0xd0..=0xd8 => continue,
            // Lossless, hierarchical, arithmetic.
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Ok(()),
            _ => {}
        }
        let segment = segment(bytes, &mut position).ok_or(JpegError::CutOff)?;
        match marker {
            0xc4 => walk.define_huffman_tables(segment)?,
            0xc0..=0xc2 => walk.start_frame(marker, segment)?,
            0xdd => {
                let interval =
                    segment.first_chunk().ok_or(JpegError::Header("a restart interval is missing"))?;
                walk.restart_interval = usize::from(u16::from_be_bytes(*interval));
            }
            0xda => position += walk.follow_scan(segment, &bytes[position..])?,
            _ => {}
        }
    }
}

/// The code of the next marker; stuffed and fill bytes are passed over, and what else decoders pass over.
fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    loop {
        let start = *position + bytes.get(*position..)?.iter().position(|&byte| byte == 0xff)?;
        let code = start + bytes[start..].iter().position(|&byte| byte != 0xff)?;
        *position = code + 1;
        if bytes[code] != 0 {
            return Some(bytes[code]);
        }
    }
}

/// The content of the segment at `position`, which moves behind it.
fn segment<'a>(bytes: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*position..)?;
    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?)).max(2);
    *position += length;
    rest.get(2..length)
}

/// What the segments so far have said.
#[derive(Default)]
struct Walk {
    /// Tables of DC and of AC codes.
    tables: [[Option<HuffmanTable>; 4]; 2],
    frame: Option<Frame>,
    restart_interval: usize,
    scans: usize,
}

impl Walk {
    fn define_huffman_tables(&mut self, mut segment: &[u8]) -> Result<(), JpegError> {
        let damaged = JpegError::Header("a Huffman table is not whole");
        while let Some((&head, rest)) = segment.split_first() {
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else { return Err(damaged) };
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let Some((symbols, rest)) = rest.split_at_checked(total) else { return Err(damaged) };
            let [class, id] = [head >> 4, head & 15].map(usize::from);
            let Some(place) = self.tables.get_mut(class).and_then(|tables| tables.get_mut(id)) else {
                return Err(JpegError::Header("a Huffman table has an impossible number"));
            };
            *place = Some(HuffmanTable::new(counts, symbols));
            segment = rest;
        }
        Ok(())
    }

    fn start_frame(&mut self, marker: u8, segment: &[u8]) -> Result<(), JpegError> {
        if self.frame.is_some() {
            return Err(JpegError::Header("it has two frames"));
        }
        let damaged = || JpegError::Header("its frame header is not whole");
        let [_, y1, y0, x1, x0, count, components @ ..] = segment else { return Err(damaged()) };
        let [height, width] = [[*y1, *y0], [*x1, *x0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let components = components.chunks_exact(3).take(usize::from(*count));
        let components: Vec<Component> =
            components.map(|own| Component::new(own[0], own[1] >> 4, own[1] & 15)).collect();
        if components.len() != usize::from(*count) || components.is_empty() {
            return Err(damaged());
        }
        self.frame = Some(Frame::new([width, height], components, marker == 0xc2)?);
        Ok(())
    }

    /// Follows the scan whose header is `segment`; gives the number of bytes of `data` that belong to it.
    fn follow_scan(&mut self, segment: &[u8], data: &[u8]) -> Result<usize, JpegError> {
        self.scans += 1;
        let frame = self.frame.as_mut().ok_or(JpegError::Header("a scan comes before the frame header"))?;
        let scan = Scan::parse(segment, frame, self.restart_interval)?;
        scan.follow(frame, &self.tables, data).map_err(|fault| {
            let has_end = data.windows(2).any(|pair| pair == END_OF_IMAGE);
            if has_end { fault.of_scan(self.scans) } else { JpegError::CutOff }
        })
    }

    fn end(&self) -> Result<(), JpegError> {
        match &self.frame {
            Some(frame) if frame.is_covered() => Ok(()),
            _ => Err(JpegError::Header("it ends before all of its colours have come")),
        }
    }
}

#[cfg(test)]
mod tests;
