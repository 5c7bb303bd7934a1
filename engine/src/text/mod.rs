//! The text of a shard's messages, so that a search need not read mail: which files there are, which messages they speak for, and what is not
//! written yet (`docs/search.md`).
//!
//! The way of a text: `follow` reads the journal, `extract` takes the texts out of a message, they wait in `waiting`, `write` makes a file of them, `merge` one of
//! several; `rebuild` makes again what was lost.
//! Promises: of a message that this speaks for, what is found is what it holds; of all others it says nothing. A crash leaves: files that the manifest does not
//! name, which the next start removes. Losing all of it costs time.

mod check;
mod extract;
mod file;
mod follow;
pub(crate) mod manifest;
mod merge;
mod rebuild;
mod spool;
mod waiting;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use coldpost_search::text::{Ask, Hearing, Key, Rect, TextId, Wanted};
use coldpost_tiers::disk::{Disk, failed};
use coldpost_tiers::segment::Lineage;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::ids::{AccountId, MessageId, Position};
use crate::limits::TEXT_LOST_MAX;
pub(crate) use check::Check;
pub(crate) use file::{KeptFrames, TextFile, Writing};
pub(crate) use follow::Follower;
use manifest::Manifest;
pub(crate) use rebuild::Rebuilder;
use waiting::{MessageText, WaitingTexts};

/// Version of the rules by which text is taken out of mail and folded: what was made by others is made again.
pub(crate) const RULES: u32 = 1;

/// The text store of one shard.
pub(crate) struct TextStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    lineage: Lineage,
    state: RwLock<State>,
    kept: Arc<KeptFrames>,
    /// Something came to be spoken for.
    pub(crate) advanced: Notify,
}

/// What there is.
#[derive(Default)]
struct State {
    /// See [`Manifest::line`].
    line: u64,
    /// Up to here everything is in files, but for what is lost.
    followed: u64,
    /// Messages that the files should speak for and do not.
    lost: Vec<Rect>,
    files: Vec<Arc<TextFile>>,
    waiting: WaitingTexts,
    rebuilding: Option<Rebuilding>,
}

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rebuilding {
    /// Messages that were read.
    pub(crate) done: u64,
    /// Of how many.
    pub(crate) total: u64,
}

/// Figures for people.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// The last position that is spoken for.
    pub(crate) covered: u64,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) raw_bytes: u64,
    /// Stretches that are to be made again.
    pub(crate) lost: usize,
    pub(crate) rebuilding: Option<Rebuilding>,
}

/// What there is of one account, as it was at a moment.
pub(crate) struct TextView {
    account: u64,
    /// See [`Written::line`].
    pub(crate) line: u64,
    files: Vec<Arc<TextFile>>,
    waiting: Vec<(TextId, Arc<MessageText>)>,
    covered: u64,
    lost: Vec<Rect>,
    /// Messages that wait and are too large to be held.
    unheld: BTreeSet<TextId>,
}

/// What is in files.
pub(crate) struct Written {
    /// Another one after files were lost.
    pub(crate) line: u64,
    /// Up to here everything is, but for what is lost.
    pub(crate) followed: u64,
    pub(crate) lost: Vec<Rect>,
    pub(crate) files: Vec<Arc<TextFile>>,
}

/// Why a search found nothing out.
pub(crate) enum NotFound {
    /// A file was damaged; it was set aside, and another search does without it.
    SetAside,
    /// It took too long.
    Late,
    /// The disk refused.
    Failed(Error),
    /// The word index did.
    Words(coldpost_search::Error),
}

/// A message as the text store has it.
pub(crate) fn text_id(id: MessageId) -> TextId {
    TextId {
        epoch: id.epoch.0,
        position: id.position.0,
        number: id.number,
    }
}

/// The key of a message of an account.
pub(crate) fn key_of(account: AccountId, id: MessageId) -> Key {
    Key {
        account: account.0,
        id: text_id(id),
    }
}

pub(crate) fn message_id(id: TextId) -> MessageId {
    MessageId {
        epoch: crate::ids::Epoch(id.epoch),
        position: Position(id.position),
        number: id.number,
    }
}

