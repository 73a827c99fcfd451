//! Values as the store keeps them: MessagePack, as docs/format.md describes it.
//!
//! JavaScript encodes and decodes its own values (`lib/encode.js`, `lib/decode.js`). Rust reads
//! them where it must: numbers for `increment`, JSON for tools. Nothing here panics or allocates
//! more than the input warrants, whatever the bytes.

mod json;
mod reader;

pub use json::{from_json, to_json};

use crate::error::{Error, Result};
use reader::{Item, Reader};

/// MessagePack extension types, the same as in `lib/format.js`.
mod ext {
    pub const TIMESTAMP: i8 = -1;
    pub const UNDEFINED: i8 = 0;
    pub const MAP: i8 = 1;
    pub const SET: i8 = 2;
    pub const BIGINT: i8 = 3;
    pub const BUFFER: i8 = 4;
    pub const BINARY: i8 = 5;
    pub const UTF16: i8 = 6;
    pub const INVALID_DATE: i8 = 7;
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt(format!("a record holds bytes that are not a value ({what})"))
}

/// Verifies that `bytes` are exactly one well-formed value.
///
/// # Errors
///
/// [`Error::Corrupt`] if they are not.
pub fn check(bytes: &[u8]) -> Result<()> {
    let mut reader = Reader::new(bytes);
    reader.skip_value()?;
    reader.finish()
}

/// The value as a number, if JavaScript sees it as one. A bigint is not.
#[must_use]
pub fn as_number(bytes: &[u8]) -> Option<f64> {
    let mut reader = Reader::new(bytes);
    let item = reader.next().ok()?;
    reader.finish().ok()?;
    match item {
        Item::Int(number) => Some(number as f64),
        Item::Float(number) => Some(number),
        _ => None,
    }
}

/// Appends a number as `lib/encode.js` writes it: an integer of at most 32 bits in its shortest
/// form, anything else (and -0) as a 64-bit float.
pub fn write_number(out: &mut Vec<u8>, number: f64) {
    let integer = number as i64;
    let is_integer = integer as f64 == number && !(integer == 0 && number.is_sign_negative());
    let short = if is_integer { i32::try_from(integer).ok() } else { None };
    if let Some(n @ ..=-1) = short {
        match (i8::try_from(n), i16::try_from(n)) {
            (Ok(n), _) if n >= -0x20 => out.extend(n.to_be_bytes()),
            (Ok(n), _) => put(out, 0xd0, n.to_be_bytes()),
            (_, Ok(n)) => put(out, 0xd1, n.to_be_bytes()),
            _ => put(out, 0xd2, n.to_be_bytes()),
        }
    } else if let (true, Ok(n)) = (is_integer, u32::try_from(integer)) {
        match (u8::try_from(n), u16::try_from(n)) {
            (Ok(n), _) if n < 0x80 => out.push(n),
            (Ok(n), _) => put(out, 0xcc, n.to_be_bytes()),
            (_, Ok(n)) => put(out, 0xcd, n.to_be_bytes()),
            _ => put(out, 0xce, n.to_be_bytes()),
        }
    } else {
        put(out, 0xcb, number.to_be_bytes());
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, token: u8, bytes: [u8; N]) {
    out.push(token);
    out.extend(bytes);
}

/// What the value is, for an error message: "a string", "an object", "a bigint".
#[must_use]
pub fn kind(bytes: &[u8]) -> &'static str {
    let Ok(item) = Reader::new(bytes).next() else { return "a damaged value" };
    match item {
        Item::Nil => "null",
        Item::Bool(_) => "a boolean",
        Item::Int(_) | Item::Float(_) => "a number",
        Item::BigInt(_) => "a bigint",
        Item::Str(_) => "a string",
        Item::Bytes(_) => "bytes",
        Item::Array(_) => "an array",
        Item::Object(_) => "an object",
        Item::Ext(ext::TIMESTAMP | ext::INVALID_DATE, _) => "a date",
        Item::Ext(ext::UNDEFINED, _) => "undefined",
        Item::Ext(ext::MAP, _) => "a map",
        Item::Ext(ext::SET, _) => "a set",
        Item::Ext(ext::BIGINT, _) => "a bigint",
        Item::Ext(ext::BUFFER, _) => "bytes",
        Item::Ext(ext::BINARY, _) => "a typed array",
        Item::Ext(ext::UTF16, _) => "a string",
        Item::Ext(..) => "a damaged value",
    }
}

#[cfg(test)]
#[path = "value/tests.rs"]
mod tests;
