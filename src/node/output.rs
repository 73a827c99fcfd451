//! The output buffer: where callbacks leave what they read.
//!
//! The face allocates it and hands it over (`setOutput`). Bytes 0..64 are eight numbers that say
//! what was left; records follow. A buffer that JavaScript owns works under Electron's memory
//! cage, where native memory may not be shown to JavaScript (hazard 35), and reusing one costs no
//! allocation per call.

use super::context::Output;

/// Bytes of the eight numbers.
pub(super) const HEADER_BYTES: usize = 64;

/// What a callback tells in the header of the buffer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report {
    /// Entries in this chunk.
    pub entries: usize,
    /// Where the last one ends.
    pub end: usize,
    /// 1 if the scan has ended.
    pub done: bool,
    /// Bytes the buffer must have to take the next entry, if it had no room for it.
    pub needed: usize,
}

/// Appends a text as MessagePack. The cast loses nothing: no text of ours has 4 GiB.
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(0xdb);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// Appends to the output buffer, and remembers how much room was missing.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    end: usize,
}

impl<'b> Writer<'b> {
    pub fn new(output: &'b mut Output) -> Writer<'b> {
        let buffer = if output.data.is_null() {
            &mut []
        } else {
            // SAFETY: the face holds the buffer (`use_output`); JavaScript does not run meanwhile.
            unsafe { std::slice::from_raw_parts_mut(output.data, output.bytes) }
        };
        Writer { buffer, end: HEADER_BYTES }
    }

    /// Where the next byte goes.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Appends the parts if all of them fit; else says how many bytes the buffer must have.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<(), usize> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let Some(mut room) = self.buffer.get_mut(self.end..self.end + bytes) else {
            return Err(self.end + bytes);
        };
        for part in parts {
            let (target, rest) = room.split_at_mut(part.len());
            target.copy_from_slice(part);
            room = rest;
        }
        self.end += bytes;
        Ok(())
    }

    /// Writes the header.
    pub fn report(&mut self, report: Report) {
        let numbers =
            [report.entries, report.end, usize::from(report.done), report.needed].map(|n| n as f64);
        for (field, number) in self.buffer.chunks_exact_mut(8).zip(numbers) {
            // Native byte order: JavaScript reads through a Float64Array.
            field.copy_from_slice(&number.to_ne_bytes());
        }
    }
}
