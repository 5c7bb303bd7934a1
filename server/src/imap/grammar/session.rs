//! Commands about the connection: AUTHENTICATE, LOGIN, ID, ENABLE (RFC 3501, 6.2; RFC 4959, RFC 2971, RFC 5161).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};
use winnow::token::take_while;

use super::error::{Parsed, bad, expect};
use super::token::{astring, keyword, list, nstring, sp, spaced, string, word};
use crate::imap::ast::{Authenticate, CommandBody, Login, Secret};
use crate::limits::{IMAP_ID_PAIRS_MAX, IMAP_LIST_ITEMS_MAX};

/// `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]`, from behind its name.
pub(super) fn authenticate(input: &mut &[u8]) -> Parsed<CommandBody> {
    let mechanism = preceded(sp, expect("a mechanism", word)).parse_next(input)?;
    let initial_response = opt(preceded(b' ', initial_resp)).parse_next(input)?;
    Ok(CommandBody::Authenticate(Authenticate {
        mechanism,
        initial_response,
    }))
}

/// `initial-resp = base64 / "="`
fn initial_resp(input: &mut &[u8]) -> Parsed<Secret> {
    let text: &[u8] = take_while(1.., |b: u8| b.is_ascii_graphic()).parse_next(input)?;
    let text = if text == b"=" { b"" } else { text };
    let octets = STANDARD.decode(text);
    octets
        .map(Secret)
        .map_err(|_| bad("the initial response is not valid base64"))
}

/// `login = "LOGIN" SP userid SP password`, from behind its name.
pub(super) fn login(input: &mut &[u8]) -> Parsed<CommandBody> {
    let user = preceded(sp, expect("a user name", astring)).parse_next(input)?;
    let password = preceded(sp, expect("a password", astring)).parse_next(input)?;
    Ok(CommandBody::Login(Login {
        user,
        password: Secret(password),
    }))
}

/// `id = "ID" SP id-params-list`, from behind its name.
pub(super) fn id(input: &mut &[u8]) -> Parsed<CommandBody> {
    let pair = |input: &mut &[u8]| {
        let (name, _, value) = (string, sp, nstring).parse_next(input)?;
        Ok((text(&name), value.as_deref().map(text)))
    };
    // A list of names and values has a space between every two: pairs are its items.
    let pairs = alt((
        keyword("NIL").value(Vec::new()),
        list(IMAP_ID_PAIRS_MAX, pair),
    ));
    preceded(sp, pairs).map(CommandBody::Id).parse_next(input)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `enable = "ENABLE" 1*(SP capability)`, from behind its name.
pub(super) fn enable(input: &mut &[u8]) -> Parsed<CommandBody> {
    let names = spaced(IMAP_LIST_ITEMS_MAX, word);
    preceded(sp, expect("a capability", names))
        .map(CommandBody::Enable)
        .parse_next(input)
}
