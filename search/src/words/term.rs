//! Terms as they stand in the dictionaries: the account first, so that no list or walk mixes accounts.
//!
//! Promises: terms sort by account, then by what is behind it; no account's beginning is that of another.

use crate::text::TextId;

use super::Field;

/// 64 characters in the order of ASCII.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
/// Bits of a digit.
const DIGIT_BITS: u32 = 6;

/// A number in an order-preserving form that ends by itself: how many digits, and the digits.
fn put_number(out: &mut String, number: u64) {
    let bits = u64::BITS - number.leading_zeros();
    let digits = bits.div_ceil(DIGIT_BITS).max(1);
    put_digit(out, u64::from(digits));
    for at in (0..digits).rev() {
        put_digit(out, number >> (at * DIGIT_BITS));
    }
}

fn put_digit(out: &mut String, number: u64) {
    let [low, ..] = (number & 63).to_le_bytes();
    out.push(char::from(DIGITS[usize::from(low)]));
}

/// What all terms of an account begin with.
pub(super) fn account(account: u64) -> String {
    let mut out = String::new();
    put_number(&mut out, account);
    out
}

/// A message within its account.
pub(super) fn id(id: TextId) -> String {
    let mut out = String::new();
    put_number(&mut out, u64::from(id.epoch));
    put_number(&mut out, id.position);
    put_number(&mut out, u64::from(id.number));
    out
}

/// What all words of an account in a field begin with.
pub(super) fn field(account: &str, field: Field) -> Vec<u8> {
    let mut out = account.as_bytes().to_vec();
    out.extend(field.letter());
    out
}

/// The first bytes behind all that begin with `prefix`, which is not empty and has no byte 255.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn terms_sort_like_numbers_and_none_begins_with_another(a in any::<u64>(), b in any::<u64>(), shift in 0u32..64) {
            let (a, b) = (a >> shift, b >> shift);
            let (left, right) = (account(a), account(b));
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
            prop_assert_eq!(a == b, left.starts_with(&right));
        }
    }
}
