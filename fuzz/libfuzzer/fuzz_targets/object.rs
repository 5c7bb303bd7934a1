//! libFuzzer drives `coldpost_fuzz::object`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    coldpost_fuzz::object::feed(input);
});
