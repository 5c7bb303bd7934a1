//! libFuzzer drives `coldpost_fuzz::mail`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::mail::feed(input);
});
