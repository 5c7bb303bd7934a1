//! Each target's share of ten million bytes: nothing panics, nothing hangs, every command is reached, memory stays level.

use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cap::Cap;
use coldpost_fuzz::{
    Order, Report, Target, config, framing, imap, lmtp, mail, object, passwd, query, rows, run,
    segment, text, text_run,
};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What memory may grow by between the end of the first tenth and the end: among it are texts of mail that wait to be written (4 MiB), and what writes them.
const GROWTH_MAX: u64 = 16 << 20;

/// One target at a time, so that memory is its own also where all tests are one process.
static TURN: Mutex<()> = Mutex::new(());

fn allocated() -> u64 {
    u64::try_from(ALLOCATOR.allocated()).unwrap_or(u64::MAX)
}

/// Feeds a target its share.
#[track_caller]
fn share(target: &Target, bytes: u64) -> Report {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let order = Order::from_env(bytes);
    let report = run(target, order, allocated);
    if order.only.is_none() {
        assert!(report.bytes >= bytes, "{report}");
        for memory in [&report.resident, &report.live] {
            let (first, last) = (memory[0], memory[memory.len() - 1]);
            assert!(last <= first + GROWTH_MAX, "memory grows: {report}");
        }
    }
    report
}

/// Prints how often each was reached; fails where one never was.
#[track_caller]
fn all_reached((counts, missing): (BTreeMap<String, u64>, Vec<String>)) {
    for (name, count) in &counts {
        println!("{count:>8} {name}");
    }
    let is_whole_run = std::env::var_os("COLDPOST_FUZZ_ONLY").is_none();
    assert!(
        missing.is_empty() || !is_whole_run,
        "never reached: {missing:?}"
    );
}

#[test]
fn imap_sessions_outlive_every_client_and_every_command_is_reached() {
    share(&imap::TARGET, 5_000_000);
    all_reached(imap::reached());
}

#[test]
fn lmtp_sessions_outlive_every_client_and_every_command_is_reached() {
    share(&lmtp::TARGET, 4_000_000);
    all_reached(lmtp::reached());
}

#[test]
fn mail_is_described_searched_and_rebuilt_whatever_it_is() {
    share(&mail::TARGET, 6_000_000);
}

#[test]
fn imap_framing_gives_the_same_events_however_the_bytes_are_cut() {
    share(&framing::TARGET, 3_000_000);
}

#[test]
fn commands_and_searches_are_parsed_or_refused_in_one_line() {
    let report = share(&query::TARGET, 2_000_000);
    for (count, what) in [
        (query::queries(), "searches of IMAP"),
        (query::expressions(), "queries in the text form"),
    ] {
        println!("{count} {what}");
        assert!(
            count * 100 > report.inputs,
            "{count} of {} inputs are {what}",
            report.inputs
        );
    }
}

#[test]
fn settings_are_checked_or_refused_in_words() {
    share(&config::TARGET, 2_000_000);
}

#[test]
fn every_line_of_a_passwd_file_is_a_user_or_is_named_without_what_it_says() {
    let report = share(&passwd::TARGET, 2_000_000);
    let (users, complaints) = passwd::reached();
    println!("{users} users, {complaints} complaints");
    assert!(users * 4 > report.inputs && complaints * 2 > report.inputs);
}

#[test]
fn segments_are_read_or_called_damaged_and_every_reading_ends() {
    share(&segment::TARGET, 4_000_000);
}

#[test]
fn rows_and_entries_are_read_as_they_are_written_or_called_damaged() {
    share(&rows::TARGET, 1_000_000);
}

#[test]
fn objects_of_the_bucket_are_read_or_called_damaged() {
    share(&object::TARGET, 8_000_000);
}

#[test]
fn what_stands_in_a_mail_is_found_in_its_file_of_text_and_nothing_else_is() {
    share(&text::TARGET, 6_000_000);
}

#[test]
fn damaged_files_of_text_answer_as_before_or_are_called_damaged() {
    let report = share(&text_run::TARGET, 10_000_000);
    let (opened, answered, refused) = text_run::reached();
    println!("{opened} opened, {answered} answers, {refused} that it is damaged");
    assert!(opened > report.inputs && answered > opened && refused > opened);
}
