//! Keeps the word index: takes in what the text store has, and out what it drops.
//!
//! Promises: a commit says what it has. What is broken off is done again from the last commit that says so:
//! an account, and `WORDS_COMMIT_BYTES` before it. Never: keeps text from being written or merged.

use std::sync::Arc;

use coldpost_search::limits::WORDS_TEXT_MAX;
use coldpost_search::text::{Key, Kind as TextKind, Piece, Rect, Run, TextId};
use coldpost_search::words::{Field, WordIndex, Writer};

use super::covers::Covers;
use super::{State, WordStore, of_words};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::limits::{INDEX_ROOM_MIN, WORDS_COMMIT_BYTES, WORDS_COMMIT_MESSAGES, WORDS_LOST_MAX};
use crate::open::Engine;
use crate::shard::Shard;
use crate::text::{RULES, TextFile, Written};

/// Folded names of the fields whose words are indexed.
const FIELDS: [(&str, Field); 5] = [
    ("FROM: ", Field::From),
    ("TO: ", Field::To),
    ("CC: ", Field::Cc),
    ("BCC: ", Field::Bcc),
    ("SUBJECT: ", Field::Subject),
];
/// Behind each field of a header in the text store.
const BETWEEN: char = '\n';

/// Keeps the index of one shard, from look to look.
pub(crate) struct WordKeeper {
    engine: Engine,
    shard: Arc<Shard>,
}

/// The texts of one message, as they come.
#[derive(Default)]
struct Message {
    id: Option<TextId>,
    bodies: String,
    headers: String,
}

/// What was taken in since the last commit.
#[derive(Default)]
struct Taken {
    messages: usize,
    bytes: usize,
}

impl WordKeeper {
    pub(crate) fn new(engine: &Engine, shard: &Arc<Shard>) -> WordKeeper {
        WordKeeper {
            engine: engine.clone(),
            shard: Arc::clone(shard),
        }
    }

    /// Indexes some of what the text store has and the index has not; whether there was something. `go_on` is asked now and then. Where the disk is
    /// short it does nothing: room is for mail first.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn step(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<bool> {
        let Some(words) = &self.shard.words else {
            return Ok(false);
        };
        if self.engine.room_left() < INDEX_ROOM_MIN {
            return Ok(false);
        }
        let mut writing = words.writing();
        let written = self.shard.text.written();
        words.begin(&mut writing, &written)?;
        let mut covers = words.state().covers.clone();
        // While much of the text is not there, words wait for it.
        if written.lost.len() > WORDS_LOST_MAX / 2 {
            return Ok(false);
        }
        covers.follow(&written);
        let Some(rect) = covers.next(&written) else {
            return Ok(false);
        };
        let mut damaged = None;
        let wanted = (&mut covers, rect);
        let ended = words.index(&mut writing, wanted, &written, &mut damaged, go_on);
        drop(writing);
        if let Some((file, e)) = damaged {
            self.shard.text.set_aside(&file, &e)?;
            return Ok(true);
        }
        words.judged(ended)?;
        self.shard.text.advanced.notify_waiters();
        // One that was set aside is begun anew at the next look.
        Ok(words.state().index.is_some())
    }

    /// Takes words of messages that are gone out of the files, where they have been there since `oldest` (seconds since 1970) or longer; whether there were some.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn clean(&mut self, oldest: i64) -> Result<bool> {
        let Some(words) = &self.shard.words else {
            return Ok(false);
        };
        let mut writing = words.writing();
        let mut covers = words.state().covers.clone();
        if covers.unclean == 0 || covers.unclean > oldest {
            return Ok(false);
        }
        let cleaned = words.with_writer(&mut writing, |writer| {
            let more = writer.purge_deleted()?;
            if !more {
                covers.unclean = 0;
                writer.commit(&covers.encode(words.lineage))?;
            }
            Ok(covers)
        });
        words.judged(cleaned.map(|covers| words.change().covers = covers))?;
        Ok(true)
    }

    /// Gives memory back that is needed while something is written.
    pub(crate) fn rest(&self) {
        if let Some(words) = &self.shard.words {
            *words.writing() = None;
        }
    }
}

impl WordStore {
    /// Makes an index anew where there is none that was made of this text.
    fn begin(&self, writing: &mut Option<Writer>, written: &Written) -> Result<()> {
        let is_of_it = {
            let state = self.state();
            state.index.is_some() && state.covers.line == written.line
        };
        if is_of_it {
            return Ok(());
        }
        *writing = None;
        let made = WordIndex::create(Arc::clone(&self.files) as _, RULES);
        let made = made.and_then(|index| Ok((index.reader()?, index)));
        let (reader, index) = made.map_err(of_words)?;
        let covers = Covers {
            line: written.line,
            ..Covers::default()
        };
        let mut state = self.change();
        *state = State {
            index: Some((index, reader)),
            covers,
            generation: state.generation + 1,
        };
        Ok(())
    }

    fn with_writer<T>(
        &self,
        writing: &mut Option<Writer>,
        work: impl FnOnce(&mut Writer) -> coldpost_search::Result<T>,
    ) -> coldpost_search::Result<T> {
        if writing.is_none() {
            let index = self.state().index.as_ref().map(|(index, _)| index.clone());
            *writing = index.map(|index| index.writer()).transpose()?;
        }
        let Some(writer) = writing.as_mut() else {
            // It was set aside: there is nothing to be written to until it is made anew.
            return Err(coldpost_search::Error::Late);
        };
        let done = work(writer);
        let reader = writer.reader();
        match &done {
            // What was not committed is given up.
            Err(_) => *writing = None,
            Ok(_) => {
                if let Some((_, known)) = &mut self.change().index {
                    *known = reader;
                }
            }
        }
        done
    }

