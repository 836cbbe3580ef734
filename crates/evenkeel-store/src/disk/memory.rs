//! A disk in memory that can lose power, run full, and fail on request.
//!
//! It keeps of every file what was written and what was synced, and of the
//! directory which names were synced. [`MemoryDisk::crash`] makes a second disk
//! out of it that holds what a power cut could have left; the first stays as it
//! is, so one history can be crashed in every way.
//!
//! What the model lets a crash do: keep or lose unsynced names (in the order
//! they were made, as a journalling file system does); keep any prefix of the
//! unsynced bytes of a file, garbage in them, or garbage after them. It reads no
//! clock and draws nothing at random: the caller chooses. After a failed sync the
//! next one succeeds without having written anything, as real ones do.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskError, DiskFile, Operation};

/// A disk in memory. Clones share the same files.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    state: Arc<Mutex<State>>,
    index: usize,
    name: Arc<str>,
}

/// A file with bytes that a crash may take.
#[derive(Clone, Copy, Debug)]
pub struct Unsynced<'a> {
    /// The file's name.
    pub name: &'a str,
    /// Its bytes as of the last sync.
    pub synced: &'a [u8],
    /// Its bytes as the running process sees them.
    pub written: &'a [u8],
}

/// What a crash leaves of an [`Unsynced`] file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Exactly what was synced.
    Synced,
    /// The first `bytes` as written, the others as synced. All that was written
    /// if `bytes` is at least its length.
    Prefix {
        /// How many bytes reached the disk.
        bytes: usize,
    },
    /// As `Prefix`, with garbage following the prefix.
    Torn {
        /// How many bytes reached the disk.
        bytes: usize,
        /// What stands behind them.
        garbage: Vec<u8>,
    },
}

#[derive(Clone, Debug, Default)]
struct State {
    /// By index; never removed from, so that indices stay.
    files: Vec<Content>,
    /// Names as the running process sees them.
    names: BTreeMap<String, usize>,
    /// Names as of the last directory sync.
    synced_names: BTreeMap<String, usize>,
    /// What happened to names since, in order.
    name_changes: Vec<NameChange>,
    capacity: Option<u64>,
    counts: BTreeMap<Operation, u64>,
    /// Which call is to fail: the operation and how many of it still succeed.
    failure: Option<(Operation, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// What the next sync brings to the disk: everything from this offset on.
    /// Below it, `written` and `synced` differ only if a sync has failed.
    dirty_from: Option<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Created(String, usize),
    Removed(String),
    Renamed(String, String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Created(name, index) => {
                names.insert(name.clone(), *index);
            }
            Self::Removed(name) => {
                names.remove(name);
            }
            Self::Renamed(from, to) => {
                if let Some(index) = names.remove(from) {
                    names.insert(to.clone(), index);
                }
            }
        }
    }
}

impl Content {
    fn touch(&mut self, offset: usize) {
        let from = self.dirty_from.map_or(offset, |from| from.min(offset));
        self.dirty_from = Some(from);
    }

    fn sync(&mut self) {
        if let Some(from) = self.dirty_from.take() {
            self.synced.resize(from, 0);
            self.synced.extend_from_slice(&self.written[from..]);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.touch(offset.min(self.written.len()));
        let end = offset + bytes.len();
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[offset..end].copy_from_slice(bytes);
    }

    fn truncate(&mut self, length: usize) {
        if length < self.written.len() {
            self.touch(length);
            self.written.truncate(length);
        }
    }

    fn after_crash(&self, fate: &Fate) -> Vec<u8> {
        let (bytes, garbage): (usize, &[u8]) = match fate {
            Fate::Synced => return self.synced.clone(),
            Fate::Prefix { bytes } => (*bytes, &[]),
            Fate::Torn { bytes, garbage } => (*bytes, garbage),
        };
        let kept = bytes.min(self.written.len());
        let mut left = self.written[..kept].to_vec();
        left.extend_from_slice(garbage);
        if bytes < self.written.len() && left.len() < self.synced.len() {
            left.extend_from_slice(&self.synced[left.len()..]);
        }
        left
    }
}

impl State {
    /// Counts a call and lets it fail if it is the one chosen.
    fn begin(&mut self, operation: Operation, name: &str) -> Result<(), DiskError> {
        *self.counts.entry(operation).or_default() += 1;
        match &mut self.failure {
            Some((chosen, 0)) if *chosen == operation => {
                self.failure = None;
                let error = match operation {
                    // EIO: what a bad sector gives.
                    Operation::Read => io::Error::from_raw_os_error(5),
                    _ => io::Error::other("failed on request"),
                };
                Err(DiskError::new(operation, name, error))
            }
            Some((chosen, left)) if *chosen == operation => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let lengths = self.names.values().map(|&index| &self.files[index].written);
        lengths.map(|written| written.len() as u64).sum()
    }

    fn free(&self) -> u64 {
        self.capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    fn index(&self, operation: Operation, name: &str) -> Result<usize, DiskError> {
        let index = self.names.get(name).copied();
        index.ok_or_else(|| DiskError::Missing {
            operation,
            file: Arc::from(name),
        })
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Gives back the memory of files that no name leads to any more.
    fn forget_unnamed(&mut self) {
        let named: std::collections::BTreeSet<usize> = self.names.values().copied().collect();
        for (index, content) in self.files.iter_mut().enumerate() {
            if !named.contains(&index) {
                *content = Content::default();
            }
        }
    }
}

impl MemoryDisk {
    /// An empty disk of unlimited size.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk of its own with the same history: synced and unsynced alike.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.lock().clone())),
        }
    }

    /// The disk that a power cut now could leave: of the unsynced changes of
    /// names the first `name_changes`, of each unsynced file what `fate` says.
    pub fn crash(&self, name_changes: usize, mut fate: impl FnMut(&Unsynced<'_>) -> Fate) -> Self {
        let state = self.lock();
        let mut names = state.synced_names.clone();
        for change in state.name_changes.iter().take(name_changes) {
            change.apply(&mut names);
        }
        let mut files = state.files.clone();
        for (name, &index) in &names {
            let content = &mut files[index];
            if content.written != content.synced {
                let fate = fate(&Unsynced {
                    name,
                    synced: &content.synced,
                    written: &content.written,
                });
                let left = content.after_crash(&fate);
                *content = Content {
                    written: left.clone(),
                    synced: left,
                    dirty_from: None,
                };
            }
        }
        let left = State {
            files,
            synced_names: names.clone(),
            names,
            capacity: state.capacity,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(left)),
        }
    }

    /// How many changes of names are not synced.
    #[must_use]
    pub fn unsynced_name_changes(&self) -> usize {
        self.lock().name_changes.len()
    }

    /// Limits the bytes of all files together; `None` lifts the limit. A write
    /// that does not fit happens in part.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// How many bytes all files hold together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Lets one call of `operation` fail, after `calls` more that succeed.
    pub fn fail_after(&self, operation: Operation, calls: u64) {
        self.lock().failure = Some((operation, calls));
    }

    /// How often `operation` was called.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// The bytes of a file as the running process sees them.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let index = *state.names.get(name)?;
        Some(state.files[index].written.clone())
    }

