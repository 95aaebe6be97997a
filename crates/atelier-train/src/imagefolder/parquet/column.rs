//! Columns of strings and of lists of strings.

use super::{
    Reason, levels,
    thrift::{Struct, Structs},
};
use ruzstd::decoding::StreamingDecoder;
use std::{io::Read, iter};

/// More rows, and more bytes of a page, than any metadata has; a small file can claim as many as it likes.
const MOST_ROWS: usize = 1 << 24;
const MOST_BYTES: usize = 1 << 28;

/// `BYTE_ARRAY` among the physical types.
const BYTES: i64 = 6;

/// What the schema says of a column.
#[derive(Debug)]
pub struct Column {
    name: String,
    is_text: bool,
    /// How many lists its values are in.
    repetition: u32,
    /// How many of the value and the lists around it may be null or empty.
    definition: u32,
}

impl Column {
    /// The columns of a schema, which is a tree with the number of children in each knot; the first is the root.
    pub fn all(schema: &Structs<'_>) -> Result<Vec<Self>, Reason> {
        let mut columns = Vec::new();
        // The knots on the way from the root: children to come, name, repetition and definition.
        let mut open: Vec<(usize, String, u32, u32)> = Vec::new();
        for (index, element) in schema.iter().enumerate() {
            let children = element.count(5)?;
            while open.last().is_some_and(|(left, ..)| *left == 0) {
                open.pop();
            }
            let (mut name, mut repetition, mut definition) = (String::new(), 0, 0);
            if let Some((left, outer, lists, nulls)) = open.last_mut() {
                *left -= 1;
                name = if outer.is_empty() { element.text(4) } else { outer.clone() };
                let kind = element.integer(3);
                (repetition, definition) = (*lists + u32::from(kind == 2), *nulls + u32::from(kind != 0));
            }
            if children > 0 {
                open.push((children, name, repetition, definition));
            } else if index > 0 {
                let is_text = element.integer(1) == BYTES;
                columns.push(Self { name, is_text, repetition, definition });
            }
        }
        Ok(columns)
    }

    /// The name of its outermost field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The strings in each row, from the chunks with this `index` in the row groups `groups` of the file `bytes`: one, or none
    /// for null, in a column of strings, and any number in a column of lists.
    pub fn read(&self, bytes: &[u8], groups: &Structs<'_>, index: usize) -> Result<Vec<Vec<String>>, Reason> {
        if !self.is_text || self.repetition > 1 {
            return Err(format!("the column {} is no column of strings or lists of strings", self.name));
        }
        let mut rows = Vec::new();
        for group in groups {
            let chunks = group.list(1)?;
            let chunk = chunks.get(index).ok_or("has a group of rows that lacks a column")?;
            self.read_chunk(bytes, &chunk.structure(3), &mut rows)?;
        }
        Ok(rows)
    }

