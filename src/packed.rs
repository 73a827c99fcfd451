//! Many named values in one piece of memory: name, value, name, value ..., each after its length
//! as a little-endian u32.

use crate::error::{Error, Result};

/// The names and values in `bytes`.
pub fn unpack(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>> {
    let mut rest = bytes;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let name = take(&mut rest).and_then(|name| std::str::from_utf8(name).ok());
        let value = take(&mut rest);
        let (Some(name), Some(value)) = (name, value) else {
            return Err(Error::InvalidOption("ill-packed entries".into()));
        };
        entries.push((name, value));
    }
    Ok(entries)
}

/// A length and as many bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (taken, left) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_all_else_is_refused() {
        let packed = [1, 0, 0, 0, b'a', 2, 0, 0, 0, 7, 8];
        assert_eq!(unpack(&packed).ok(), Some(vec![("a", &[7, 8][..])]));
        for cut in 1..packed.len() {
            let part = packed.get(..cut).unwrap_or_default();
            assert!(unpack(part).is_err(), "{cut} bytes");
        }
        assert!(unpack(&[1, 0, 0, 0, 0xff, 0, 0, 0, 0]).is_err());
    }
}
