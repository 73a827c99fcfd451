//! MessagePack to JSON and back, for tools. JSON has fewer kinds of value, so the way there loses
//! some; docs/format.md lists what becomes what.

use serde_json::{Map, Number, Value};

use super::reader::{BinaryKind, Item, Reader, binary, timestamp_ms, utf16};
use super::{corrupt, ext, put, write_number};
use crate::error::{Error, Result};
use crate::limits::{MAX_VALUE_BYTES, MAX_VALUE_DEPTH};

/// Memory asked for at once for a container whose elements have not been seen yet, in elements.
const FIRST_CAPACITY: usize = 1024;

/// Largest bigint that becomes decimal, in bytes; a larger one becomes hexadecimal, because the
/// time to convert grows with the square of its size.
const MAX_DECIMAL_BYTES: usize = 4096;

/// The value as JSON.
///
/// # Errors
///
/// [`Error::Corrupt`] if `bytes` are not exactly one well-formed value.
pub fn to_json(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn read(reader: &mut Reader<'_>) -> Result<Value> {
    Ok(match reader.next()? {
        Item::Nil => Value::Null,
        Item::Bool(flag) => flag.into(),
        Item::Int(number) => number.into(),
        Item::BigInt(number) => bigint(number),
        Item::Float(number) => float(number),
        Item::Str(text) => text.into(),
        Item::Bytes(bytes) => base64(bytes).into(),
        Item::Array(length) => {
            reader.enter(length)?;
            let elements = read_elements(reader, length)?;
            reader.leave();
            elements.into()
        }
        Item::Object(size) => {
            reader.enter(size)?;
            let mut object = Map::new();
            for _ in 0..size {
                object.insert(reader.property_name()?, read(reader)?);
            }
            reader.leave();
            object.into()
        }
        Item::Ext(kind, payload) => read_ext(reader, kind, payload)?,
    })
}

fn read_elements(reader: &mut Reader<'_>, length: usize) -> Result<Vec<Value>> {
    let mut elements = Vec::with_capacity(length.min(FIRST_CAPACITY));
    for _ in 0..length {
        elements.push(read(reader)?);
    }
    Ok(elements)
}

fn read_ext(reader: &Reader<'_>, kind: i8, payload: &[u8]) -> Result<Value> {
    Ok(match kind {
        ext::UNDEFINED | ext::INVALID_DATE => Value::Null,
        ext::TIMESTAMP => iso_date(timestamp_ms(payload)?).into(),
        ext::MAP | ext::SET => {
            let (length, mut inner) = reader.elements(payload)?;
            let elements = read_elements(&mut inner, length)?;
            inner.finish()?;
            if kind == ext::SET { elements.into() } else { map(elements)? }
        }
        ext::BIGINT => big_bigint(payload)?,
        ext::BUFFER => base64(payload).into(),
        ext::BINARY => typed_array(payload)?,
        ext::UTF16 => utf16(payload)?.into(),
        _ => return Err(corrupt("its extension type is unknown")),
    })
}

/// An object if every key is a string in JSON, else an array of pairs.
fn map(elements: Vec<Value>) -> Result<Value> {
    if elements.len() % 2 == 1 {
        return Err(corrupt("a map has a key without a value"));
    }
    let is_object = elements.iter().step_by(2).all(Value::is_string);
    let mut object = Map::new();
    let mut pairs = Vec::new();
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        match key {
            Value::String(key) if is_object => _ = object.insert(key, value),
            key => pairs.push(Value::from(vec![key, value])),
        }
    }
    Ok(if is_object { object.into() } else { pairs.into() })
}

/// JSON has no NaN and no infinities. Whole numbers are written without a fraction.
fn float(number: f64) -> Value {
    const LAST_EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.trunc() == number && number.abs() <= LAST_EXACT;
    if is_whole && !(number == 0.0 && number.is_sign_negative()) {
        return (number as i64).into();
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

fn bigint(number: i128) -> Value {
    Number::from_i128(number).map_or_else(|| number.to_string().into(), Value::Number)
}

/// A bigint beyond 64 bits: big-endian two's complement.
fn big_bigint(payload: &[u8]) -> Result<Value> {
    let first = payload.first().ok_or_else(|| corrupt("a bigint has no bytes"))?;
    let is_negative = *first >= 0x80;
    let mut magnitude = payload.to_vec();
    if is_negative {
        negate(&mut magnitude);
    }
    let sign = if is_negative { "-" } else { "" };
    if magnitude.len() > MAX_DECIMAL_BYTES {
        let digits: String = magnitude.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(format!("{sign}0x{}", digits.trim_start_matches('0')).into());
    }
    let text = format!("{sign}{}", decimal(magnitude));
    Ok(text.parse::<i128>().map_or_else(|_| text.into(), bigint))
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (!*byte).overflowing_add(carry.into());
    }
}

/// Divides by 10^9 again and again; the remainders are the digits from the right.
fn decimal(mut magnitude: Vec<u8>) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut groups = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut remainder = 0;
        for byte in &mut magnitude {
            let dividend = remainder << 8 | u64::from(*byte);
            *byte = (dividend / BASE) as u8;
            remainder = dividend % BASE;
        }
        groups.push(remainder);
    }
    let digits: String = groups.iter().rev().map(|group| format!("{group:09}")).collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

