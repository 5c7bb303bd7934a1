//! libFuzzer drives `coldpost_fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::config::feed(input);
});
