//! libFuzzer drives `coldpost_fuzz::rows`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::rows::feed(input);
});
