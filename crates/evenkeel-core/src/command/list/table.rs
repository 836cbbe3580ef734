//! The commands on lists, as COMMAND shows them.

use super::{End, ends, inside, several};
use crate::command::reply;
use crate::command::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};

const KEPT: &str = "Concurrent pushes and insertions are all kept, in the same order everywhere; those of one command stay together.";
const KEPT_AT_HOME: &str =
    "As RPUSH. Decided at the home: two homes under a partition may both find the list there.";
pub(super) const ONCE_AT_HOME: &str = "Removes what it saw. Popped at the home, so once; two homes under a partition may both pop an element (at least once).";
pub(super) const MOVED_AT_HOME: &str = "As LPOP and RPUSH: two homes under a partition may both move an element. Keys of several partitions: not atomic.";
const OBSERVED: &str =
    "Removes what it saw; an element that was set or pushed meanwhile survives in its place.";
const PER_ELEMENT: &str =
    "As SET, per element: the newest of concurrent writes shows; it survives a concurrent removal.";

const PUSHED: &str = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.";
pub(super) const FIRST_OF: &str =
    "O(N+M) where N is the number of provided keys and M is the number of elements returned.";

const WRITE: &[Flag] = &[Flag::Write];
const GROW: &[Flag] = &[Flag::Write, Flag::Denyoom];
const GROW_FAST: &[Flag] = &[Flag::Write, Flag::Denyoom, Flag::Fast];
const POP: &[Flag] = &[Flag::Write, Flag::Fast];
const LOOK: &[Flag] = &[Flag::Readonly];

pub(super) const fn list(name: &'static str, arity: i32, flags: &'static [Flag], run: Run) -> Spec {
    Spec::new(name, arity, flags, KeySpec::ONE, run).in_group(Group::List, &["list"])
}

pub(super) const fn over(spec: Spec, keys: KeySpec) -> Spec {
    Spec { keys, ..spec }
}

/// This family's part of the table.
pub(in crate::command) const COMMANDS: &[Spec] = &[
    list(
        "lpush",
        -3,
        GROW_FAST,
        Run::OnKey(|keys, args| reply(ends::push(keys, args, End::Left))),
    )
    .docs("1.0.0", PUSHED, "Prepend one or multiple elements to a list")
    .merges(KEPT),
    list(
        "rpush",
        -3,
        GROW_FAST,
        Run::OnKey(|keys, args| reply(ends::push(keys, args, End::Right))),
    )
    .docs("1.0.0", PUSHED, "Append one or multiple elements to a list")
    .merges(KEPT),
    list(
        "lpushx",
        -3,
        GROW_FAST,
        Run::OnKey(|keys, args| reply(ends::push_existing(keys, args, End::Left))),
    )
    .docs(
        "2.2.0",
        PUSHED,
        "Prepend an element to a list, only if the list exists",
    )
    .merges(KEPT_AT_HOME)
    .conditional(Conditional::Always),
    list(
        "rpushx",
        -3,
        GROW_FAST,
        Run::OnKey(|keys, args| reply(ends::push_existing(keys, args, End::Right))),
    )
    .docs(
        "2.2.0",
        PUSHED,
        "Append an element to a list, only if the list exists",
    )
    .merges(KEPT_AT_HOME)
    .conditional(Conditional::Always),
    list(
        "lpop",
        -2,
        POP,
        Run::OnKey(|keys, args| reply(ends::pop(keys, args, End::Left))),
    )
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements returned",
        "Remove and get the first elements in a list",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
    list(
        "rpop",
        -2,
        POP,
        Run::OnKey(|keys, args| reply(ends::pop(keys, args, End::Right))),
    )
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements returned",
        "Remove and get the last elements in a list",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
    list(
        "llen",
        2,
        &[Flag::Readonly, Flag::Fast],
        Run::OnKey(|keys, args| reply(inside::len(keys, args))),
    )
    .docs("1.0.0", "O(1)", "Get the length of a list"),
    list(
        "lrange",
        4,
        LOOK,
        Run::OnKey(|keys, args| reply(inside::range(keys, args))),
    )
    .docs(
        "1.0.0",
        "O(S+N) where S is the distance of the range from the nearer end and N is the number of elements in it.",
        "Get a range of elements from a list",
    ),
    list(
        "lindex",
        3,
        LOOK,
        Run::OnKey(|keys, args| reply(inside::index(keys, args))),
    )
    .docs(
        "1.0.0",
        "O(N) where N is the distance of the element from the nearer end.",
        "Get an element from a list by its index",
    ),
    list(
        "lset",
        4,
        GROW,
        Run::OnKey(|keys, args| reply(inside::set(keys, args))),
    )
    .docs(
        "1.0.0",
        "O(N) where N is the distance of the element from the nearer end.",
        "Set the value of an element in a list by its index",
    )
    .merges(PER_ELEMENT),
    list(
        "linsert",
        5,
        GROW,
        Run::OnKey(|keys, args| reply(inside::insert(keys, args))),
    )
    .docs(
        "2.2.0",
        "O(N) where N is the number of elements to traverse before seeing the value pivot.",
        "Insert an element before or after another element in a list",
    )
    .merges(KEPT),
    list(
        "lrem",
        4,
        WRITE,
        Run::OnKey(|keys, args| reply(inside::remove(keys, args))),
    )
    .docs(
        "1.0.0",
        "O(N+M) where N is the length of the list and M is the number of elements removed.",
        "Remove elements from a list",
    )
    .merges(OBSERVED),
    list(
        "ltrim",
        4,
        WRITE,
        Run::OnKey(|keys, args| reply(inside::trim(keys, args))),
    )
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements to be removed by the operation.",
        "Trim a list to the specified range",
    )
    .merges(OBSERVED),
    list(
        "lpos",
        -3,
        LOOK,
        Run::OnKey(|keys, args| reply(inside::places(keys, args))),
    )
    .docs(
        "6.0.6",
        "O(N) where N is the number of elements compared.",
        "Return the index of matching elements on a list",
    ),
    over(
        list("lmove", 5, GROW, Run::Rounds(several::lmove)),
        KeySpec::TWO,
    )
    .docs(
        "6.2.0",
        "O(1)",
        "Pop an element from a list, push it to another list and return it",
    )
    .merges(MOVED_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list("rpoplpush", 3, GROW, Run::Rounds(several::rpoplpush)),
        KeySpec::TWO,
    )
    .docs(
        "1.2.0",
        "O(1)",
        "Remove the last element in a list, prepend it to another list and return it",
    )
    .merges(MOVED_AT_HOME)
    .conditional(Conditional::Always),
    list(
        "ek.lrotate",
        4,
        &[Flag::Write, Flag::Denyoom, Flag::Inner],
        Run::OnKey(|keys, args| reply(ends::rotate(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "Move an element within a list from one end to the other",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list(
            "lmpop",
            -4,
            &[Flag::Write, Flag::Movablekeys],
            Run::Rounds(several::lmpop),
        ),
        KeySpec::counted(1),
    )
    .docs("7.0.0", FIRST_OF, "Pop elements from a list")
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
];
