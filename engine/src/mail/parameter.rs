//! Parameters of Content-Type and Content-Disposition (RFC 2045, 5.1), continuations put together (RFC 2231, 3) but not decoded.
//!
//! Promises: broken parameters are passed over, the others kept; linear time but for sorting the continuations.
//! Never: decodes charsets or percent signs; `name*` keeps its star and its value as it came.

use crate::mail::token::{Broken, Cursor};

/// Name and value, both raw.
pub(crate) type Parameter = (Vec<u8>, Vec<u8>);

/// A piece `name*index*=value` of a value that was cut (RFC 2231, 3 and 4.1).
struct Piece {
    name: Vec<u8>,
    index: u32,
    is_extended: bool,
    value: Vec<u8>,
}

/// Reads all parameters from the cursor to its end, those with continuations last.
pub(crate) fn read_all(cursor: &mut Cursor<'_>) -> Vec<Parameter> {
    let mut whole = Vec::new();
    let mut pieces = Vec::new();
    while !cursor.is_at_end() {
        match read_one(cursor) {
            Err(Broken) => cursor.pass(),
            Ok((name, value)) => match split_name(&name) {
                None => whole.push((name, value)),
                Some((base, index, is_extended)) => {
                    pieces.push(Piece {
                        name: base.to_vec(),
                        index,
                        is_extended,
                        value,
                    });
                }
            },
        }
    }
    pieces.sort_by(|a, b| a.name.cmp(&b.name).then(a.index.cmp(&b.index)));
    for group in pieces.chunk_by(|a, b| a.name.eq_ignore_ascii_case(&b.name)) {
        join(group, &mut whole);
    }
    whole
}

/// Reads a first parameter before which the semicolon was forgotten.
pub(crate) fn read_bare(cursor: &mut Cursor<'_>) -> Option<Parameter> {
    let place = cursor.place();
    let pair = read_pair(cursor).ok().filter(|(name, _)| !name.is_empty());
    if pair.is_none() {
        cursor.back_to(place);
    }
    pair
}

/// ";" parameter
fn read_one(cursor: &mut Cursor<'_>) -> Result<Parameter, Broken> {
    if !cursor.pass_if(b';') || !cursor.skip_cfws()? {
        return Err(Broken);
    }
    read_pair(cursor)
}

/// parameter = attribute "=" value
fn read_pair(cursor: &mut Cursor<'_>) -> Result<Parameter, Broken> {
    let mut name = Vec::new();
    let mut value = Vec::new();
    if !cursor.mime_token(&mut name)? || !cursor.pass_if(b'=') {
        return Err(Broken);
    }
    if cursor.skip_cfws()? {
        match cursor.peek() {
            Some(b'"') => {
                cursor.quoted_string(&mut value)?;
            }
            // An encoded word without quotes (`name==?utf-8?b?…?=`) is common and is no token.
            Some(b'=') => {
                while let Some(byte) = cursor
                    .peek()
                    .filter(|b| !matches!(b, b';' | b' ' | b'\t' | b'\r' | b'\n'))
                {
                    value.push(byte);
                    cursor.pass();
                }
            }
            _ => {
                cursor.mime_token(&mut value)?;
            }
        }
    }
    Ok((name, value))
}

/// Cuts `name*1*` into name, index and whether it is extended; `None` for a plain name.
fn split_name(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    let star = name.iter().position(|&b| b == b'*')?;
    let rest = &name[star + 1..];
    if rest.is_empty() {
        return Some((&name[..star], 0, true));
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let index = rest[..digits].iter().fold(0u32, |sum, digit| {
        sum.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
    });
    match &rest[digits..] {
        b"" => Some((&name[..star], index, false)),
        b"*" => Some((&name[..star], index, true)),
        _ => None,
    }
}

/// Joins the pieces of one value; pieces with a gap between them stay as they are.
fn join(pieces: &[Piece], whole: &mut Vec<Parameter>) {
    let is_complete = pieces
        .iter()
        .zip(0u32..)
        .all(|(piece, index)| piece.index == index);
    if !is_complete {
        for piece in pieces {
            let mut name = piece.name.clone();
            name.extend_from_slice(format!("*{}", piece.index).as_bytes());
            if piece.is_extended {
                name.push(b'*');
            }
            whole.push((name, piece.value.clone()));
        }
        return;
    }
    let Some(first) = pieces.first() else { return };
    let is_extended = pieces.iter().any(|piece| piece.is_extended);
    let mut name = first.name.clone();
    let mut value = Vec::new();
    if is_extended {
        name.push(b'*');
        if !first.is_extended {
            value.extend_from_slice(b"''");
        }
    }
    for piece in pieces {
        if is_extended && !piece.is_extended {
            for &byte in &piece.value {
                value.extend_from_slice(if byte == b'%' {
                    b"%25"
                } else {
                    std::slice::from_ref(&byte)
                });
            }
        } else {
            value.extend_from_slice(&piece.value);
        }
    }
    whole.push((name, value));
}
