//! One part of a scan of a collection: its elements in the order of a hash, so that a cursor is a number.
//!
//! Invariant: the order is the same in every run, whatever is added or removed meanwhile, and all things of one hash
//! come together; so what is there throughout a scan is returned. No index is kept, which would take as much memory
//! as the names: each part looks once at everything.

use std::collections::BinaryHeap;

/// The first `wanted` things from the hash `from` on, or more where their hashes are the same; and the hash of the
/// next one, where there is one.
pub(super) fn page<'a, I>(
    things: impl Fn() -> I,
    from: u64,
    wanted: usize,
) -> (Vec<&'a [u8]>, Option<u64>)
where
    I: Iterator<Item = (u64, &'a [u8])>,
{
    let wanted = wanted.max(1);
    // One more than wanted, which is where the next page begins.
    let mut first: BinaryHeap<(u64, &[u8])> = BinaryHeap::new();
    for thing in things().filter(|thing| thing.0 >= from) {
        if first.len() <= wanted {
            first.push(thing);
        } else if first.peek().is_some_and(|last| thing < *last) {
            first.pop();
            first.push(thing);
        }
    }
    let found = first.into_sorted_vec();
    let next = (found.len() > wanted).then(|| found[wanted].0);
    if let Some(next) = next
        && found[0].0 == next
    {
        // More things of one hash than a page has: they come together all the same.
        let same = things().filter(|thing| thing.0 == next);
        return (same.map(|thing| thing.1).collect(), next.checked_add(1));
    }
    let page = found.into_iter();
    let page = page.filter(|thing| next.is_none_or(|next| thing.0 < next));
    (page.map(|thing| thing.1).collect(), next)
}
