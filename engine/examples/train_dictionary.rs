//! Trains the dictionary of hot rows on public mail and measures it: `cargo run --release --example train_dictionary -- OUT DIR...`
//!
//! Every file below the directories is a raw message (a leading mbox `From ` line is cut, line ends become CRLF; files named `*.json`
//! are passed over). The older half by Date trains, the newer half is measured. The tool `zstd` trains: its slower way makes rows 7 % smaller
//! than what the crate's one function for it gives. Rows are only ever packed with a dictionary that has been released under its number: a
//! new one is a new file and a new number (`docs/format.md`).

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldpost_engine::mail::{codec, describe};

const DICTIONARY_BYTES: usize = 64 * 1024;
const LEVEL: i32 = 6;
/// The best of some dozens that were tried: bytes of a segment and of what it is scored by.
const TRAIN: &str = "--train-cover=k=500,d=12";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments
        .next()
        .ok_or("usage: train_dictionary OUT DIR...")?;
    let mut files = Vec::new();
    for directory in arguments {
        list(&directory, &mut files)?;
    }
    let mut rows: Vec<(i64, Vec<u8>)> = Vec::new();
    for file in files {
        let description = describe(&read(&file)?);
        rows.push((
            description.sort.date.unwrap_or(0),
            codec::encode(&description),
        ));
    }
    rows.sort();
    let rows: Vec<Vec<u8>> = rows.into_iter().map(|(_, row)| row).collect();
    let (older, newer) = rows.split_at(rows.len() / 2);
    train(older, &out)?;
    let dictionary = fs::read(&out)?;
    report("older half, the training set", older, &dictionary)?;
    report("newer half", newer, &dictionary)?;
    Ok(())
}

fn train(rows: &[Vec<u8>], out: &Path) -> Result<(), Box<dyn Error>> {
    let samples = out.with_extension("samples");
    fs::create_dir(&samples)?;
    let mut files = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let file = samples.join(format!("{number:06}"));
        fs::write(&file, row)?;
        files.push(file);
    }
    let mut zstd = Command::new("zstd");
    zstd.args(["-q", "-f", TRAIN, &format!("-{LEVEL}")])
        .arg(format!("--maxdict={DICTIONARY_BYTES}"))
        .arg("-o")
        .arg(out)
        .args(files);
    let status = zstd.status()?;
    fs::remove_dir_all(&samples)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("zstd: {status}").into())
    }
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|kind| kind == "txt" || kind == "eml")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// The message as an MTA would deliver it.
fn read(file: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let raw = fs::read(file)?;
    let from_line = if raw.starts_with(b"From ") {
        raw.iter()
            .position(|&b| b == b'\n')
            .map_or(raw.len(), |at| at + 1)
    } else {
        0
    };
    let mut message = Vec::with_capacity(raw.len() + raw.len() / 40);
    for &byte in &raw[from_line..] {
        if byte == b'\n' && message.last() != Some(&b'\r') {
            message.push(b'\r');
        }
        message.push(byte);
    }
    Ok(message)
}

fn report(name: &str, rows: &[Vec<u8>], dictionary: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut packer = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary)?;
    packer.include_dictid(false)?;
    let mut packed: Vec<usize> = rows
        .iter()
        .map(|row| packer.compress(row).map(|p| p.len()))
        .collect::<Result<_, _>>()?;
    packed.sort_unstable();
    let raw: usize = rows.iter().map(Vec::len).sum();
    let total: usize = packed.iter().sum();
    println!(
        "{name}: {} rows, {} B raw, {} B with zstd -{LEVEL} and the dictionary; median {} B, p99 {} B",
        rows.len(),
        raw / rows.len().max(1),
        total / rows.len().max(1),
        packed.get(rows.len() / 2).copied().unwrap_or(0),
        packed.get(rows.len() * 99 / 100).copied().unwrap_or(0),
    );
    Ok(())
}
