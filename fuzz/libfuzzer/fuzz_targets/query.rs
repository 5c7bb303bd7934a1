//! libFuzzer drives `coldpost_fuzz::query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::query::feed(input);
});