impl TextStore {
    /// Opens what is there of a shard that has applied its journal up to `applied`; what cannot be used is lost, and will be made again.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        shard_dir: &Path,
        lineage: Lineage,
        applied: Position,
        kept: Arc<KeptFrames>,
    ) -> Result<TextStore> {
        let dir = shard_dir.join("text");
        disk.create_dir(&dir).map_err(|e| failed("make", &dir, e))?;
        let manifest = manifest::load(&*disk, &dir, lineage, applied);
        let mut state = State {
            line: manifest.line,
            followed: manifest.followed,
            lost: manifest.lost,
            ..State::default()
        };
        state.waiting.begin_at(manifest.followed);
        for named in manifest.files {
            match TextFile::open(&*disk, &dir, lineage, named, &kept) {
                Ok(file) => state.files.push(Arc::new(file)),
                Err(e) => {
                    tracing::warn!(shard = lineage.shard.0, "{e}; it is made again");
                    state.lose(named.rect);
                    state.line = manifest::draw_line();
                }
            }
        }
        let store = TextStore {
            disk,
            dir,
            lineage,
            state: RwLock::new(state),
            kept,
            advanced: Notify::new(),
        };
        store.sweep()?;
        Ok(store)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes files that nobody names.
    fn sweep(&self) -> Result<()> {
        let names: BTreeSet<String> = self.state().files.iter().map(|f| f.name()).collect();
        let there = self.disk.list(&self.dir);
        for name in there.map_err(|e| failed("list", &self.dir, e))? {
            if name != manifest::NAME && !names.contains(&name) {
                let path = self.dir.join(name);
                self.disk
                    .remove(&path)
                    .map_err(|e| failed("remove", &path, e))?;
            }
        }
        Ok(())
    }

    /// The last position that it speaks for.
    pub(crate) fn covered(&self) -> u64 {
        self.state().waiting.to()
    }

    /// What is written, for those who make something out of it.
    pub(crate) fn written(&self) -> Written {
        let state = self.state();
        Written {
            line: state.line,
            followed: state.followed,
            lost: state.lost.clone(),
            files: state.files.clone(),
        }
    }

    /// Figures for people.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        Standing {
            covered: state.waiting.to(),
            files: state.files.len(),
            bytes: state.files.iter().map(|file| file.run.bytes()).sum(),
            raw_bytes: state.files.iter().map(|file| file.run.raw_bytes()).sum(),
            lost: state.lost.len(),
            rebuilding: state.rebuilding,
        }
    }

    /// How far a rebuild is, in words that follow others.
    pub(crate) fn progress(&self) -> String {
        let rebuilding = self.state().rebuilding;
        rebuilding.map_or_else(String::new, |now| {
            format!(" ({} of about {} messages)", now.done, now.total)
        })
    }

    /// What there is of an account now.
    pub(crate) fn view(&self, account: AccountId) -> TextView {
        let state = self.state();
        let account = account.0;
        let files = state
            .files
            .iter()
            .filter(|file| file.rect.has_account(account));
        let lost = state.lost.iter().filter(|rect| rect.has_account(account));
        let (waiting, unheld) = state.waiting.of(account);
        TextView {
            account,
            line: state.line,
            files: files.cloned().collect(),
            lost: lost.copied().collect(),
            covered: state.waiting.to(),
            waiting,
            unheld,
        }
    }

    /// Which of `wanted`, in order, have what each of `asks` asks for. The view speaks for all of them.
    pub(crate) fn find(
        &self,
        view: &TextView,
        asks: &[Ask],
        wanted: &[TextId],
        is_late: &mut dyn FnMut() -> bool,
    ) -> std::result::Result<Vec<BTreeSet<TextId>>, NotFound> {
        let mut hits = vec![BTreeSet::new(); asks.len()];
        for (id, text) in &view.waiting {
            if wanted.binary_search(id).is_err() {
                continue;
            }
            for (ask, hits) in asks.iter().zip(&mut hits) {
                if text.has(ask) {
                    hits.insert(*id);
                }
            }
            if is_late() {
                return Err(NotFound::Late);
            }
        }
        for file in &view.files {
            let mut hearing = Hearing {
                hit: &mut |number, id| {
                    if let Some(hits) = hits.get_mut(number) {
                        hits.insert(id);
                    }
                },
                is_late,
            };
            let found = file
                .run
                .find(view.account, asks, Wanted::These(wanted), &mut hearing);
            match found {
                Ok(()) => {}
                Err(coldpost_search::Error::Late) => return Err(NotFound::Late),
                Err(e) => {
                    self.set_aside(file, &e).map_err(NotFound::Failed)?;
                    return Err(NotFound::SetAside);
                }
            }
        }
        Ok(hits)
    }

    /// A file that cannot be read speaks for nothing any more.
    pub(crate) fn set_aside(&self, file: &TextFile, why: &coldpost_search::Error) -> Result<()> {
        let mut state = self.change();
        let Some(at) = state.files.iter().position(|known| known.id == file.id) else {
            return Ok(());
        };
        tracing::error!(
            shard = self.lineage.shard.0,
            "{}: {why}; its messages are searched themselves until their text is made again",
            self.dir.join(file.name()).display()
        );
        crate::metrics::text_set_aside();
        state.files.remove(at);
        state.lose(file.rect);
        state.line = manifest::draw_line();
        self.save(&state)?;
        drop(state);
        self.remove(file);
        self.advanced.notify_waiters();
        Ok(())
    }

    /// All files are made again.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn lose_files(&self) -> Result<()> {
        let mut state = self.change();
        let files = std::mem::take(&mut state.files);
        for file in &files {
            state.lose(file.rect);
        }
        state.line = manifest::draw_line();
        self.save(&state)?;
        drop(state);
        files.iter().for_each(|file| self.remove(file));
        Ok(())
    }

    /// Takes files away that nobody names any more; who searches them still has them open.
    fn remove(&self, file: &TextFile) {
        let path = self.dir.join(file.name());
        if let Err(e) = self.disk.remove(&path) {
            tracing::warn!("{} stays until the next start: {e}", path.display());
        }
    }

    fn save(&self, state: &State) -> Result<()> {
        let manifest = Manifest {
            line: state.line,
            followed: state.followed,
            lost: state.lost.clone(),
            files: state.files.iter().map(|file| file.named()).collect(),
        };
        manifest::save(&*self.disk, &self.dir, self.lineage, &manifest)
    }
}

impl State {
    /// Notes that these messages are to be made again.
    fn lose(&mut self, rect: Rect) {
        self.lost.push(rect);
        if self.lost.len() > TEXT_LOST_MAX {
            let (from, to) = (0, self.lost.iter().map(|rect| rect.to).max().unwrap_or(0));
            self.lost = vec![Rect::all(from, to)];
            self.line = manifest::draw_line();
            self.files.retain(|file| file.rect.from >= to);
        }
    }
}

impl TextView {
    /// Whether it speaks for a message.
    pub(crate) fn has(&self, id: TextId) -> bool {
        let key = Key {
            account: self.account,
            id,
        };
        let is_lost = self.lost.iter().any(|rect| rect.has(key));
        id.position <= self.covered && !is_lost && !self.unheld.contains(&id)
    }
}

#[cfg(test)]
mod tests;
