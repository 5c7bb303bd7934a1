//! libFuzzer drives `coldpost_fuzz::passwd`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::passwd::feed(input);
});
