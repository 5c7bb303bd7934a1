//! Files in blocks, each with a checksum that begins with the file's name (`docs/format.md`).
//!
//! Promises: bytes are given out only when their checksum is the one of this file and this place; a file that is shorter or longer than it
//! was written is not opened.
//! Never: maps a file into memory; a file that shrinks while it is read is an error.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::directory::OwnedBytes;

use crate::limits::WORDS_BLOCK;

use super::files::{NewFile, OpenFile};

/// Bytes of a checksum.
const CRC: usize = 4;
/// Bytes of a block with its checksum.
const STRIDE: usize = WORDS_BLOCK + CRC;
/// Last bytes of a file.
const MAGIC: [u8; 4] = *b"cpw1";
/// Payload bytes (8), checksum (4), magic.
const FOOTER: usize = 8 + CRC + MAGIC.len();

/// What is wrong with a file, as the source of an `io::Error`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name} at byte {offset}: {found}")]
pub(super) struct Damage {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) found: &'static str,
}

impl Damage {
    pub(super) fn error(name: &str, offset: u64, found: &'static str) -> io::Error {
        let name = name.to_owned();
        let damage = Damage {
            name,
            offset,
            found,
        };
        io::Error::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Of a name and the number of a block: a block is of its file and at its place.
fn checksum(name: &str, block: u64, bytes: &[u8]) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), &block.to_le_bytes());
    crc32c::crc32c_append(seed, bytes)
}

/// The end of a file of so many payload bytes.
fn footer(name: &str, payload: u64) -> [u8; FOOTER] {
    let mut footer = [0; FOOTER];
    footer[..8].copy_from_slice(&payload.to_le_bytes());
    let crc = checksum(name, u64::MAX, &payload.to_le_bytes());
    footer[8..8 + CRC].copy_from_slice(&crc.to_le_bytes());
    footer[8 + CRC..].copy_from_slice(&MAGIC);
    footer
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// All of a small file as it is stored.
pub(super) fn pack(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + STRIDE);
    for (block, bytes) in (0..).zip(payload.chunks(WORDS_BLOCK)) {
        out.extend_from_slice(bytes);
        out.extend_from_slice(&checksum(name, block, bytes).to_le_bytes());
    }
    out.extend_from_slice(&footer(name, wide(payload.len())));
    out
}

/// Writes a file.
pub(super) struct BlockWriter {
    name: String,
    file: Box<dyn NewFile>,
    /// What is not a whole block yet.
    filling: Vec<u8>,
    blocks: u64,
}

impl BlockWriter {
    pub(super) fn new(name: &str, file: Box<dyn NewFile>) -> BlockWriter {
        BlockWriter {
            name: name.to_owned(),
            file,
            filling: Vec::with_capacity(STRIDE),
            blocks: 0,
        }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = WORDS_BLOCK - self.filling.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.filling.extend_from_slice(now);
            if self.filling.len() == WORDS_BLOCK {
                self.end_block()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes the end and makes all durable.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let payload = self.blocks * wide(WORDS_BLOCK) + wide(self.filling.len());
        if !self.filling.is_empty() {
            self.end_block()?;
        }
        self.file.append(&footer(&self.name, payload))?;
        self.file.sync()
    }

    fn end_block(&mut self) -> io::Result<()> {
        let crc = checksum(&self.name, self.blocks, &self.filling);
        self.filling.extend_from_slice(&crc.to_le_bytes());
        self.file.append(&self.filling)?;
        self.filling.clear();
        self.blocks += 1;
        Ok(())
    }
}

/// An opened file.
#[derive(Debug)]
pub(super) struct BlockFile {
    name: String,
    file: Arc<dyn OpenFile>,
    payload: usize,
    /// The block that was read last: what is read next mostly lies in it.
    last: Mutex<Option<(usize, OwnedBytes)>>,
}

impl BlockFile {
    /// Compares the end of a file with its length.
    pub(super) fn open(name: &str, file: Arc<dyn OpenFile>) -> io::Result<BlockFile> {
        let bytes = file.len()?;
        let damaged = |found| Damage::error(name, bytes, found);
        let at = bytes.checked_sub(wide(FOOTER));
        let at = at.ok_or_else(|| damaged("it is shorter than its end"))?;
        let mut end = [0; FOOTER];
        file.read_at(at, &mut end)?;
        let mut payload = [0; 8];
        payload.copy_from_slice(&end[..8]);
        let payload = u64::from_le_bytes(payload);
        if end != footer(name, payload) {
            return Err(damaged("its end is not that of this file"));
        }
        let blocks = payload.div_ceil(wide(WORDS_BLOCK));
        let stored = blocks.checked_mul(wide(CRC));
        if stored.and_then(|crcs| crcs.checked_add(payload)) != Some(at) {
            return Err(damaged("it is not as long as its end says"));
        }
        let payload = usize::try_from(payload).map_err(|_| damaged("it is too long"))?;
        Ok(BlockFile {
            name: name.to_owned(),
            file,
            payload,
            last: Mutex::new(None),
        })
    }

