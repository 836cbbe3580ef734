//! Golden files: bytes of every kind as version 1 wrote them, which every later build must read.
//!
//! `EVENKEEL_WRITE_FIXTURES=1 cargo test -p evenkeel-core --test it` writes the files that are missing, for a new
//! kind of frame or a new version. It never changes one that exists: a golden file that no longer fits is a broken
//! promise to whoever runs an older build, not something to be renewed.
#![expect(
    clippy::disallowed_methods,
    reason = "the rule is for what a node decides; a test reads its golden files from disk"
)]

use std::fs;
use std::path::PathBuf;

use evenkeel_core::message::Head;
use evenkeel_core::wire::{Record, decode, decode_record, encode, encode_note};

use crate::samples;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// All golden files: name and bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .expect("the golden files are in the repository")
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a readable file"))
        })
        .collect();
    files.sort();
    files
}

/// The bytes that this build writes for what it read.
pub(crate) fn written(head: Head, record: Record) -> Vec<u8> {
    match record {
        Record::Frame(message) => encode(head, &message),
        Record::Note(note) => encode_note(head, &note),
    }
}

#[test]
fn every_kind_has_a_golden_file() {
    let write = std::env::var_os("EVENKEEL_WRITE_FIXTURES").is_some();
    for (name, bytes) in samples::all() {
        let path = folder().join(format!("{name}.bin"));
        if write && !path.exists() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        assert!(
            path.exists(),
            "{name}.bin is missing; see the head of this file"
        );
    }
}

#[test]
fn this_build_writes_the_bytes_of_the_golden_files() {
    let files = files();
    for (name, bytes) in samples::all() {
        let (_, golden) = files.iter().find(|(file, _)| file == name).unwrap();
        assert_eq!(
            *golden, bytes,
            "the format of {name} has changed under the same version"
        );
    }
}

#[test]
fn golden_files_are_read_and_written_again_as_they_are() {
    let files = files();
    assert!(files.len() >= 15, "{}", files.len());
    for (name, bytes) in files {
        let (head, record) = decode_record(&bytes).unwrap();
        assert_eq!(written(head, record), bytes, "{name}");
        assert_eq!(decode(&bytes).is_err(), name.starts_with("note_"), "{name}");
    }
}
