//! libFuzzer drives `coldpost_fuzz::lmtp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::lmtp::feed(input);
});