    /// Payload bytes.
    pub(super) fn len(&self) -> usize {
        self.payload
    }

    /// Reads and compares the blocks of a range of the payload.
    pub(super) fn read(&self, start: usize, end: usize) -> io::Result<OwnedBytes> {
        if start > end || end > self.payload {
            return Err(Damage::error(&self.name, wide(end), "it ends before"));
        }
        if start == end {
            return Ok(OwnedBytes::empty());
        }
        let (first, last) = (start / WORDS_BLOCK, (end - 1) / WORDS_BLOCK);
        let skip = first * WORDS_BLOCK;
        if first == last {
            let block = self.block(first)?;
            return Ok(block.slice(start - skip..end - skip));
        }
        let mut bytes = self.stored(first, last)?;
        // The checksums are taken out in place.
        let mut to = 0;
        for number in first..=last {
            let from = (number - first) * STRIDE;
            let length = self.length(number);
            self.compare(number, &bytes[from..from + length + CRC])?;
            bytes.copy_within(from..from + length, to);
            to += length;
        }
        bytes.truncate(to);
        Ok(OwnedBytes::new(bytes).slice(start - skip..end - skip))
    }

    /// Reads and compares every block.
    pub(super) fn check(&self) -> io::Result<()> {
        for number in 0..self.payload.div_ceil(WORDS_BLOCK) {
            self.compare(number, &self.stored(number, number)?)?;
        }
        Ok(())
    }

    fn block(&self, number: usize) -> io::Result<OwnedBytes> {
        let lock = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = lock().as_ref().filter(|(known, _)| *known == number) {
            return Ok(bytes.clone());
        }
        let mut bytes = self.stored(number, number)?;
        self.compare(number, &bytes)?;
        bytes.truncate(self.length(number));
        let bytes = OwnedBytes::new(bytes);
        *lock() = Some((number, bytes.clone()));
        Ok(bytes)
    }

    /// Payload bytes of a block.
    fn length(&self, number: usize) -> usize {
        (self.payload - number * WORDS_BLOCK).min(WORDS_BLOCK)
    }

    /// Blocks with their checksums.
    fn stored(&self, first: usize, last: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (last - first) * STRIDE + self.length(last) + CRC];
        self.file.read_at(wide(first * STRIDE), &mut bytes)?;
        Ok(bytes)
    }

    fn compare(&self, number: usize, stored: &[u8]) -> io::Result<()> {
        let split = stored.split_last_chunk::<CRC>();
        let is_same = split.is_some_and(|(bytes, crc)| {
            checksum(&self.name, wide(number), bytes) == u32::from_le_bytes(*crc)
        });
        match is_same {
            true => Ok(()),
            false => {
                let at = wide(number * STRIDE);
                let found = "its bytes are not those of its checksum";
                Err(Damage::error(&self.name, at, found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[derive(Debug)]
    struct Plain(File);

    impl OpenFile for Plain {
        fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
            self.0.read_exact_at(into, offset)
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.metadata()?.len())
        }
    }

    #[test]
    fn each_range_is_read_as_it_was_written_and_a_file_that_shrinks_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let payload: Vec<u8> = (0..WORDS_BLOCK * 3 + 7)
            .map(|at| u8::try_from(at * 31 % 251).unwrap())
            .collect();
        file.write_all_at(&pack("a", &payload), 0).unwrap();
        let open = |name| BlockFile::open(name, Arc::new(Plain(file.try_clone().unwrap())));
        assert!(open("b").is_err());
        let opened = open("a").unwrap();
        let edges = [
            0,
            1,
            WORDS_BLOCK - 1,
            WORDS_BLOCK,
            WORDS_BLOCK + 1,
            WORDS_BLOCK * 3,
            payload.len(),
        ];
        for start in edges {
            for end in edges.into_iter().filter(|end| *end >= start) {
                assert_eq!(&opened.read(start, end).unwrap()[..], &payload[start..end]);
            }
        }
        assert!(opened.read(0, payload.len() + 1).is_err());
        file.set_len(100).unwrap();
        let read = opened.read(WORDS_BLOCK, WORDS_BLOCK + 1);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
