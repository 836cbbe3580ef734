//! `docs/commands.md`: the table of commands, as a page for people.
//!
//! `EVENKEEL_UPDATE_DOCS=1 cargo test -p evenkeel-core --test it commands_page` writes it anew.
#![expect(
    clippy::disallowed_methods,
    reason = "the rule is for what a node decides; a test reads its page from disk"
)]

use std::fs;
use std::path::PathBuf;

use evenkeel_core::command::{Conditional, Group, KeySpec, Round, Run, Spec, listed, lookup};
use evenkeel_resp::Reply;

/// The titles of chapters, in their order. A group that is not named here comes last, under its own name.
const CHAPTERS: &[(Group, &str)] = &[
    (Group::Evenkeel, "Evenkeel's own"),
    (Group::String, "Strings and counters"),
    (Group::Bitmap, "Bit strings"),
    (Group::HyperLogLog, "HyperLogLogs"),
    (Group::Hash, "Hashes"),
    (Group::Set, "Sets"),
    (Group::SortedSet, "Sorted sets"),
    (Group::Geo, "Geography"),
    (Group::List, "Lists"),
    (Group::Generic, "Keys"),
    (Group::Transactions, "Transactions"),
    (Group::Pubsub, "Publish and subscribe"),
    (Group::Connection, "Connections"),
    (Group::Server, "Server"),
    (Group::Cluster, "Cluster"),
];

/// Every command of Redis 7.0.15.
const REDIS: &str = include_str!("redis-commands.txt");

const HEAD: &str = "\
# Commands

Made from the table of commands; `EVENKEEL_UPDATE_DOCS=1 cargo test -p evenkeel-core --test it commands_page` writes it
anew. `COMMAND DOCS name` gives the same facts to programs. Names, arguments, replies and error texts are those of
Redis 7.0.15.

- **Arguments**: how many, the name included; a minus sign means at least.
- **Since**: the version of Redis, or of Evenkeel for its own, that brought it.
- **Concurrent runs**: what becomes of them when neither had seen the other; see [conflicts.md](conflicts.md). A command
  that only reads has nothing there.
- **Home**: whether it decides by what it reads and so runs at the home of the key's partition, always or with some options.
- **Several partitions**: a command is atomic within one partition (a block of 64 slots; keys with the same `{tag}` share
  one). *One key*: it never leaves one. *Key by key*: each key alone, in order, one reply. *In rounds*: it reads, then
  writes, not atomic over several partitions. *Waits*: it tries its keys in order, and while none has anything it waits
  at the client's node and then tries those that have. What it takes, it takes atomically within the key's partition;
  moving it to a key of another partition is a second step. Inside MULTI it does not wait.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let named = |group: Group| CHAPTERS.iter().find(|chapter| chapter.0 == group);
    let mut chapters = CHAPTERS.to_vec();
    for spec in listed().filter(|spec| named(spec.group).is_none()) {
        let chapter = (spec.group, spec.group.name());
        if !chapters.contains(&chapter) {
            chapters.push(chapter);
        }
    }
    for (group, title) in chapters {
        let specs = sorted(|spec| spec.group == group && refusal(spec).is_none());
        page.push_str(&format!(
            "\n## {title}\n\n\
             | Command | Arguments | Since | Does | Time | Concurrent runs | Home | Several partitions |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        ));
        for spec in specs {
            page.push_str(&row(spec));
        }
    }
    page.push_str("\n## Refused by name\n\n| Command | The reply |\n| --- | --- |\n");
    for spec in sorted(|spec| refusal(spec).is_some()) {
        let name = spec.name.to_uppercase();
        let text = refusal(spec).unwrap_or_default();
        page.push_str(&format!("| `{name}` | {text} |\n"));
    }
    let absent: Vec<String> = REDIS
        .lines()
        .filter(|name| lookup(name.as_bytes()).is_none())
        .map(|name| format!("`{}`", name.to_uppercase()))
        .collect();
    if !absent.is_empty() {
        let absent = absent.join(" ");
        page.push_str(&format!(
            "\n## Not in this version\n\nUnknown to Evenkeel, known to Redis 7.0.15: {absent}\n"
        ));
    }
    page
}

/// The commands for which `is` holds, by name.
fn sorted(is: impl Fn(&Spec) -> bool) -> Vec<&'static Spec> {
    let mut specs: Vec<&Spec> = listed().filter(|spec| is(spec)).collect();
    specs.sort_by_key(|spec| spec.name);
    specs
}

/// What a command answers that is refused whatever its arguments are.
fn refusal(spec: &Spec) -> Option<String> {
    let Run::Rounds(step) = spec.run else {
        return None;
    };
    if !spec.summary.starts_with("Refused:") {
        return None;
    }
    match step(&[], &[]) {
        Round::Done(Reply::Error(text)) => {
            Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
        }
        _ => None,
    }
}

fn row(spec: &Spec) -> String {
    let name = spec.name.to_uppercase();
    let cells = [
        format!("`{name}`"),
        spec.arity.to_string(),
        spec.since.to_owned(),
        spec.summary.to_owned(),
        spec.complexity.to_owned(),
        spec.merge.to_owned(),
        home(spec.conditional),
        reach(spec).to_owned(),
    ];
    format!(
        "| {} |\n",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )
}

fn home(conditional: Conditional) -> String {
    match conditional {
        Conditional::Never => String::new(),
        Conditional::Always => "always".to_owned(),
        Conditional::With(_, options) => format!("with {}", options.join(", ").to_uppercase()),
    }
}

const fn reach(spec: &Spec) -> &'static str {
    match spec.run {
        Run::OnKey(_) => "one key",
        Run::OnEachKey { .. } => "key by key",
        Run::OnEveryPartition { .. } | Run::Scan => "partition by partition",
        Run::Shell if spec.keys.first == KeySpec::NONE.first => "",
        Run::Shell => "one key",
        Run::Blocking(_) => "waits",
        Run::Rounds(_) => "in rounds",
    }
}

#[test]
fn the_page_of_commands_says_what_the_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let page = page();
    if std::env::var_os("EVENKEEL_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/commands.md is stale: write it anew as the head of this file says"
    );
}
