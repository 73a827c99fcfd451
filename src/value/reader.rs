//! MessagePack tokens, with every length checked against what remains.

use super::{corrupt, ext};
use crate::error::Result;
use crate::limits::MAX_VALUE_DEPTH;

/// The kinds of binary data behind [`ext::BINARY`], by their code.
pub const BINARY_KINDS: [BinaryKind; 14] = [
    BinaryKind::Int8,
    BinaryKind::Uint8,
    BinaryKind::Uint8,
    BinaryKind::Int16,
    BinaryKind::Uint16,
    BinaryKind::Int32,
    BinaryKind::Uint32,
    BinaryKind::Float32,
    BinaryKind::Float64,
    BinaryKind::Int64,
    BinaryKind::Uint64,
    BinaryKind::Float16,
    BinaryKind::Bytes,
    BinaryKind::Bytes,
];

/// How the elements of binary data are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryKind {
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Float32,
    Float64,
    Int64,
    Uint64,
    Float16,
    Bytes,
}

impl BinaryKind {
    fn element_bytes(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 | Self::Bytes => 1,
            Self::Int16 | Self::Uint16 | Self::Float16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }
}

/// One token. Of a container only the length; its elements follow.
#[derive(Debug)]
pub enum Item<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    BigInt(i128),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Array(usize),
    /// Property names and values in turn: this many of each.
    Object(usize),
    Ext(i8, &'a [u8]),
}

