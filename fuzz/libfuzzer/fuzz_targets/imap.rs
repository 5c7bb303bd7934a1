//! libFuzzer drives `coldpost_fuzz::imap`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::imap::feed(input);
});
