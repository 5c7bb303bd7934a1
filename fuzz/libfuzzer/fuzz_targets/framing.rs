//! libFuzzer drives `coldpost_fuzz::framing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::framing::feed(input);
});