    /// What went wrong: a damaged index is made anew, one that was broken off goes on at the next look.
    fn judged(&self, ended: coldpost_search::Result<()>) -> Result<()> {
        match ended {
            Ok(()) => Ok(()),
            Err(e) if e.is_corrupt() => {
                self.set_aside(self.state().generation, &e);
                Ok(())
            }
            Err(coldpost_search::Error::Late) => {
                Err(Error::new(Kind::Closed, "it is not to go on now"))
            }
            Err(e) => Err(of_words(e)),
        }
    }

    /// Takes in the messages of `rect`; a file of text in which there is `damage` is the text store's to be set aside.
    fn index(
        &self,
        writing: &mut Option<Writer>,
        (covers, rect): (&mut Covers, Rect),
        written: &Written,
        damage: &mut Option<(Arc<TextFile>, coldpost_search::Error)>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> coldpost_search::Result<()> {
        let is_of_it = |file: &&Arc<TextFile>| file.rect.from < rect.to && rect.from < file.rect.to;
        let files: Vec<&Arc<TextFile>> = written.files.iter().filter(is_of_it).collect();
        let accounts = files.iter().flat_map(|file| file.run.accounts());
        let mut accounts: Vec<u64> = accounts.collect();
        accounts.retain(|account| rect.has_account(*account));
        accounts.sort_unstable();
        accounts.dedup();
        let mut taken = Taken::default();
        let mut high = rect.high;
        self.with_writer(writing, |writer| {
            for account in accounts {
                if taken.bytes >= WORDS_COMMIT_BYTES {
                    let first = Key {
                        account,
                        ..Key::FIRST
                    };
                    high = Some(first.max(rect.low));
                    break;
                }
                for file in &files {
                    if !go_on() {
                        return Err(coldpost_search::Error::Late);
                    }
                    // What it has of an account may be more than a commit takes.
                    let known = covers.encode(self.lineage);
                    let read = take_run((&file.run, account, rect), writer, &mut taken, &known)?;
                    if let Err(e) = read {
                        *damage = Some((Arc::clone(file), e));
                        return Err(coldpost_search::Error::Late);
                    }
                }
            }
            covers.found(rect, high, written);
            writer.commit(&covers.encode(self.lineage))
        })?;
        self.change().covers = covers.clone();
        Ok(())
    }

    /// Takes messages out again that the text store drops.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses: they are to stay in the text store then.
    pub(crate) fn drop_dead(&self, dead: &[Key]) -> Result<()> {
        let mut writing = self.writing();
        if dead.is_empty() || self.state().index.is_none() {
            return Ok(());
        }
        let mut covers = self.state().covers.clone();
        if covers.unclean == 0 {
            covers.unclean = clock::now_s().max(1);
        }
        let dropped = self.with_writer(&mut writing, |writer| {
            for some in dead.chunks(WORDS_COMMIT_MESSAGES) {
                for key in some {
                    writer.remove(key.account, key.id)?;
                }
                writer.commit(&covers.encode(self.lineage))?;
            }
            Ok(())
        });
        if dropped.is_ok() {
            self.change().covers = covers;
        }
        self.judged(dropped)
    }
}

/// Takes in what a file has of an account; and why it could not be read, where that is so.
fn take_run(
    (run, account, rect): (&Run, u64, Rect),
    writer: &mut Writer,
    taken: &mut Taken,
    payload: &[u8],
) -> coldpost_search::Result<coldpost_search::Result<()>> {
    let mut message = Message::default();
    let mut failed = None;
    let mut put = |message: &mut Message| -> coldpost_search::Result<()> {
        taken.messages += 1;
        taken.bytes += message.bodies.len() + message.headers.len();
        message.put(account, writer)?;
        if taken.messages >= WORDS_COMMIT_MESSAGES {
            taken.messages = 0;
            writer.commit(payload)?;
        }
        Ok(())
    };
    let read = run.each_text(account, &mut |id, kind, piece| {
        if !rect.has(Key { account, id }) {
            return Ok(());
        }
        if message.id.is_some_and(|known| known != id)
            && let Err(e) = put(&mut message)
        {
            failed = Some(e);
            return Err(coldpost_search::Error::Late);
        }
        message.add(id, kind, &piece);
        Ok(())
    });
    match (failed, read) {
        (Some(e), _) => Err(e),
        (None, Err(e)) => Ok(Err(e)),
        (None, Ok(())) => {
            if message.id.is_some() {
                put(&mut message)?;
            }
            Ok(Ok(()))
        }
    }
}

impl Message {
    fn add(&mut self, id: TextId, kind: TextKind, piece: &Piece<'_>) {
        self.id = Some(id);
        let text = match kind {
            TextKind::Body => &mut self.bodies,
            TextKind::Header => &mut self.headers,
        };
        // What is behind that is not looked at.
        if text.len() < WORDS_TEXT_MAX {
            text.push_str(piece.text.get(piece.repeats..).unwrap_or_default());
        }
    }

    fn put(&mut self, account: u64, writer: &mut Writer) -> coldpost_search::Result<()> {
        if let Some(id) = self.id.take() {
            let mut texts = fields_of(&self.headers);
            texts.push((Field::Body, self.bodies.as_str()));
            writer.add(account, id, &texts)?;
        }
        self.bodies.clear();
        self.headers.clear();
        Ok(())
    }
}

/// The fields of a folded header whose words count.
pub(crate) fn fields_of(headers: &str) -> Vec<(Field, &str)> {
    let fields = headers.split(BETWEEN).filter_map(|line| {
        let mut known = FIELDS.iter();
        known.find_map(|(name, field)| Some((*field, line.strip_prefix(name)?)))
    });
    fields.collect()
}
