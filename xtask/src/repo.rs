//! The files of the repository, as the tidy rules see them.
//!
//! Invariants: paths are relative to the root and use `/`; a file that is not UTF-8 has no text
//! but is still there to be linked to; ignored files (`target/`, data directories) are not in it.
//! The rules read this value only, so that their tests need no disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rust_source::RustSource;

/// Every file that git tracks or would add.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    files: BTreeMap<String, Option<String>>,
    /// The views of every `.rs` file, made once for all rules.
    rust: BTreeMap<String, RustSource>,
}

impl Repo {
    /// Reads all tracked and not ignored files below `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        for path in list_files(root)? {
            // A deleted file stays in git's index until the deletion is staged.
            if let Ok(bytes) = std::fs::read(root.join(&path)) {
                files.insert(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(Self::new(files))
    }

    fn new(files: BTreeMap<String, Option<String>>) -> Self {
        let mut rust = BTreeMap::new();
        for (path, text) in &files {
            if let Some(text) = text
                && path.ends_with(".rs")
            {
                rust.insert(path.clone(), RustSource::new(text));
            }
        }
        Self { files, rust }
    }

    /// The Rust files: path and views.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &RustSource)> {
        self.rust
            .iter()
            .map(|(path, source)| (path.as_str(), source))
    }

    /// All text files: path and content.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text files whose name ends in `.<extension>`.
    pub(crate) fn with_extension(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts()
            .filter(move |(path, _)| path.rsplit_once('.').is_some_and(|(_, e)| e == extension))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether `path` is a file, or a folder that holds one.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

#[cfg(test)]
impl Repo {
    /// A repository made of literals.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), Some((*text).to_owned()));
        Self::new(files.iter().map(own).collect())
    }
}

/// The root of the workspace: the nearest folder upwards that holds this crate.
pub(crate) fn find_root() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|error| format!("no working directory: {error}"))?;
    here.ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not in an Evenkeel work tree", here.display()))
}

fn list_files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root)
        .output()
        .map_err(|error| format!("git did not start: {error}; tidy needs git"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`git ls-files` failed: {}", reason.trim()));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}
