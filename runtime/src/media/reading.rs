//! Reads numbers from files that may end anywhere: whatever is not there is `None`.

use std::io::{BufReader, Read, Seek, SeekFrom};

/// A file of known length, read forwards with jumps.
#[derive(Debug)]
pub(super) struct Source<R: Read + Seek> {
    inner: BufReader<R>,
    at: u64,
    /// Length of the whole, in bytes.
    pub(super) len: u64,
}

impl<R: Read + Seek> Source<R> {
    /// Begins at the beginning.
    pub(super) fn new(mut inner: R) -> Option<Self> {
        let len = inner.seek(SeekFrom::End(0)).ok()?;
        inner.seek(SeekFrom::Start(0)).ok()?;
        Some(Self {
            inner: BufReader::new(inner),
            at: 0,
            len,
        })
    }

    /// Where the next byte comes from.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Goes to a place, which may be the end, never beyond.
    pub(super) fn go(&mut self, to: u64) -> Option<()> {
        if to > self.len {
            return None;
        }
        let way = i64::try_from(to)
            .ok()?
            .checked_sub(i64::try_from(self.at).ok()?)?;
        self.inner.seek_relative(way).ok()?;
        self.at = to;
        Some(())
    }

    /// Passes over some bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> Option<()> {
        self.go(self.at.checked_add(bytes)?)
    }

    /// The next bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).ok()?;
        self.at += N as u64;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16_be(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u16_le(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u24_le(&mut self) -> Option<u32> {
        self.take().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(super) fn u32_be(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u32_le(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64_be(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}