    fn read_chunk(
        &self,
        bytes: &[u8],
        chunk: &Struct<'_>,
        rows: &mut Vec<Vec<String>>,
    ) -> Result<(), Reason> {
        let total = chunk.count(5)?;
        let mut position =
            if chunk.has(11) { chunk.count(11)?.min(chunk.count(9)?) } else { chunk.count(9)? };
        let mut dictionary = Vec::new();
        let mut seen = 0;
        while seen < total {
            let rest = bytes.get(position..).ok_or("has a column beyond its end")?;
            let (header, length) = Struct::parse(rest)?;
            let end = length.saturating_add(header.count(3)?);
            let page = Page {
                data: rest.get(length..end).ok_or("has a page beyond its end")?,
                size: header.count(2)?,
                codec: chunk.integer(4),
            };
            position += end;
            match header.integer(1) {
                0 => {
                    let own = header.structure(5);
                    seen += own.count(1)?.max(1);
                    self.read_page(&page.decompressed()?, None, &own, own.integer(2), &dictionary, rows)?;
                }
                2 => {
                    let count = header.structure(7).count(1)?;
                    dictionary = plain(&page.decompressed()?, count)?;
                }
                3 => {
                    let own = header.structure(8);
                    seen += own.count(1)?.max(1);
                    let levels = [own.count(6)?, own.count(5)?];
                    let behind = levels[0].saturating_add(levels[1]);
                    // Unless it says that it is not compressed, it is.
                    let data = page.decompressed_behind(behind, !own.has(7) || own.integer(7) == 1)?;
                    self.read_page(&data, Some(levels), &own, own.integer(4), &dictionary, rows)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the values of a page, which begins with its levels: their lengths are before them, or in `lengths`.
    fn read_page(
        &self,
        mut data: &[u8],
        lengths: Option<[usize; 2]>,
        header: &Struct<'_>,
        encoding: i64,
        dictionary: &[String],
        rows: &mut Vec<Vec<String>>,
    ) -> Result<(), Reason> {
        let count = header.count(1)?;
        if rows.len().saturating_add(count) > MOST_ROWS {
            return Err("claims more rows than can be".to_owned());
        }
        let mut level = |most: u32, length: Option<usize>| {
            let length = match length {
                Some(length) => length,
                None if most == 0 => 0,
                None => length_prefix(&mut data)?,
            };
            let (own, rest) = data.split_at_checked(length).ok_or("has levels beyond their page")?;
            data = rest;
            match most {
                0 => Ok(vec![0; count]),
                most => levels::decode(own, u32::BITS - most.leading_zeros(), count),
            }
        };
        let repetitions = level(self.repetition, lengths.map(|lengths| lengths[0]))?;
        let definitions = level(self.definition, lengths.map(|lengths| lengths[1]))?;
        let present = definitions.iter().filter(|level| **level == self.definition).count();
        let mut values = match encoding {
            0 => plain(data, present)?,
            2 | 8 => chosen(data, dictionary, present)?,
            _ => return Err(format!("the column {} has an encoding that is not read", self.name)),
        }
        .into_iter();
        for (repetition, definition) in repetitions.into_iter().zip(definitions) {
            if repetition == 0 || rows.is_empty() {
                rows.push(Vec::new());
            }
            if definition == self.definition
                && let (Some(row), Some(value)) = (rows.last_mut(), values.next())
            {
                row.push(value);
            }
        }
        Ok(())
    }
}

/// The bytes of a page, and how they are compressed.
struct Page<'a> {
    data: &'a [u8],
    /// In bytes, without compression.
    size: usize,
    codec: i64,
}

impl Page<'_> {
    fn decompressed(&self) -> Result<Vec<u8>, Reason> {
        self.decompressed_behind(0, true)
    }

    /// As [`Page::decompressed`], where the first bytes are as they are, and the others, too, unless `is_compressed`.
    fn decompressed_behind(&self, plain: usize, is_compressed: bool) -> Result<Vec<u8>, Reason> {
        let damaged = || "has a page that is damaged".to_owned();
        let (plain, data) = self.data.split_at_checked(plain).ok_or_else(damaged)?;
        let data = match self.codec {
            0 => data.to_vec(),
            _ if !is_compressed || data.is_empty() => data.to_vec(),
            1 => {
                let length = snap::raw::decompress_len(data).map_err(|error| error.to_string())?;
                if plain.len() + length != self.size || length > MOST_BYTES {
                    return Err(damaged());
                }
                snap::raw::Decoder::new().decompress_vec(data).map_err(|error| error.to_string())?
            }
            6 => {
                let mut bytes = Vec::new();
                let decoder = StreamingDecoder::new(data).map_err(|error| error.to_string())?;
                let read = decoder.take(MOST_BYTES as u64).read_to_end(&mut bytes);
                read.map_err(|error| error.to_string())?;
                bytes
            }
            codec => {
                let names = ["", "", "gzip", "LZO", "Brotli", "LZ4", "", "LZ4"];
                let name = usize::try_from(codec).ok().and_then(|codec| names.get(codec));
                let name = name.unwrap_or(&"something else");
                return Err(format!("is compressed with {name}, expected Snappy or Zstandard"));
            }
        };
        Ok([plain, &data].concat())
    }
}

/// `count` strings, each behind its length.
fn plain(mut data: &[u8], count: usize) -> Result<Vec<String>, Reason> {
    let strings = iter::repeat_with(|| {
        let length = length_prefix(&mut data)?;
        let (own, rest) = data.split_at_checked(length).ok_or("has strings beyond their page")?;
        data = rest;
        String::from_utf8(own.to_vec()).map_err(|_| "has strings that are not UTF-8".to_owned())
    });
    strings.take(count).collect()
}

/// `count` strings of `dictionary`, by their places in it.
fn chosen(data: &[u8], dictionary: &[String], count: usize) -> Result<Vec<String>, Reason> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let (&width, data) = data.split_first().ok_or("has a page without values")?;
    let places = levels::decode(data, u32::from(width), count)?;
    let string = |place: &u32| dictionary.get(*place as usize).cloned();
    let strings: Option<Vec<String>> = places.iter().map(string).collect();
    strings.ok_or_else(|| "has values that its dictionary lacks".to_owned())
}

/// A length in four bytes at the start of `data`, which it is taken from.
fn length_prefix(data: &mut &[u8]) -> Result<usize, Reason> {
    let (length, rest) = data.split_first_chunk::<4>().ok_or("has a page that is cut off")?;
    *data = rest;
    Ok(u32::from_le_bytes(*length) as usize)
}