fn typed_array(payload: &[u8]) -> Result<Value> {
    let (kind, bytes) = binary(payload)?;
    Ok(match kind {
        BinaryKind::Bytes => base64(bytes).into(),
        BinaryKind::Int8 => numbers(bytes, |b| i8::from_le_bytes(b).into()),
        BinaryKind::Uint8 => numbers(bytes, |b| u8::from_le_bytes(b).into()),
        BinaryKind::Int16 => numbers(bytes, |b| i16::from_le_bytes(b).into()),
        BinaryKind::Uint16 => numbers(bytes, |b| u16::from_le_bytes(b).into()),
        BinaryKind::Int32 => numbers(bytes, |b| i32::from_le_bytes(b).into()),
        BinaryKind::Uint32 => numbers(bytes, |b| u32::from_le_bytes(b).into()),
        BinaryKind::Int64 => numbers(bytes, |b| i64::from_le_bytes(b).into()),
        BinaryKind::Uint64 => numbers(bytes, |b| u64::from_le_bytes(b).into()),
        BinaryKind::Float16 => numbers(bytes, |b| float(half(u16::from_le_bytes(b)))),
        BinaryKind::Float32 => numbers(bytes, |b| float(f32::from_le_bytes(b).into())),
        BinaryKind::Float64 => numbers(bytes, |b| float(f64::from_le_bytes(b))),
    })
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> Value) -> Value {
    bytes.as_chunks::<N>().0.iter().map(|element| number(*element)).collect()
}

/// A 16-bit float: 1 bit sign, 5 bits exponent, 10 bits fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff);
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit =
                DIGITS.get((bits >> (18 - 6 * i) & 0x3f) as usize).filter(|_| i <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

/// As `Date.prototype.toISOString` writes it. The calendar is Howard Hinnant's `civil_from_days`.
fn iso_date(ms: i64) -> String {
    let (days, ms_of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{}{:06}", if year < 0 { '-' } else { '+' }, year.abs()),
    };
    let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// JSON as `lib/encode.js` would write the same value.
///
/// # Errors
///
/// [`Error::ValueTooDeep`] and [`Error::ValueTooLarge`].
pub fn from_json(value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(&mut out, value, 0)?;
    Ok(out)
}

fn write(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<()> {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(flag) => out.push(if *flag { 0xc3 } else { 0xc2 }),
        Value::Number(number) => write_number(out, number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => write_str(out, text)?,
        Value::Array(_) | Value::Object(_) if depth == MAX_VALUE_DEPTH => {
            return Err(Error::ValueTooDeep { limit: MAX_VALUE_DEPTH });
        }
        Value::Array(elements) => {
            write_header(out, 0x90, 0xdc, elements.len())?;
            for element in elements {
                write(out, element, depth + 1)?;
            }
        }
        Value::Object(properties) => {
            write_header(out, 0x80, 0xde, properties.len())?;
            for (name, value) in properties {
                write_str(out, name)?;
                write(out, value, depth + 1)?;
            }
        }
    }
    fits(out.len())
}

fn fits(bytes: usize) -> Result<()> {
    if bytes <= MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(Error::ValueTooLarge { what: "the value", bytes, limit: MAX_VALUE_BYTES })
}

fn write_str(out: &mut Vec<u8>, text: &str) -> Result<()> {
    fits(out.len() + text.len())?;
    match (text.len(), u8::try_from(text.len())) {
        (length @ 0..32, _) => out.push(0xa0 | length as u8),
        (_, Ok(length)) => put(out, 0xd9, length.to_be_bytes()),
        (length, _) => write_header_16_32(out, 0xda, length)?,
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The header of a container: `fixed` below 16 elements, else `token` (16 bits) or the next (32).
fn write_header(out: &mut Vec<u8>, fixed: u8, token: u8, length: usize) -> Result<()> {
    if length < 16 {
        out.push(fixed | length as u8);
        return Ok(());
    }
    write_header_16_32(out, token, length)
}

fn write_header_16_32(out: &mut Vec<u8>, token: u8, length: usize) -> Result<()> {
    if let Ok(length) = u16::try_from(length) {
        put(out, token, length.to_be_bytes());
    } else {
        fits(length)?;
        put(out, token + 1, (length as u32).to_be_bytes());
    }
    Ok(())
}
