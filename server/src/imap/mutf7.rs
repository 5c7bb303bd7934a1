//! Modified UTF-7 (RFC 3501, 5.1.3): how names of mailboxes stand on the wire.
//!
//! Promises: [`encode`] has one form for every name and [`decode`] takes only that form, so no mailbox has two names on the wire.
//!
//! By hand because the crate for it, `utf7-imap`, panics on bad base64, replaces lone surrogates silently and lets unterminated and
//! needless shifts pass. The base64 underneath is the `base64` crate's, with its alphabet for this encoding.

use base64::Engine as _;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::IMAP_MUTF7, NO_PAD);

/// Why bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Bytes beyond ASCII: such a name must be encoded.
    EightBit,
    /// Not the one form that modified UTF-7 has for a name.
    Encoding,
}

/// The name that `wire` stands for.
///
/// # Errors
/// [`Malformed`] when it holds 8-bit bytes or control characters, a shift that is not closed or not needed, bad base64 or half a
/// surrogate pair.
pub fn decode(wire: &[u8]) -> Result<String, Malformed> {
    if !wire.is_ascii() {
        return Err(Malformed::EightBit);
    }
    let text = std::str::from_utf8(wire).map_err(|_| Malformed::EightBit)?;
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        let (encoded, after) = shifted.split_once('-').ok_or(Malformed::Encoding)?;
        name.push_str(plain);
        match encoded {
            "" => name.push('&'),
            encoded => name.push_str(&decode_shifted(encoded)?),
        }
        rest = after;
    }
    name.push_str(rest);
    if encode(&name) == text {
        Ok(name)
    } else {
        Err(Malformed::Encoding)
    }
}

fn decode_shifted(encoded: &str) -> Result<String, Malformed> {
    let bytes = BASE64.decode(encoded).map_err(|_| Malformed::Encoding)?;
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Malformed::Encoding);
    }
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16(&units).map_err(|_| Malformed::Encoding)
}

/// `name` as it stands on the wire: printable ASCII as it is, `&` as `&-`, each run of all else in base64.
pub fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if c == '&' {
            wire.push_str("&-");
            rest = &rest[1..];
        } else if is_printable(c) {
            wire.push(c);
            rest = &rest[1..];
        } else {
            let end = rest.find(is_printable).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            let bytes: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            wire.push('&');
            BASE64.encode_string(bytes, &mut wire);
            wire.push('-');
            rest = after;
        }
    }
    wire
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_rfc_have_the_form_that_it_gives() {
        let wire = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        assert_eq!(decode(wire.as_bytes()).unwrap(), "~peter/mail/台北/日本語");
        assert_eq!(encode("~peter/mail/台北/日本語"), wire);
        assert_eq!(encode("A&B"), "A&-B");
        assert_eq!(encode("𝄞"), "&2DTdHg-");
        assert_eq!(decode(b"&-&AOk-&-").unwrap(), "&é&");
    }

    #[test]
    fn every_other_form_is_refused() {
        for wire in [
            "&Jjo!",              // no shift back (RFC 3501)
            "&U,BTFw-&ZeVnLIqe-", // a needless shift (RFC 3501)
            "&",
            "a&",
            "&AOk",   // not closed
            "&AGE-",  // an encoded letter
            "&ACY-",  // an encoded &
            "&AOl-",  // bits left over
            "&AO-",   // half a character
            "&2DQ-",  // half a surrogate pair
            "&AOk=-", // padding
            "&AO/-",  // the alphabet of mail
            "tab\there",
            "\x7f",
        ] {
            assert_eq!(decode(wire.as_bytes()), Err(Malformed::Encoding), "{wire}");
        }
        assert_eq!(decode("é".as_bytes()), Err(Malformed::EightBit));
        assert_eq!(decode(b"\xff"), Err(Malformed::EightBit));
    }

    proptest! {
        #[test]
        fn a_name_comes_back_from_the_wire(name in any::<String>()) {
            let wire = encode(&name);
            prop_assert!(wire.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(decode(wire.as_bytes()), Ok(name));
        }

        #[test]
        fn what_is_decoded_has_no_second_form(wire in "[&A-Za-c0-3,+/ -]{0,20}") {
            if let Ok(name) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&name), wire);
            }
        }
    }
}
