//! TensorBoard event files: TFRecords of `tensorflow.Event` messages, of which only scalars and images are needed.

use super::MetricsError;
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// One event file, appended to.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new event file in `folder`; TensorBoard joins the files of a folder, and drops what an earlier file says of steps
    /// from the first step of a later one on.
    pub(super) fn create(folder: &Path, done_step: u64) -> Result<Self, MetricsError> {
        let failed = |source| MetricsError::Write { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut second = now().floor();
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{second:.0}.atelier.{done_step}"));
            match File::create_new(&path) {
                Ok(file) => break (path, file),
                // Of a run that was stopped and resumed within a second.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => second += 1.0,
                Err(source) => return Err(MetricsError::Write { path, source }),
            }
        };
        let mut events = Self { path, file };
        let mut version = Message::default();
        version.double(1, now());
        version.bytes(3, b"brain.Event:2");
        events.append(&version)?;
        Ok(events)
    }

    pub(super) fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), MetricsError> {
        let mut summary = Message::default();
        for (name, value) in values {
            let mut entry = Message::default();
            entry.bytes(1, name.as_bytes());
            entry.float(2, *value as f32);
            summary.bytes(1, &entry.0);
        }
        self.append(&event(step, &summary))
    }

    pub(super) fn image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (u32, u32),
        png: &[u8],
    ) -> Result<(), MetricsError> {
        let mut picture = Message::default();
        picture.integer(1, height.into());
        picture.integer(2, width.into());
        picture.integer(3, 3);
        picture.bytes(4, png);
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes());
        entry.bytes(4, &picture.0);
        let mut summary = Message::default();
        summary.bytes(1, &entry.0);
        self.append(&event(step, &summary))
    }

    /// Appends one TFRecord: length and data, each followed by its masked CRC.
    fn append(&mut self, message: &Message) -> Result<(), MetricsError> {
        let length = (message.0.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(message.0.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(&message.0);
        record.extend(masked_crc(&message.0).to_le_bytes());
        self.file.write_all(&record).map_err(|source| MetricsError::Write { path: self.path.clone(), source })
    }
}

/// A `tensorflow.Event` with a summary.
fn event(step: u64, summary: &Message) -> Message {
    let mut event = Message::default();
    event.double(1, now());
    event.integer(2, step);
    event.bytes(5, &summary.0);
    event
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The mask of TensorFlow's record format keeps the CRC of data that contains CRCs from being special.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protocol buffer message in its wire format.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_checksums_of_the_format() {
        // The check value of CRC-32C, from RFC 3720: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = EventFile::create(folder.path(), 0).expect("created");
        events.scalars(7, &[("loss", 0.5)]).expect("logged");
        let bytes = fs::read(&events.path).expect("readable");
        let mut rest = bytes.as_slice();
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("8 bytes")) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_crc(data).to_le_bytes());
            records.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 2);
        // Field 5 (summary) with one value: field 1, tag "loss" and simple_value 0.5.
        let summary = [b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15".as_slice(), &0.5_f32.to_le_bytes()].concat();
        assert!(records[1].ends_with(&summary), "{:?}", records[1]);
    }

    #[test]
    fn varints_are_little_endian_groups_of_seven_bits() {
        let mut message = Message::default();
        message.integer(2, 300);
        assert_eq!(message.0, [0x10, 0xac, 0x02]);
    }
}
