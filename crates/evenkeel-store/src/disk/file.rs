//! A disk that is a directory of real files, locked against other processes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DirectoryLock, Disk, DiskError, DiskFile, LockError, Operation};

/// A directory of real files. Holds the directory's lock while it lives.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    /// The directory itself, to sync it.
    directory: File,
    access: Access,
    /// Held, and never read.
    _lock: Option<DirectoryLock>,
}

/// What may be done to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

impl FileDisk {
    /// Creates the directory if need be and locks it.
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            directory: path.to_owned(),
            source,
        };
        create_directory(path).map_err(failed)?;
        let lock = DirectoryLock::acquire(path)?;
        Ok(Self {
            path: path.to_owned(),
            directory: File::open(path).map_err(failed)?,
            access: Access::Write,
            _lock: Some(lock),
        })
    }

    /// Opens an existing directory to read what is there; nothing is created or changed, and nobody else may have it
    /// open to write.
    pub fn open_to_read(path: &Path) -> Result<Self, LockError> {
        let directory = File::open(path).map_err(|source| LockError::Io {
            directory: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            access: Access::Read,
            _lock: DirectoryLock::share(path)?,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates missing directories and makes their names durable: a synced log in
/// a directory that vanishes with the power is no log.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// An open real file.
#[derive(Debug)]
pub struct FileHandle {
    /// Its cursor stands where the next append goes; reads and overwrites name
    /// their offset and leave the cursor alone. (`O_APPEND` would make the
    /// kernel append overwrites too.)
    file: File,
    name: Arc<str>,
}

impl FileHandle {
    fn failed(&self, operation: Operation) -> impl FnOnce(io::Error) -> DiskError + '_ {
        move |error| DiskError::new(operation, &self.name, error)
    }
}

impl Disk for FileDisk {
    type File = FileHandle;

    fn create(&self, name: &str) -> Result<FileHandle, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))
            .map_err(|error| DiskError::new(Operation::Create, name, error))?;
        Ok(FileHandle {
            file,
            name: Arc::from(name),
        })
    }

    fn open(&self, name: &str) -> Result<FileHandle, DiskError> {
        let failed = |error| DiskError::new(Operation::Open, name, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(self.access == Access::Write)
            .open(self.path.join(name))
            .map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(FileHandle {
            file,
            name: Arc::from(name),
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.path.join(from), self.path.join(to))
            .map_err(|error| DiskError::new(Operation::Rename, from, error))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        fs::remove_file(self.path.join(name))
            .map_err(|error| DiskError::new(Operation::Remove, name, error))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let failed = |error| DiskError::new(Operation::List, &self.path.to_string_lossy(), error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.directory.sync_all().map_err(|error| {
            DiskError::new(
                Operation::SyncDirectory,
                &self.path.to_string_lossy(),
                error,
            )
        })
    }
}

impl DiskFile for FileHandle {
    fn append(&self, mut parts: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        // Skips empty leading parts, which would read as "wrote nothing".
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match (&self.file).write_vectored(parts) {
                Ok(0) => {
                    return Err(self.failed(Operation::Write)(
                        io::ErrorKind::WriteZero.into(),
                    ));
                }
                Ok(written) => IoSlice::advance_slices(&mut parts, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(Operation::Write)(error)),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(self.failed(Operation::Write))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(Operation::Read)(error)),
            }
        }
        Ok(filled)
    }

    fn length(&self) -> Result<u64, DiskError> {
        let metadata = self.file.metadata();
        metadata
            .map(|metadata| metadata.len())
            .map_err(self.failed(Operation::Read))
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file
            .set_len(length)
            .and_then(|()| (&self.file).seek(SeekFrom::Start(length)))
            .map(|_| ())
            .map_err(self.failed(Operation::Truncate))
    }

    fn sync(&self) -> Result<(), DiskError> {
        // fdatasync: flushes the length too, but not the times.
        self.file.sync_data().map_err(self.failed(Operation::Sync))
    }
}
