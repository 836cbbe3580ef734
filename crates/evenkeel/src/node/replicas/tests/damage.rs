//! Every byte that was written is flipped, and every file deleted, on one member of three: nothing wrong is read, no
//! key is lost, and nobody has to do anything.

use evenkeel_store::disk::MemoryDisk;

use super::*;

const OPERATIONS: u64 = 200;

/// What was ever in each element of each key.
type History = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Whether the long form is asked for.
fn long() -> bool {
    std::env::var("EVENKEEL_LONG").is_ok_and(|value| value == "1")
}

/// Every value that the trace wrote.
fn history() -> History {
    let mut draw = Draw(OPERATIONS);
    let mut all = History::new();
    for serial in 0..OPERATIONS {
        draw.below(3);
        let words = draw.command(serial);
        let elements = all.entry(words[1].clone()).or_default();
        match words[0].as_str() {
            "SET" => {
                let values = elements.entry(String::new()).or_default();
                values.insert(words[2].clone());
            }
            "INCR" => {
                let values = elements.entry(String::new()).or_default();
                values.insert((values.len() + 1).to_string());
            }
            "SADD" => {
                for member in &words[2..] {
                    elements
                        .entry(member.clone())
                        .or_default()
                        .insert(String::new());
                }
            }
            "HSET" => {
                let values = elements.entry(words[2].clone()).or_default();
                values.insert(words[3].clone());
            }
            _ => {}
        }
    }
    all
}

/// Nothing is shown that nobody wrote: what is missing is missing, what is there is right.
fn check_shown(history: &History, member: &mut Member<MemoryDisk>, what: &str) {
    for (key, elements) in member.shown() {
        for (element, value) in elements {
            let written = history.get(&key).and_then(|known| known.get(&element));
            assert!(
                written.is_some_and(|values| values.contains(&value)),
                "{what}: {key} {element} is {value}"
            );
        }
    }
}

/// Three members that have run the trace, and are stopped.
fn recorded() -> Vec<Arc<MemoryDisk>> {
    let disks: Vec<_> = (0..3).map(|_| Arc::new(MemoryDisk::new())).collect();
    let mut cluster = Cluster::open(&disks);
    cluster.run_trace(OPERATIONS);
    disks
}

/// Damages one member's disk in many ways, each time from the same beginning.
struct Bench {
    disks: Vec<Arc<MemoryDisk>>,
    history: History,
    cluster: Cluster<MemoryDisk>,
    shown: BTreeMap<String, BTreeMap<String, String>>,
    tried: u64,
    healed: u64,
}

impl Bench {
    fn new() -> Self {
        let disks = recorded();
        let forks: Vec<_> = disks.iter().map(|disk| Arc::new(disk.fork())).collect();
        let mut cluster = Cluster::open(&forks);
        cluster.converge("undamaged");
        let shown = cluster.members[0].shown();
        assert!(shown.values().filter(|found| !found.is_empty()).count() > 8);
        Self {
            disks,
            history: history(),
            cluster,
            shown,
            tried: 0,
            healed: 0,
        }
    }

    /// The member starts from a damaged copy of its disk, alone; then it meets the others.
    fn try_damage(&mut self, at: usize, what: &str, damage: impl FnOnce(&MemoryDisk)) {
        let disk = Arc::new(self.disks[at].fork());
        damage(&disk);
        let me = self.cluster.members[at].me;
        let mut member = Member::open(&disk, me, 3)
            .unwrap_or_else(|error| panic!("{what}: does not start: {error}"));
        check_shown(&self.history, &mut member, what);
        for id in partitions() {
            let count = member.partition(id).count();
            assert!(count.is_sound(), "{what}: partition {id:?} is not sound");
        }
        // What was recovered is what the next start finds.
        if self.tried.is_multiple_of(16) {
            let again = Arc::new(disk.crash(0, |_| evenkeel_store::disk::Fate::Synced));
            let again = Member::open(&again, me, 3).unwrap();
            for id in partitions() {
                let (one, two) = (member.partition(id), again.partition(id));
                assert_eq!(one.replica().context(), two.replica().context(), "{what}");
                assert_eq!(one.replica().digest(), two.replica().digest(), "{what}");
            }
        }
        self.tried += 1;
        self.cluster.replace(at, member);
        if self.cluster.is_converged() {
            return;
        }
        self.healed += 1;
        self.cluster.converge(what);
        for member in &mut self.cluster.members {
            assert_eq!(member.shown(), self.shown, "{what}");
        }
    }

