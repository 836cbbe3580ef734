//! Whose data a directory holds.
//!
//! Two copies, each with a checksum: one that is damaged or missing is written again from the other one. A directory
//! that says it belongs to somebody else is refused; one that cannot say it any more is refused as well, for nobody
//! knows whose data it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::recovery::StartError;
use super::topology::Topology;

const FILES: [&str; 2] = ["identity", "identity.copy"];

/// What a copy says.
#[derive(Debug, PartialEq, Eq)]
enum Copy {
    Missing,
    Damaged,
    Says(String),
    /// As before there were checksums: right, and to be written anew.
    SaysUnchecked(String),
}

/// The node and the cluster whose data a directory holds, as far as it says so.
pub(super) fn owner(dir: &Path) -> Result<Option<(String, u64)>, StartError> {
    let copies = [read(dir, FILES[0])?, read(dir, FILES[1])?];
    Ok(copies.iter().find_map(|copy| match copy {
        Copy::Says(text) | Copy::SaysUnchecked(text) => {
            let (node, cluster) = text.rsplit_once(" of cluster ")?;
            let node = node.strip_prefix("node ")?.to_owned();
            Some((node, u64::from_str_radix(cluster, 16).ok()?))
        }
        Copy::Missing | Copy::Damaged => None,
    }))
}

/// Marks a new directory as this node's, or checks that it is.
pub(super) fn claim(dir: &Path, topology: &Topology, node: &str) -> Result<(), StartError> {
    let wanted = format!(
        "node {node} of cluster {:016x}",
        topology.document.cluster()
    );
    let copies = [read(dir, FILES[0])?, read(dir, FILES[1])?];
    let said = copies.iter().find_map(|copy| match copy {
        Copy::Says(text) | Copy::SaysUnchecked(text) => Some(text),
        Copy::Missing | Copy::Damaged => None,
    });
    match said {
        Some(found) if *found != wanted => {
            return Err(StartError::Foreign {
                dir: dir.to_owned(),
                found: found.clone(),
                wanted,
            });
        }
        None if copies.contains(&Copy::Damaged) => {
            return Err(StartError::Nameless {
                dir: dir.to_owned(),
                wanted,
            });
        }
        _ => {}
    }
    for (file, copy) in FILES.iter().zip(&copies) {
        if !matches!(copy, Copy::Says(text) if *text == wanted) {
            if said.is_some() {
                tracing::warn!(file, "a copy of the directory's identity is written again");
            }
            write(dir, file, &wanted).map_err(|error| {
                StartError::io(format!("cannot write {}", dir.join(file).display()), error)
            })?;
        }
    }
    Ok(())
}

/// What is wrong with the copies of a directory, and whether no copy says any more whose data it is.
pub(super) fn findings(dir: &Path) -> Vec<(&'static str, &'static str, bool)> {
    let copies: Vec<(&str, Option<Copy>)> = FILES
        .into_iter()
        .map(|file| (file, read(dir, file).ok()))
        .collect();
    let says = |copy: &Option<Copy>| matches!(copy, Some(Copy::Says(_) | Copy::SaysUnchecked(_)));
    let is_last = !copies.iter().any(|(_, copy)| says(copy));
    let wrong = copies.into_iter().filter_map(|(file, copy)| match copy {
        Some(Copy::Says(_) | Copy::SaysUnchecked(_)) => None,
        Some(Copy::Missing) => Some((file, "it is missing", is_last)),
        Some(Copy::Damaged) => Some((file, "it is not what was written", is_last)),
        None => Some((file, "it cannot be read", is_last)),
    });
    wrong.collect()
}

fn read(dir: &Path, file: &str) -> Result<Copy, StartError> {
    match fs::read(dir.join(file)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Copy::Missing),
        Err(error) => {
            let file = dir.join(file);
            Err(StartError::io(
                format!("cannot read {}", file.display()),
                error,
            ))
        }
    }
}

fn parse(bytes: &[u8]) -> Copy {
    let Some(text) = std::str::from_utf8(bytes).ok() else {
        return Copy::Damaged;
    };
    let Some((said, rest)) = text.split_once('\n') else {
        return Copy::Damaged;
    };
    if rest.is_empty() && is_complete(said) {
        return Copy::SaysUnchecked(said.to_owned());
    }
    if rest == checksum(said) {
        return Copy::Says(said.to_owned());
    }
    Copy::Damaged
}

/// Whether it ends as it should, so that no byte of what followed has become a part of it.
fn is_complete(said: &str) -> bool {
    let cluster = said.rsplit_once(" of cluster ").map(|(_, cluster)| cluster);
    cluster.is_some_and(|cluster| {
        cluster.len() == 16 && cluster.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn checksum(said: &str) -> String {
    format!("checksum {:08x}\n", crc32c::crc32c(said.as_bytes()))
}

/// Replaces a copy as a whole.
fn write(dir: &Path, file: &str, said: &str) -> io::Result<()> {
    let new = dir.join("identity.new");
    let mut out = File::create(&new)?;
    out.write_all(format!("{said}\n{}", checksum(said)).as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, dir.join(file))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn claimed(dir: &Path, node: &str) -> Result<(), String> {
        let config = Config {
            node: node.to_owned(),
            ..Config::default()
        };
        let (document, me) = super::super::founding::found(&config).unwrap();
        claim(dir, &Topology::of(document.into(), me), node).map_err(|error| error.to_string())
    }

    #[test]
    fn either_copy_can_be_lost_or_damaged_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        claimed(dir.path(), "A").unwrap();
        let whole = fs::read(dir.path().join(FILES[0])).unwrap();
        for file in FILES {
            let path = dir.path().join(file);
            assert_eq!(fs::read(&path).unwrap(), whole);
            fs::remove_file(&path).unwrap();
            claimed(dir.path(), "A").unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    fs::write(&path, bytes).unwrap();
                    claimed(dir.path(), "A").unwrap();
                    assert_eq!(fs::read(&path).unwrap(), whole, "byte {at} bit {bit}");
                }
                fs::write(&path, &whole[..at]).unwrap();
                claimed(dir.path(), "A").unwrap();
                assert_eq!(fs::read(&path).unwrap(), whole, "cut at {at}");
            }
        }
    }

    #[test]
    fn a_directory_of_another_node_or_of_nobody_known_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        claimed(dir.path(), "A").unwrap();
        let refused = claimed(dir.path(), "B").unwrap_err();
        assert!(
            refused.contains("holds data of node A of cluster"),
            "{refused}"
        );
        for file in FILES {
            fs::write(dir.path().join(file), "node A of").unwrap();
        }
        let refused = claimed(dir.path(), "A").unwrap_err();
        assert!(refused.contains("does not say any more"), "{refused}");
    }

    #[test]
    fn a_directory_of_the_time_before_checksums_is_taken_and_gets_them() {
        let dir = tempfile::tempdir().unwrap();
        claimed(dir.path(), "A").unwrap();
        let whole = fs::read_to_string(dir.path().join(FILES[0])).unwrap();
        let line = whole.lines().next().unwrap();
        fs::write(dir.path().join(FILES[0]), format!("{line}\n")).unwrap();
        fs::remove_file(dir.path().join(FILES[1])).unwrap();
        claimed(dir.path(), "A").unwrap();
        for file in FILES {
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), whole);
        }
    }
}
