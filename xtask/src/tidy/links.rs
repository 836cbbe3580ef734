//! A relative link in a Markdown file leads to a file or folder of the repository.
//!
//! Code blocks and code spans are no links. Fragments (`#section`) are not followed.

use super::Finding;
use crate::repo::Repo;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repo.with_extension("md") {
        for (line, target) in targets(text) {
            let Some(file) = local(&target) else {
                continue;
            };
            let holds = resolve(path, file).is_some_and(|full| repo.holds(&full));
            if !holds {
                let message =
                    format!("`{file}` is not in the repository; correct or drop the link");
                findings.push(Finding::new("links", path, line, message));
            }
        }
    }
    findings
}

/// The part of a link that names a file here, if it does.
fn local(target: &str) -> Option<&str> {
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    let file = target.split('#').next().unwrap_or_default();
    (!has_scheme && !file.is_empty()).then_some(file)
}

/// `target` as seen from the file `from`, relative to the root; `None` if it leaves the root.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').rev().skip(1).collect(),
    };
    parts.reverse();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Every link target outside code, with its line: `[text](target "title")` and `[label]: target`.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            let plain = without_code_spans(line);
            let links = inline(&plain).chain(reference(&plain));
            found.extend(links.map(|target| (index + 1, target)));
        }
    }
    found
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

fn inline(line: &str) -> impl Iterator<Item = String> {
    let after_each_opening = line.split("](").skip(1);
    after_each_opening.filter_map(first_word)
}

fn reference(line: &str) -> Option<String> {
    let (label, target) = line.strip_prefix('[')?.split_once("]:")?;
    let is_footnote = label.starts_with('^');
    if is_footnote {
        None
    } else {
        first_word(target)
    }
}

fn first_word(text: &str) -> Option<String> {
    let word = text.trim_start().trim_start_matches('<');
    let end = word.find([')', '>', ' ']).unwrap_or(word.len());
    Some(word[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let repo = Repo::of(&[
            ("docs/a.md", text),
            ("docs/sub/b.md", ""),
            ("README.md", ""),
        ]);
        check(&repo).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_to_files_and_folders_of_the_repository_pass() {
        let text = "[b](sub/b.md#top) [r](../README.md \"title\") [f](sub/) [root](/README.md)\n";
        assert!(lines(text).is_empty());
    }

    #[test]
    fn a_link_to_nothing_is_found_in_both_forms() {
        assert_eq!(lines("\n[x](missing.md)\n"), [2]);
        assert_eq!(lines("[x]: missing.md\n"), [1]);
        assert_eq!(lines("[x](../../outside.md)\n"), [1]);
        assert_eq!(lines("[`code`](missing.md)\n"), [1]);
    }

    #[test]
    fn addresses_fragments_and_code_are_not_files() {
        assert!(lines("[w](https://example.org/x) [m](mailto:a@b.c) [s](#top)\n").is_empty());
        assert!(lines("`[x](y.md)`\n```\n[x](y.md)\n```\n[^1]: A note.\n").is_empty());
    }
}
