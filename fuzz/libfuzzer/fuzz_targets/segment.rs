//! libFuzzer drives `coldpost_fuzz::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::segment::feed(input);
});
