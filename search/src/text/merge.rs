//! Which runs become one, and how.
//!
//! Promises: a byte is rewritten about once for each size class; every message that is alive comes out once, in order, and nothing else.

use zstd::bulk::Decompressor;

use crate::error::{Error, Result};
use crate::limits::{MERGE_CLASS, MERGE_LARGEST, MERGE_RUNS, MERGE_SMALLEST, RUNS_MAX};

use super::frame::{self, Listed, Of, Unpacked};
use super::index::Part;
use super::{BEHIND, Key, Kind, Piece, Run, RunWriter, TextId};

/// Which runs, of so many bytes in the order of their positions, are merged next: those from the first number to before the second.
///
/// Runs of a class and smaller ones that lie side by side are merged when they are together as large as one of the next class; of the lowest class also
/// when they are many. Where sizes come in such an order that too many stay, the cheapest neighbours are merged.
pub fn choose(bytes: &[u64]) -> Option<(usize, usize)> {
    for of in 0..class(MERGE_LARGEST) {
        let mut start = 0;
        while start < bytes.len() {
            let window = bytes[start..].iter().take_while(|&&run| class(run) <= of);
            let (count, sum) = window.fold((0, 0_u64), |(count, sum), run| {
                (count + 1, sum.saturating_add(*run))
            });
            let are_many = of == 0 && count >= MERGE_RUNS;
            if count > 1 && (class(sum) > of || are_many) {
                return Some((start, start + count));
            }
            start += count + 1;
        }
    }
    if bytes.len() <= RUNS_MAX {
        return None;
    }
    let sum = |start: &usize| bytes[*start..start + MERGE_RUNS].iter().sum::<u64>();
    let cheapest = (0..=bytes.len() - MERGE_RUNS).min_by_key(sum)?;
    Some((cheapest, cheapest + MERGE_RUNS))
}

fn class(bytes: u64) -> u32 {
    let mut class = 0;
    let mut bound = MERGE_SMALLEST;
    while bytes >= bound && class < u32::BITS {
        bound = bound.saturating_mul(MERGE_CLASS);
        class += 1;
    }
    class
}

/// Why a merge ended, and where one of the runs is to blame, its number.
type Failed = (Option<usize>, Error);

/// Writes the texts of runs that are alive, each message once; `go_on` is asked after each account of a run whether to.
///
/// # Errors
/// `Corrupt`, with the number of the run that is; `Io`; `Late` when it is not to go on.
pub fn merge(
    runs: &[Run],
    writer: &mut RunWriter<'_>,
    is_alive: &mut dyn FnMut(Key) -> Result<bool>,
    go_on: &mut dyn FnMut() -> bool,
) -> std::result::Result<(), Failed> {
    let accounts = runs.iter().flat_map(Run::accounts);
    let mut accounts: Vec<u64> = accounts.collect();
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        let mut messages = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            let blame = |e| (Some(number), e);
            messages.extend(Messages::of(run, number, account).map_err(blame)?);
        }
        while let Some(id) = first(&mut messages)? {
            if !go_on() {
                return Err((None, Error::Late));
            }
            let mut is_wanted = is_alive(Key { account, id }).map_err(|e| (None, e))?;
            for of in &mut messages {
                is_wanted &= !of.give(id, &mut |kind, piece| match is_wanted {
                    true => writer.add(account, id, kind, piece),
                    false => Ok(()),
                })?;
            }
        }
    }
    Ok(())
}

