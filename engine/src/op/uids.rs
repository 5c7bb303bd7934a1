//! UID sets as bytes: ranges by gaps.

use coldpost_tiers::codec::{Malformed, Reader, Writer};

use crate::uidset::UidSet;

/// `varint ranges`, each the gap from the end of the range before and its length − 1.
pub fn write_uids(w: &mut Writer, set: &UidSet) {
    w.count(set.ranges().len());
    let mut end = 0_u32;
    for &(first, last) in set.ranges() {
        w.varint(first - end).varint(last - first);
        end = last;
    }
}

/// Reads what [`write_uids`] wrote.
///
/// # Errors
/// [`Malformed`] with the place: ranges that overlap, touch or leave 32 bits.
pub fn read_uids(r: &mut Reader<'_>) -> Result<UidSet, Malformed> {
    let mut set = UidSet::new();
    let mut end = 0_u32;
    for n in 0..r.count()? {
        let at = r.malformed("ranges in order that do not touch");
        let gap: u32 = r.number()?;
        if n > 0 && gap < 2 {
            return Err(at);
        }
        let first = end.checked_add(gap).ok_or(at)?;
        let last = first.checked_add(r.number()?).ok_or(at)?;
        set.push_range(first, last);
        end = last;
    }
    Ok(set)
}
