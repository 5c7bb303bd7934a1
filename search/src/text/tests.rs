//! Files of text against a plain look through the texts, whole, merged and damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::fold::fold_collapsed;

/// Folded texts of messages, by kind.
type Mail = BTreeMap<Key, [Vec<String>; 2]>;

const MADE: Made = Made {
    rules: 1,
    epoch: 1,
    position: 9,
    time: 1_000,
};

#[derive(Clone, Default)]
struct Files(Arc<Mutex<Vec<Vec<u8>>>>);

struct Out(Files, usize);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes()[self.1].extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Files {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> NewFile {
        let number = self.bytes().len();
        self.bytes().push(b"head".to_vec());
        NewFile {
            id: [u8::try_from(number % 251).unwrap(); 16],
            out: Box::new(Out(self.clone(), number)),
            at: 4,
        }
    }

    fn open(&self, number: usize) -> crate::Result<Run> {
        let bytes = self.bytes()[number].clone();
        let id = [u8::try_from(number % 251).unwrap(); 16];
        Run::open(
            Arc::new(bytes.clone()),
            bytes.len() as u64,
            id,
            Arc::new(()),
        )
    }

    fn runs(&self) -> Vec<Run> {
        let count = self.bytes().len();
        (0..count)
            .map(|number| self.open(number).unwrap())
            .collect()
    }
}

fn id(position: u64) -> TextId {
    TextId {
        epoch: 1,
        position,
        number: 0,
    }
}

fn key(account: u64, position: u64) -> Key {
    Key {
        account,
        id: id(position),
    }
}

fn write(mail: &Mail, rect: Rect) -> Files {
    let files = Files::default();
    let mut open = || Ok(files.make());
    let mut writer = RunWriter::new(rect, MADE, &mut open).unwrap();
    for (key, kinds) in mail.iter().filter(|(key, _)| rect.has(**key)) {
        for kind in Kind::ALL {
            let mut pieces = Pieces::default();
            let mut give = |piece: Piece<'_>| {
                writer.add(key.account, key.id, kind, piece).unwrap();
            };
            for text in &kinds[kind.index()] {
                pieces.add(text, false, &mut give);
            }
            pieces.end(&mut give);
        }
    }
    let written = writer.end().unwrap();
    assert_eq!(written.len(), files.bytes().len());
    assert_eq!(written.first().map(|w| w.rect.low), Some(rect.low));
    assert!(
        written
            .windows(2)
            .all(|two| two[0].rect.high == Some(two[1].rect.low))
    );
    assert_eq!(written.last().map(|w| w.rect.high), Some(rect.high));
    files
}

fn found(runs: &[Run], account: u64, ask: Ask, wanted: Wanted<'_>) -> crate::Result<BTreeSet<u64>> {
    let mut hits = BTreeSet::new();
    let asks = [ask];
    for run in runs {
        let mut hearing = Hearing {
            hit: &mut |number, id| {
                assert_eq!(number, 0);
                hits.insert(id.position);
            },
            is_late: &mut || false,
        };
        run.find(account, &asks, wanted, &mut hearing)?;
    }
    Ok(hits)
}

/// What a plain look through all texts finds.
fn scanned(mail: &Mail, account: u64, kind: Kind, is_hit: impl Fn(&str) -> bool) -> BTreeSet<u64> {
    let of = mail.iter().filter(|(key, _)| key.account == account);
    let hits = of.filter(|(_, kinds)| {
        kinds[kind.index()]
            .iter()
            .any(|text| is_hit(&fold_collapsed(text)))
    });
    hits.map(|(key, _)| key.id.position).collect()
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    // Some of them fill frames.
    let text = prop_oneof![
        6 => "[ab é\\n]{0,12}",
        2 => ("[ab ]{1,5}", 5_000_usize..9_000).prop_map(|(word, times)| word.repeat(times)),
    ];
    prop::collection::vec(text, 0..3)
}

