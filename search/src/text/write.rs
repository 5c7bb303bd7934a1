//! Writes texts, in the order of accounts and messages, into files: frames as they fill, then signatures, index and footer.
//!
//! Promises: the same texts give the same bytes behind the name; memory for a frame of each kind, a few texts and the signatures of one file. A crash leaves: files that are
//! not whole or named by nobody.

use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::limits::{RUN_FRAMES_MAX, RUN_RAW_MAX, SIGNATURE_FRAMES_MIN, TEXT_FRAME_MAX};

use super::bytes::length;
use super::frame::{Listed, Of, Packer, PieceOf};
use super::index::{FrameAt, Index, OfAccount, Part};
use super::signature::{self, Bits};
use super::{BEHIND, Key, Kind, Made, Piece, Rect, TextId};

/// Magic number of the skippable frame that a signature is.
const SIGNATURE_MAGIC: u32 = 0x184D_2A56;

/// Makes a file.
pub(super) type Open<'o> = &'o mut dyn FnMut() -> io::Result<NewFile>;

/// A file that was made.
pub struct NewFile {
    /// Its name for good, 16 random bytes.
    pub id: [u8; 16],
    /// Takes its bytes.
    pub out: Box<dyn Write>,
    /// Bytes that are in it already.
    pub at: u64,
}

/// A file that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub id: [u8; 16],
    /// Which messages have their text in it.
    pub rect: Rect,
    /// Its bytes.
    pub bytes: u64,
    /// Of these, of frames of headers.
    pub header_bytes: u64,
    /// Bytes of its texts.
    pub raw_bytes: u64,
    /// Of these, of headers.
    pub header_raw_bytes: u64,
}

/// Writes a run.
pub struct RunWriter<'o> {
    open: Open<'o>,
    /// Of the file being written; its end is found out.
    rect: Rect,
    made: Made,
    file: Option<File>,
    packer: Packer,
    account: u64,
    kinds: [Filling; 2],
    written: Vec<Written>,
}

/// A file at work.
struct File {
    id: [u8; 16],
    out: Box<dyn Write>,
    at: u64,
    raw: u64,
    header: (u64, u64),
    frames: usize,
    accounts: Vec<OfAccount>,
    /// Account by number in `accounts`, kind, rows.
    signatures: Vec<(usize, Kind, Vec<u8>)>,
}

/// Frames of an account and kind that are being filled.
#[derive(Default)]
struct Filling {
    list: Vec<Listed>,
    text: String,
    part: Part,
    /// Texts of the first frames: most accounts have too few for a signature.
    first: Vec<String>,
    bits: Vec<Bits>,
}