    /// Replaces a file's bytes on the medium itself, as rot would; creates the
    /// file if there is none.
    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let content = Content {
            written: bytes.clone(),
            synced: bytes,
            dirty_from: None,
        };
        let index = state.files.len();
        state.files.push(content);
        state.names.insert(name.to_owned(), index);
        state.synced_names.insert(name.to_owned(), index);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, name: &str, index: usize) -> MemoryFile {
        MemoryFile {
            state: Arc::clone(&self.state),
            index,
            name: Arc::from(name),
        }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create(&self, name: &str) -> Result<MemoryFile, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Create, name)?;
        if state.names.contains_key(name) {
            let error = io::ErrorKind::AlreadyExists.into();
            return Err(DiskError::new(Operation::Create, name, error));
        }
        let index = state.files.len();
        state.files.push(Content::default());
        state.change(NameChange::Created(name.to_owned(), index));
        Ok(self.handle(name, index))
    }

    fn open(&self, name: &str) -> Result<MemoryFile, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Open, name)?;
        let index = state.index(Operation::Open, name)?;
        Ok(self.handle(name, index))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Rename, from)?;
        state.index(Operation::Rename, from)?;
        state.change(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.begin(Operation::Remove, name)?;
        state.index(Operation::Remove, name)?;
        state.change(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let mut state = self.lock();
        state.begin(Operation::List, "directory")?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.begin(Operation::SyncDirectory, "directory")?;
        state.synced_names = state.names.clone();
        state.name_changes.clear();
        state.forget_unnamed();
        Ok(())
    }
}

impl MemoryFile {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, operation: Operation) -> Result<MutexGuard<'_, State>, DiskError> {
        let mut state = self.lock();
        state.begin(operation, &self.name)?;
        Ok(state)
    }

    /// Writes what fits.
    fn write(&self, state: &mut State, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let free = usize::try_from(state.free()).unwrap_or(usize::MAX);
        let content = &mut state.files[self.index];
        let inside = content.written.len().saturating_sub(offset);
        let fits = bytes.len().min(inside.saturating_add(free));
        content.write(offset, &bytes[..fits]);
        if fits < bytes.len() {
            return Err(DiskError::Full {
                operation: Operation::Write,
                file: Arc::clone(&self.name),
            });
        }
        Ok(())
    }

    fn offset(&self, operation: Operation, offset: u64) -> Result<usize, DiskError> {
        usize::try_from(offset).map_err(|_| {
            let error = io::ErrorKind::InvalidInput.into();
            DiskError::new(operation, &self.name, error)
        })
    }
}

impl DiskFile for MemoryFile {
    fn append(&self, parts: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        let mut state = self.begin(Operation::Write)?;
        for part in parts {
            let end = state.files[self.index].written.len();
            self.write(&mut state, end, part)?;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.begin(Operation::Write)?;
        let offset = self.offset(Operation::Write, offset)?;
        self.write(&mut state, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.begin(Operation::Read)?;
        let offset = self.offset(Operation::Read, offset)?;
        let rest = state.files[self.index].written.get(offset..).unwrap_or(&[]);
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn length(&self) -> Result<u64, DiskError> {
        let state = self.begin(Operation::Read)?;
        Ok(state.files[self.index].written.len() as u64)
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.begin(Operation::Truncate)?;
        let length = self.offset(Operation::Truncate, length)?;
        state.files[self.index].truncate(length);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.lock();
        let begun = state.begin(Operation::Sync, &self.name);
        let content = &mut state.files[self.index];
        match begun {
            Ok(()) => content.sync(),
            // As kernels do: the pages count as clean now, and no later sync
            // writes them unless they are written to again.
            Err(_) => content.dirty_from = None,
        }
        begun
    }
}