fn mail() -> impl Strategy<Value = Mail> {
    let message = (1_u64..4, 1_u64..60, texts(), texts());
    prop::collection::vec(message, 1..50).prop_map(|list| {
        let of = list.into_iter();
        of.map(|(account, position, body, header)| (key(account, position), [body, header]))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_found_is_what_a_scan_finds(mail in mail(), needle in "[abé ]{1,7}", account in 1_u64..5) {
        let runs = write(&mail, Rect::all(0, 60)).runs();
        let folded = fold_collapsed(&needle);
        for kind in Kind::ALL {
            let hits = found(&runs, account, Ask::any(kind, &folded), Wanted::All).unwrap();
            let expected = scanned(&mail, account, kind, |text| text.contains(&folded));
            prop_assert_eq!(&hits, &expected);
            let some: Vec<TextId> = (0..60).step_by(7).map(id).collect();
            let hits = found(&runs, account, Ask::any(kind, &folded), Wanted::These(&some)).unwrap();
            let expected: BTreeSet<u64> = expected.into_iter().filter(|position| position % 7 == 0).collect();
            prop_assert_eq!(&hits, &expected);
        }
    }

    #[test]
    fn merged_runs_hold_what_is_alive_of_each(mail in mail(), cut in 1_u64..60, dead in prop::collection::btree_set(1_u64..60, 0..20), needle in "[ab ]{1,5}") {
        let mut runs = write(&mail, Rect::all(0, cut)).runs();
        runs.extend(write(&mail, Rect::all(cut, 60)).runs());
        let files = Files::default();
        let mut open = || Ok(files.make());
        let mut writer = RunWriter::new(Rect::all(0, 60), MADE, &mut open).unwrap();
        let mut is_alive = |key: Key| Ok(!dead.contains(&key.id.position));
        merge(&runs, &mut writer, &mut is_alive, &mut || true).map_err(|(_, e)| e).unwrap();
        writer.end().unwrap();
        let left: Mail = mail.into_iter().filter(|(key, _)| !dead.contains(&key.id.position)).collect();
        let whole = write(&left, Rect::all(0, 60));
        prop_assert_eq!(&*files.bytes(), &*whole.bytes());
        let folded = fold_collapsed(&needle);
        let hits = found(&files.runs(), 1, Ask::any(Kind::Body, &folded), Wanted::All).unwrap();
        prop_assert_eq!(hits, scanned(&left, 1, Kind::Body, |text| text.contains(&folded)));
    }

    #[test]
    fn damaged_bytes_are_noticed_and_never_an_answer(at in any::<prop::sample::Index>(), bit in 0..8, cut in any::<bool>()) {
        let mut mail = Mail::new();
        for position in 1..13 {
            let filler = format!("filler {position} ").repeat(5_000);
            mail.insert(key(1, position), [vec![filler, format!("needle {}", position % 3)], vec!["x: y".to_owned()]]);
        }
        let files = write(&mail, Rect::all(0, 13));
        {
            let mut files = files.bytes();
            let at = 4 + at.index(files[0].len() - 4);
            match cut {
                true => files[0].truncate(at),
                false => files[0][at] ^= 1_u8 << bit,
            }
        }
        let Ok(run) = files.open(0) else {
            return Ok(());
        };
        for needle in ["NEEDLE 1", "NEEDLE 2", "FILLER 11 F", "NOWHERE"] {
            match found(std::slice::from_ref(&run), 1, Ask::any(Kind::Body, needle), Wanted::All) {
                Ok(hits) => prop_assert_eq!(hits, scanned(&mail, 1, Kind::Body, |text| text.contains(needle))),
                Err(e) => prop_assert!(e.is_corrupt(), "{}", e),
            }
        }
    }

    #[test]
    fn bytes_that_are_no_file_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let size = bytes.len() as u64;
        prop_assert!(Run::open(Arc::new(bytes), size, [0; 16], Arc::new(())).is_err_and(|e| e.is_corrupt()));
    }
}

#[test]
fn a_needle_is_found_across_pieces_however_long_it_is() {
    let text: String = (0..400_000_u32).map(|n| format!("{n} ")).collect();
    let mail = Mail::from([
        (key(1, 1), [vec!["before".to_owned()], vec![]]),
        (key(1, 2), [vec![text.clone()], vec![]]),
        (key(1, 3), [vec!["after".to_owned()], vec![]]),
    ]);
    let runs = write(&mail, Rect::all(0, 3)).runs();
    let ask = |needle: &str| found(&runs, 1, Ask::any(Kind::Body, needle), Wanted::All).unwrap();
    let folded = fold_collapsed(&text);
    for length in [1_usize, 4_000, 4_092, 4_096, 5_000, 100_000, 1_500_000] {
        for start in (0..folded.len().saturating_sub(length)).step_by(99_991) {
            let needle = &folded[start..start + length];
            assert!(ask(needle).contains(&2), "{length} from {start}");
        }
        let mut other = folded[100..100 + length].to_owned();
        other.push('#');
        assert_eq!(ask(&other), BTreeSet::new(), "{length}");
    }
    assert_eq!(ask("BEFORE"), BTreeSet::from([1]));
    assert_eq!(ask("AFTER"), BTreeSet::from([3]));
}

#[test]
fn a_field_is_asked_by_its_name_and_value() {
    let long = format!("X-Long: {} end", "filling ".repeat(300_000));
    let header = |texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned());
        [vec![], texts.collect()]
    };
    let mail = Mail::from([
        (key(1, 1), header(&["X-Foo: bar", "X-Bar: foo"])),
        (key(1, 2), header(&["X-Foo: baz x-foo: qux", "X-Foo: "])),
        (key(1, 3), header(&["AX-Foo: bar", "no field X-Foo: bar"])),
        (key(1, 4), header(&["a: b", &long, "X-Foo: last"])),
    ]);
    let runs = write(&mail, Rect::all(0, 4)).runs();
    let ask = |name: &str, needle: &str| {
        let ask = Ask::field(&fold_collapsed(name), &fold_collapsed(needle));
        let hits = found(&runs, 1, ask, Wanted::All).unwrap();
        hits.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(ask("x-foo", "BA"), [1, 2]);
    assert_eq!(ask("X-FOO", "foo"), [2]);
    assert_eq!(ask("x-foo", ""), [1, 2, 4]);
    assert_eq!(ask("x-foo", "last"), [4]);
    assert_eq!(ask("x-bar", "bar"), [] as [u64; 0]);
    assert_eq!(ask("x-long", "end"), [4]);
    assert_eq!(ask("x-long", ""), [4]);
    assert_eq!(ask("long", "end"), [] as [u64; 0]);
    assert_eq!(ask("filling", ""), [] as [u64; 0]);
}