    fn files(&self, at: usize) -> Vec<(String, Vec<u8>)> {
        let names = self.disks[at].list().unwrap().into_iter();
        names
            .map(|name| {
                let bytes = self.disks[at].bytes(&name).unwrap();
                (name, bytes)
            })
            .collect()
    }

    fn flip(&mut self, at: usize, (name, bytes): (&str, &[u8]), offset: usize) {
        let what = format!("member {at}, {name}, byte {offset} flipped");
        self.try_damage(at, &what, |disk| {
            let mut bytes = bytes.to_vec();
            bytes[offset] ^= 1 << (offset % 8);
            disk.set_bytes(name, bytes);
        });
    }
}

#[test]
fn any_flipped_byte_on_one_of_three_members_heals_by_itself() {
    let mut bench = Bench::new();
    // In the short form a few dozen bytes of each member, other ones in each file.
    let step = if long() { 1 } else { 397 };
    let members = if long() { 0..3 } else { 0..2 };
    for at in members {
        let files = bench.files(at);
        assert!(
            files
                .iter()
                .any(|(name, _)| name.starts_with("checkpoint-"))
        );
        let segments = files.iter().filter(|(name, _)| name.starts_with("log-"));
        assert!(
            segments.count() > 1,
            "{:?}",
            files.iter().map(|f| &f.0).collect::<Vec<_>>()
        );
        for (index, (name, bytes)) in files.iter().enumerate() {
            for offset in ((index * 29) % step..bytes.len()).step_by(step) {
                bench.flip(at, (name, bytes), offset);
            }
        }
    }
    say(&format!(
        "{} bytes flipped, {} times the others had to help",
        bench.tried, bench.healed
    ));
    assert!(bench.healed > 0);
}

#[test]
fn any_deleted_emptied_or_shortened_file_on_one_of_three_members_heals_by_itself() {
    let mut bench = Bench::new();
    for at in 0..3 {
        for (name, bytes) in bench.files(at) {
            let what = format!("member {at}, {name}");
            bench.try_damage(at, &format!("{what} deleted"), |disk| {
                disk.remove(&name).unwrap();
            });
            for length in [0, bytes.len() / 2, bytes.len() - 1] {
                bench.try_damage(at, &format!("{what} cut at {length}"), |disk| {
                    disk.set_bytes(&name, bytes[..length].to_vec());
                });
            }
        }
    }
    assert!(bench.healed > 20, "{}", bench.healed);
}

#[test]
fn a_sector_that_was_written_elsewhere_or_not_at_all_heals_by_itself() {
    const SECTOR: usize = 512;
    let mut bench = Bench::new();
    let step = if long() { 1 } else { 3 };
    for at in 0..3 {
        let files = bench.files(at);
        for (name, bytes) in &files {
            for sector in (0..bytes.len().div_ceil(SECTOR)).step_by(step) {
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(bytes.len());
                for (other, source) in [files.first(), files.last()].into_iter().flatten() {
                    let what = format!("member {at}, {name}: sector {sector} is one of {other}");
                    bench.try_damage(at, &what, |disk| {
                        let mut bytes = bytes.clone();
                        for offset in range.clone() {
                            bytes[offset] = source.get(offset).copied().unwrap_or(0);
                        }
                        disk.set_bytes(name, bytes);
                    });
                }
                let what = format!("member {at}, {name}: sector {sector} is zeros");
                bench.try_damage(at, &what, |disk| {
                    let mut bytes = bytes.clone();
                    bytes[range.clone()].fill(0);
                    disk.set_bytes(name, bytes);
                });
            }
        }
    }
    assert!(bench.healed > 20, "{}", bench.healed);
}

#[test]
fn a_node_that_is_alone_refuses_to_start_without_what_it_alone_had() {
    let disk = Arc::new(MemoryDisk::new());
    let mut cluster = Cluster::open(std::slice::from_ref(&disk));
    cluster.run_trace(OPERATIONS);
    let shown = cluster.members[0].shown();
    drop(cluster);
    let mut refused = 0;
    for name in disk.list().unwrap() {
        let damaged = Arc::new(disk.fork());
        damaged.remove(&name).unwrap();
        let files = damaged.list().unwrap();
        match Member::open(&damaged, NodeId(0), 1) {
            // What the file held is known without it.
            Ok(mut member) => assert_eq!(member.shown(), shown, "{name}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("--accept-loss"), "{error}");
                assert_eq!(damaged.list().unwrap(), files, "nothing was changed");
            }
        }
    }
    assert!(refused > 5, "{refused}");
}
