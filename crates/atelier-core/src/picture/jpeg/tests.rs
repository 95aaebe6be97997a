use super::*;
use crate::picture::decode;
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;
use std::io::Cursor;

/// Pictures of 45 by 37 pixels by libjpeg, through Pillow at quality 60: colours at half size with a restart every two units,
/// the same in progressive scans, and one without colours.
const BASELINE: &[u8] = include_bytes!("../../../tests/fixtures/pictures/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../tests/fixtures/pictures/progressive.jpg");
const GREY: &[u8] = include_bytes!("../../../tests/fixtures/pictures/grey.jpg");

/// One of the encoder that the tests of other crates use, with a last row that is all of one colour.
fn flat() -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new(&mut bytes)
        .write_image(&[90; 3 * 40 * 24], 40, 24, ExtendedColorType::Rgb8)
        .expect("a JPEG");
    bytes
}

#[test]
fn whole_files_pass_whatever_comes_behind_them() {
    for bytes in [BASELINE, PROGRESSIVE, GREY, &flat()] {
        assert_eq!(check_jpeg(bytes), Ok(()));
        for behind in [&b"\0\0\0"[..], b"\xff\xd8\xff\xe1\0\x08other", b"\xff"] {
            let longer = [bytes, behind].concat();
            assert_eq!(check_jpeg(&longer), Ok(()));
            assert!(decode(Cursor::new(longer)).is_ok());
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_no_picture() {
    for bytes in [BASELINE, PROGRESSIVE, GREY, &flat()] {
        for length in 3..bytes.len() {
            assert!(check_jpeg(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
            assert!(
                decode(Cursor::new(bytes[..length].to_vec())).is_err(),
                "{length} of {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_marker_behind_a_cut_file_does_not_make_it_whole() {
    for bytes in [BASELINE, GREY, &flat()] {
        let start = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).expect("a scan") + 2;
        for length in start..bytes.len() - 2 {
            let mended = [&bytes[..length], &END_OF_IMAGE].concat();
            assert!(check_jpeg(&mended).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
    // The last scan of a progressive file alone: without it, the file would be a coarser picture.
    let start = PROGRESSIVE.windows(2).rposition(|pair| pair == [0xff, 0xda]).expect("a scan") + 2;
    for length in start..PROGRESSIVE.len() - 2 {
        assert!(check_jpeg(&[&PROGRESSIVE[..length], &END_OF_IMAGE].concat()).is_err(), "{length}");
    }
}

#[test]
fn zeros_in_place_of_the_rest_are_no_picture() {
    // As programs leave it that take the room of a file before they download it.
    for bytes in [BASELINE, PROGRESSIVE, GREY] {
        let mut half = bytes.to_vec();
        half[bytes.len() * 3 / 5..].fill(0);
        assert_eq!(check_jpeg(&half), Err(JpegError::CutOff));
    }
}

#[test]
fn a_restart_that_is_lost_is_found() {
    let second = BASELINE.windows(2).position(|pair| pair == [0xff, 0xd1]).expect("a restart");
    let third = BASELINE.windows(2).position(|pair| pair == [0xff, 0xd2]).expect("a restart");
    let lost = [&BASELINE[..second], &BASELINE[third..]].concat();
    assert_eq!(check_jpeg(&lost), Err(JpegError::ShortScan { scan: 1 }));
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = [BASELINE, PROGRESSIVE, GREY][which].to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        // With a limit on the frame, as decoders check it before.
        let sides = bytes.windows(2).position(|pair| pair[0] == 0xff && (0xc0..=0xc2).contains(&pair[1]));
        if let Some(side) = sides.and_then(|start| bytes.get_mut(start + 5..start + 9)) {
            (side[0], side[2]) = (0, 0);
        }
        let _ = check_jpeg(&bytes);
    }
}