#[test]
fn many_accounts_and_much_text_become_files_of_bounded_size() {
    let mut mail = Mail::new();
    for account in 1..24 {
        for position in 1..20 {
            let body = format!("{account} {position} ").repeat(40_000);
            mail.insert(key(account, position), [vec![body], vec![]]);
        }
    }
    let files = write(&mail, Rect::all(0, 20));
    let runs = files.runs();
    assert!(runs.len() > 1);
    for run in &runs {
        assert!(run.raw_bytes() <= crate::limits::RUN_RAW_MAX + (1 << 20));
    }
    for account in [1, 17, 23] {
        let here: Vec<Run> = runs
            .iter()
            .filter(|run| run.rect().has_account(account))
            .cloned()
            .collect();
        let hits = found(&here, account, Ask::any(Kind::Body, " 7 "), Wanted::All).unwrap();
        assert_eq!(hits, BTreeSet::from([7]), "{account}");
        let ids: Vec<TextId> = here
            .iter()
            .flat_map(|run| run.messages(account).unwrap())
            .collect();
        assert_eq!(ids, (1..20).map(id).collect::<Vec<_>>());
    }
}

#[test]
fn a_search_that_is_late_ends_without_an_answer() {
    let mail = Mail::from([(key(1, 1), [vec!["a".to_owned()], vec![]])]);
    let runs = write(&mail, Rect::all(0, 1)).runs();
    let mut hearing = Hearing {
        hit: &mut |_, _| {},
        is_late: &mut || true,
    };
    let asks = [Ask::any(Kind::Body, "A")];
    let late = runs[0].find(1, &asks, Wanted::All, &mut hearing);
    assert!(matches!(late, Err(Error::Late)));
}