impl<'o> RunWriter<'o> {
    /// A run about the messages of `rect`.
    ///
    /// # Errors
    /// `Io` when zstd gives nothing.
    pub fn new(rect: Rect, made: Made, open: Open<'o>) -> Result<RunWriter<'o>> {
        Ok(RunWriter {
            open,
            rect,
            made,
            file: None,
            packer: Packer::new()?,
            account: 0,
            kinds: Default::default(),
            written: Vec::new(),
        })
    }

    /// Adds a text, or the next piece of one. Accounts come in ascending order, and so do messages of an account; each has a text of its body, be
    /// it empty, and then one of its header.
    ///
    /// # Errors
    /// `Io`
    pub fn add(&mut self, account: u64, id: TextId, kind: Kind, piece: Piece<'_>) -> Result<()> {
        if account != self.account {
            self.end_account()?;
            self.account = account;
        }
        let begins = kind == Kind::Body && piece.number.unwrap_or(0) == 0;
        let is_full = |file: &File| file.raw >= RUN_RAW_MAX || file.frames >= RUN_FRAMES_MAX;
        if begins && self.file.as_ref().is_some_and(is_full) {
            self.end_account()?;
            self.end_file(Some(Key { account, id }))?;
        }
        let filling = &self.kinds[kind.index()];
        let is_over = filling.text.len() + piece.text.len() >= TEXT_FRAME_MAX;
        if !filling.list.is_empty() && (is_over || piece.number.is_some()) {
            self.end_frame(kind)?;
        }
        let filling = &mut self.kinds[kind.index()];
        filling.text.push_str(piece.text);
        filling.text.push(BEHIND);
        filling.list.push(Listed {
            id,
            bytes: piece.text.len(),
            piece: piece.number.map(|number| PieceOf {
                number,
                repeats: piece.repeats,
            }),
        });
        match piece.number {
            Some(_) => self.end_frame(kind),
            None => Ok(()),
        }
    }

    /// Ends the last file. A run without a text is a file too.
    ///
    /// # Errors
    /// `Io`
    pub fn end(mut self) -> Result<Vec<Written>> {
        self.end_account()?;
        self.end_file(self.rect.high)?;
        Ok(self.written)
    }

    fn file(&mut self) -> Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let new = (self.open)().map_err(Error::io("a file of text"))?;
                File {
                    id: new.id,
                    out: new.out,
                    at: new.at,
                    raw: 0,
                    header: (0, 0),
                    frames: 0,
                    accounts: Vec::new(),
                    signatures: Vec::new(),
                }
            }
        };
        Ok(self.file.insert(file))
    }

    fn end_frame(&mut self, kind: Kind) -> Result<()> {
        if self.kinds[kind.index()].list.is_empty() {
            return Ok(());
        }
        let of = Of {
            seed: self.file()?.seed(),
            account: self.account,
            kind,
        };
        let filling = &mut self.kinds[kind.index()];
        let Some(first) = filling.list.first() else {
            return Ok(());
        };
        let (first, raw) = (first.id, filling.text.len());
        let packed = self.packer.pack(of, &filling.list, &filling.text)?;
        filling.list.clear();
        let text = std::mem::take(&mut filling.text);
        let file = self.file()?;
        let at = FrameAt {
            offset: file.at,
            bytes: packed.len(),
            raw,
            first,
        };
        file.put(&packed)?;
        file.frames += 1;
        file.raw += length(raw);
        if kind == Kind::Header {
            file.header.0 += length(packed.len());
            file.header.1 += length(raw);
        }
        self.kinds[kind.index()].keep(at, text);
        Ok(())
    }

    /// Ends what the file has of an account.
    fn end_account(&mut self) -> Result<()> {
        for kind in Kind::ALL {
            self.end_frame(kind)?;
        }
        let mut parts: [Part; 2] = Default::default();
        let mut signatures = Vec::new();
        for kind in Kind::ALL {
            let filling = std::mem::take(&mut self.kinds[kind.index()]);
            if !filling.bits.is_empty() {
                let of = Of {
                    seed: self.file()?.seed(),
                    account: self.account,
                    kind,
                };
                signatures.push((kind, signature::write(&filling.bits, of.seed())));
            }
            parts[kind.index()] = filling.part;
        }
        if parts.iter().all(|part| part.frames.is_empty()) {
            return Ok(());
        }
        let account = self.account;
        let file = self.file()?;
        let number = file.accounts.len();
        file.accounts.push(OfAccount { account, parts });
        let numbered = signatures.into_iter();
        let numbered = numbered.map(|(kind, rows)| (number, kind, rows));
        file.signatures.extend(numbered);
        Ok(())
    }

    /// Ends the file before the key of what comes next.
    fn end_file(&mut self, high: Option<Key>) -> Result<()> {
        let rect = Rect { high, ..self.rect };
        self.file()?;
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        for (number, kind, rows) in std::mem::take(&mut file.signatures) {
            let bytes = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            file.put(&SIGNATURE_MAGIC.to_le_bytes())?;
            file.put(&bytes.to_le_bytes())?;
            if let Some(of) = file.accounts.get_mut(number) {
                of.parts[kind.index()].signature = file.at;
            }
            file.put(&rows)?;
        }
        let index = Index {
            rect,
            made: self.made,
            accounts: std::mem::take(&mut file.accounts),
        };
        file.put(&index.write(file.at, file.seed()))?;
        file.out.flush().map_err(Error::io("a file of text"))?;
        self.written.push(Written {
            id: file.id,
            rect,
            bytes: file.at,
            header_bytes: file.header.0,
            raw_bytes: file.raw,
            header_raw_bytes: file.header.1,
        });
        if let Some(high) = high {
            self.rect.low = high;
        }
        Ok(())
    }
}

impl File {
    fn seed(&self) -> u32 {
        crc32c::crc32c(&self.id)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out
            .write_all(bytes)
            .map_err(Error::io("a file of text"))?;
        self.at += length(bytes.len());
        Ok(())
    }
}

impl Filling {
    /// Notes a frame that was written, and what its signature needs of it.
    fn keep(&mut self, at: FrameAt, text: String) {
        self.part.frames.push(at);
        if self.part.frames.len() < SIGNATURE_FRAMES_MIN {
            self.first.push(text);
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.bits.extend(first.iter().map(|text| Bits::of(text)));
        self.bits.push(Bits::of(&text));
    }
}
