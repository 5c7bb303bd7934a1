//! libFuzzer drives `coldpost_fuzz::text`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::text::feed(input);
});