impl Run {
    /// Gives the pieces of all messages of an account, those of a message's bodies and then those of its header.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; those of `each`.
    pub fn each_text(
        &self,
        account: u64,
        each: &mut dyn FnMut(TextId, Kind, Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(mut messages) = Messages::of(self, 0, account)? else {
            return Ok(());
        };
        while let Some(id) = messages.next().map_err(|(_, e)| e)? {
            let given = messages.give(id, &mut |kind, piece| each(id, kind, piece));
            given.map_err(|(_, e)| e)?;
        }
        Ok(())
    }
}

/// The first message of several.
fn first(messages: &mut [Messages<'_>]) -> std::result::Result<Option<TextId>, Failed> {
    let mut first = None;
    for of in messages {
        if let Some(id) = of.next()? {
            first = Some(first.map_or(id, |first: TextId| first.min(id)));
        }
    }
    Ok(first)
}

type Each<'e> = &'e mut dyn FnMut(Kind, Piece<'_>) -> Result<()>;

/// What a run has of an account, message after message.
struct Messages<'r> {
    number: usize,
    bodies: Texts<'r>,
    headers: Texts<'r>,
}

impl<'r> Messages<'r> {
    fn of(run: &'r Run, number: usize, account: u64) -> Result<Option<Messages<'r>>> {
        let Some(of_account) = run.index.of(account) else {
            return Ok(None);
        };
        let [bodies, headers] = &of_account.parts;
        Ok(Some(Messages {
            number,
            bodies: Texts::new(run, run.of(account, Kind::Body), bodies)?,
            headers: Texts::new(run, run.of(account, Kind::Header), headers)?,
        }))
    }

    fn next(&mut self) -> std::result::Result<Option<TextId>, Failed> {
        let number = self.number;
        self.bodies.next_id().map_err(|e| (Some(number), e))
    }

    /// Gives the body and then the header of a message, if it is the next; whether it is.
    fn give(&mut self, id: TextId, each: Each<'_>) -> std::result::Result<bool, Failed> {
        if self.next()? != Some(id) {
            return Ok(false);
        }
        let given = self.bodies.give(id, each);
        let given = given.and_then(|()| self.headers.give(id, each));
        given.map_err(|e| (e.is_corrupt().then_some(self.number), e))?;
        Ok(true)
    }
}

/// The texts of one kind, one after the other.
struct Texts<'r> {
    run: &'r Run,
    of: Of,
    part: &'r Part,
    unpacker: Decompressor<'static>,
    /// The next frame.
    next: usize,
    here: Option<Unpacked>,
    /// The next text of it, and where it begins.
    at: (usize, usize),
}

impl<'r> Texts<'r> {
    fn new(run: &'r Run, of: Of, part: &'r Part) -> Result<Texts<'r>> {
        Ok(Texts {
            run,
            of,
            part,
            unpacker: Decompressor::new().map_err(Error::io("zstd"))?,
            next: 0,
            here: None,
            at: (0, 0),
        })
    }

    /// The message of the next text.
    fn next_id(&mut self) -> Result<Option<TextId>> {
        loop {
            let listed = self.here.as_ref().and_then(|here| here.list.get(self.at.0));
            if let Some(listed) = listed {
                return Ok(Some(listed.id));
            }
            let Some(place) = self.part.frames.get(self.next) else {
                return Ok(None);
            };
            let bytes = self.run.read(place)?;
            let stored = frame::read(&bytes, self.of, place.raw, place.offset)?;
            self.here = Some(stored.unpack(&mut self.unpacker)?);
            self.at = (0, 0);
            self.next += 1;
        }
    }

    /// Gives all pieces of a message, if it is the next.
    fn give(&mut self, id: TextId, each: Each<'_>) -> Result<()> {
        while self.next_id()? == Some(id) {
            let Some(here) = &self.here else {
                return Ok(());
            };
            let (number, start) = self.at;
            let Some(Listed { bytes, piece, .. }) = here.list.get(number).copied() else {
                return Ok(());
            };
            let text = here.text.get(start..start + bytes).unwrap_or_default();
            self.at = (number + 1, start + bytes + BEHIND.len_utf8());
            let piece = Piece {
                text,
                repeats: piece.map_or(0, |piece| piece.repeats),
                number: piece.map(|piece| piece.number),
            };
            each(self.of.kind, piece)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Merges as long as there is something to merge.
    fn settle(runs: &mut Vec<u64>) -> u64 {
        let mut rewritten = 0;
        while let Some((start, end)) = choose(runs) {
            let sum: u64 = runs[start..end].iter().sum();
            rewritten += sum;
            runs.splice(start..end, [sum]);
        }
        rewritten
    }

    proptest! {
        #[test]
        fn runs_stay_few_and_bytes_are_rewritten_seldom(sizes in prop::collection::vec(prop_oneof![1_000_u64..9_000, 3_000_000_u64..5_000_000], 1..600)) {
            let (mut runs, mut rewritten, mut sum) = (Vec::new(), 0, 0);
            for size in sizes {
                runs.push(size);
                sum += size;
                rewritten += settle(&mut runs);
                prop_assert!(runs.len() <= RUNS_MAX, "{runs:?}");
            }
            prop_assert!(rewritten <= 8 * sum + 100 * MERGE_SMALLEST, "{rewritten} for {sum}");
        }
    }
}
