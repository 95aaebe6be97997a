//! Thrift's compact protocol, in which Parquet files describe themselves.

use super::Reason;
use std::collections::BTreeMap;

/// Structures in one another that are read at most.
const DEPTH: usize = 16;

/// A value; those that no description of strings needs are only passed over.
#[derive(Debug, Clone)]
enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Struct(Struct<'a>),
    Other,
}

/// Fields by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Struct<'a>(BTreeMap<i16, Value<'a>>);

/// A list of structures or of strings.
pub type Structs<'a> = Vec<Struct<'a>>;

impl<'a> Struct<'a> {
    /// The structure at the start of `bytes`, and its length.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), Reason> {
        let mut reader = Reader { rest: bytes };
        let parsed = reader.structure(DEPTH).ok_or("has a description that is damaged")?;
        Ok((parsed, bytes.len() - reader.rest.len()))
    }

    /// Field `number`, an integer; 0 where it is absent.
    pub fn integer(&self, number: i16) -> i64 {
        if let Some(Value::Integer(value)) = self.0.get(&number) { *value } else { 0 }
    }

    /// Field `number`, an integer that counts something.
    pub fn count(&self, number: i16) -> Result<usize, Reason> {
        usize::try_from(self.integer(number)).map_err(|_| "has a negative count".to_owned())
    }

    /// Whether there is a field `number`.
    pub fn has(&self, number: i16) -> bool {
        self.0.contains_key(&number)
    }

    /// Field `number`, a string.
    pub fn text(&self, number: i16) -> String {
        if let Some(Value::Bytes(bytes)) = self.0.get(&number) {
            String::from_utf8_lossy(bytes).into_owned()
        } else {
            String::new()
        }
    }

    /// Field `number`, a structure; an empty one where it is absent.
    pub fn structure(&self, number: i16) -> Self {
        if let Some(Value::Struct(value)) = self.0.get(&number) { value.clone() } else { Self::default() }
    }

    /// Field `number`, a list of structures.
    pub fn list(&self, number: i16) -> Result<Structs<'a>, Reason> {
        let Some(Value::List(values)) = self.0.get(&number) else {
            return Err("has a description that lacks a list".to_owned());
        };
        let structures = values.iter().map(|value| match value {
            Value::Struct(value) => Ok(value.clone()),
            _ => Err("has a description with a wrong list".to_owned()),
        });
        structures.collect()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// Nothing where the bytes end.
impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn integer(&mut self) -> Option<i64> {
        let value = variable(&mut self.rest)?;
        // Signs are in the lowest bit.
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn structure(&mut self, depth: usize) -> Option<Struct<'a>> {
        let mut fields = BTreeMap::new();
        let mut number = 0_i16;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(Struct(fields));
            }
            number = match header >> 4 {
                0 => i16::try_from(self.integer()?).ok()?,
                step => number.checked_add(i16::from(step))?,
            };
            let value = match header & 15 {
                // The type is the value.
                kind @ (1 | 2) => Value::Integer(i64::from(kind == 1)),
                kind => self.value(kind, depth)?,
            };
            fields.insert(number, value);
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        Some(match kind {
            // In lists, truth takes a byte.
            1..=3 => Value::Integer(i64::from(self.byte()?)),
            4..=6 => Value::Integer(self.integer()?),
            7 => self.bytes(8).map(|_| Value::Other)?,
            8 => {
                let length = usize::try_from(variable(&mut self.rest)?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            9 | 10 => {
                let header = self.byte()?;
                let count = match header >> 4 {
                    15 => usize::try_from(variable(&mut self.rest)?).ok()?,
                    count => usize::from(count),
                };
                // Every value takes a byte at least.
                if count > self.rest.len() {
                    return None;
                }
                Value::List((0..count).map(|_| self.value(header & 15, depth)).collect::<Option<_>>()?)
            }
            12 => Value::Struct(self.structure(depth)?),
            _ => return None,
        })
    }
}

/// An integer without a sign, seven bits in each byte, at the start of `bytes`, which it is taken from.
pub fn variable(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