/// Reads tokens one after another and counts the nesting.
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, depth: 0 }
    }

    /// A reader of what is nested in an extension, at the depth of its container.
    pub fn nested(&self, payload: &'a [u8]) -> Reader<'a> {
        Reader { rest: payload, depth: self.depth }
    }

    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(corrupt("bytes follow its end")) }
    }

    pub fn next(&mut self) -> Result<Item<'a>> {
        let token = self.u8()?;
        Ok(match token {
            0x00..=0x7f => Item::Int(token.into()),
            0x80..=0x8f => Item::Object(usize::from(token & 0x0f)),
            0x90..=0x9f => Item::Array(usize::from(token & 0x0f)),
            0xa0..=0xbf => self.str(usize::from(token & 0x1f))?,
            0xc0 => Item::Nil,
            0xc2 => Item::Bool(false),
            0xc3 => Item::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(token - 0xc4)?;
                Item::Bytes(self.take(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(token - 0xc7)?;
                self.ext(length)?
            }
            0xca => Item::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Item::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Item::Int(self.u8()?.into()),
            0xcd => Item::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Item::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => Item::BigInt(u64::from_be_bytes(self.array()?).into()),
            0xd0 => Item::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Item::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Item::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Item::BigInt(i64::from_be_bytes(self.array()?).into()),
            0xd4..=0xd8 => self.ext(1 << (token - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(token - 0xd9)?;
                self.str(length)?
            }
            0xdc..=0xdd => Item::Array(self.length(token - 0xdb)?),
            0xde..=0xdf => Item::Object(self.length(token - 0xdd)?),
            0xe0..=0xff => Item::Int(i64::from(token) - 0x100),
            0xc1 => return Err(corrupt("its type 0xc1 is unknown")),
        })
    }

    /// Called before the elements of a container are read, [`Self::leave`] after.
    pub fn enter(&mut self, elements: usize) -> Result<()> {
        if elements > self.rest.len() {
            return Err(corrupt("it is cut short"));
        }
        if self.depth == MAX_VALUE_DEPTH {
            return Err(corrupt("it is nested too deeply"));
        }
        self.depth += 1;
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The number of elements of a Map or Set, and a reader that has entered it.
    pub fn elements(&self, payload: &'a [u8]) -> Result<(usize, Reader<'a>)> {
        let mut reader = self.nested(payload);
        let Item::Array(length) = reader.next()? else {
            return Err(corrupt("the elements of a map or set are not an array"));
        };
        reader.enter(length)?;
        Ok((length, reader))
    }

    /// A property's name; ill-formed parts are replaced by U+FFFD.
    pub fn property_name(&mut self) -> Result<String> {
        match self.next()? {
            Item::Str(name) => Ok(name.to_owned()),
            Item::Ext(ext::UTF16, payload) => utf16(payload),
            _ => Err(corrupt("a property name is not a string")),
        }
    }

    pub fn skip_value(&mut self) -> Result<()> {
        match self.next()? {
            Item::Array(length) => {
                self.enter(length)?;
                for _ in 0..length {
                    self.skip_value()?;
                }
                self.leave();
            }
            Item::Object(size) => {
                self.enter(size)?;
                for _ in 0..size {
                    self.property_name()?;
                    self.skip_value()?;
                }
                self.leave();
            }
            Item::Ext(kind, payload) => self.check_ext(kind, payload)?,
            _ => {}
        }
        Ok(())
    }

    fn check_ext(&self, kind: i8, payload: &'a [u8]) -> Result<()> {
        match kind {
            ext::MAP | ext::SET => {
                let (length, mut reader) = self.elements(payload)?;
                if kind == ext::MAP && length % 2 != 0 {
                    return Err(corrupt("a map has a key without a value"));
                }
                for _ in 0..length {
                    reader.skip_value()?;
                }
                reader.finish()
            }
            ext::BIGINT if payload.is_empty() => Err(corrupt("a bigint has no bytes")),
            ext::BINARY => binary(payload).map(|_| ()),
            ext::UTF16 => utf16(payload).map(|_| ()),
            ext::TIMESTAMP => timestamp_ms(payload).map(|_| ()),
            ext::UNDEFINED | ext::INVALID_DATE | ext::BIGINT | ext::BUFFER => Ok(()),
            _ => Err(corrupt("its extension type is unknown")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| corrupt("it is cut short"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) =
            self.rest.split_first_chunk().ok_or_else(|| corrupt("it is cut short"))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// A length of 8, 16 or 32 bits, for `width` 0, 1 and 2.
    fn length(&mut self, width: u8) -> Result<usize> {
        Ok(match width {
            0 => self.u8()?.into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn str(&mut self, length: usize) -> Result<Item<'a>> {
        let text = std::str::from_utf8(self.take(length)?);
        Ok(Item::Str(text.map_err(|_| corrupt("a string is not UTF-8"))?))
    }

    fn ext(&mut self, length: usize) -> Result<Item<'a>> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Item::Ext(kind, self.take(length)?))
    }
}

/// The elements' kind and bytes of an [`ext::BINARY`] payload.
pub fn binary(payload: &[u8]) -> Result<(BinaryKind, &[u8])> {
    let (code, elements) =
        payload.split_first().ok_or_else(|| corrupt("a typed array is empty"))?;
    let kind = *BINARY_KINDS
        .get(usize::from(*code))
        .ok_or_else(|| corrupt("a typed array has an unknown code"))?;
    if elements.len() % kind.element_bytes() != 0 {
        return Err(corrupt("a typed array is cut short"));
    }
    Ok((kind, elements))
}

/// The text of an [`ext::UTF16`] payload; what is ill-formed is replaced by U+FFFD.
pub fn utf16(payload: &[u8]) -> Result<String> {
    let (units, rest) = payload.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(corrupt("a string is cut short"));
    }
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    Ok(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// Milliseconds since 1970 of a standard timestamp.
pub fn timestamp_ms(payload: &[u8]) -> Result<i64> {
    const LAST_DATE_MS: i64 = 8_640_000_000_000_000;
    let mut reader = Reader::new(payload);
    let (seconds, nanoseconds) = match payload.len() {
        4 => (u32::from_be_bytes(reader.array()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(reader.array()?);
            ((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
        }
        12 => {
            let nanoseconds = u32::from_be_bytes(reader.array()?);
            (i64::from_be_bytes(reader.array()?), nanoseconds)
        }
        _ => return Err(corrupt("a date has a wrong length")),
    };
    seconds
        .checked_mul(1000)
        .and_then(|ms| ms.checked_add(i64::from(nanoseconds / 1_000_000)))
        .filter(|ms| nanoseconds < 1_000_000_000 && (-LAST_DATE_MS..=LAST_DATE_MS).contains(ms))
        .ok_or_else(|| corrupt("a date is out of range"))
}
