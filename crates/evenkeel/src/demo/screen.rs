//! What the demo says: columns for people, one JSON object per observation for programs.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::cluster::NAMES;
use crate::cli::table::columns;

/// Where the story is told.
#[derive(Debug)]
pub(super) struct Screen {
    json: bool,
    colour: bool,
    started: Instant,
    scene: &'static str,
}

/// How a text stands out on a terminal.
#[derive(Clone, Copy, Debug)]
enum Style {
    Bold,
    Good,
    Bad,
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[1;31m",
            Self::Faint => "\x1b[2m",
        }
    }
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            colour: !json && !plain && std::io::stdout().is_terminal(),
            started: Instant::now(),
            scene: "start",
        }
    }

    /// The following observations belong to a scene.
    pub(super) fn enter(&mut self, scene: &'static str) {
        self.scene = scene;
    }

    pub(super) fn opening(&self) -> Result<()> {
        let title = self.styled(
            Style::Bold,
            "Evenkeel: three nodes, real processes on this machine, and no leader among them.",
        );
        self.human(&format!(
            "{title}\nWhatever one sends another is held up for 0.1 to 1.0 s, as if they stood on three continents; the delay\nis lifted only to compare them at the end of a scene.\n"
        ))
    }

    pub(super) fn nodes(&self, nodes: &[(String, String, u32)]) -> Result<()> {
        for (name, address, pid) in nodes {
            self.object(
                "node",
                json!({"node": name, "address": address, "pid": pid}),
            )?;
        }
        let rows = nodes.iter().map(|(name, address, pid)| {
            vec![
                format!("node {name}"),
                address.clone(),
                format!("pid {pid}"),
            ]
        });
        self.human(&format!("\n{}", columns(&rows.collect::<Vec<_>>(), "   ")))
    }

    /// A scene begins.
    pub(super) fn title(&self, title: &str, why: &str) -> Result<()> {
        self.object("scene", json!({"title": title, "why": why}))?;
        let title = self.styled(Style::Bold, title);
        self.human(&format!("\n{title}\n   {}\n\n", why.replace('\n', "\n   ")))
    }

    /// Something was done or happened.
    pub(super) fn note(&self, text: &str) -> Result<()> {
        self.object("note", json!({ "text": text }))?;
        self.human(&format!("   {text}\n"))
    }

    /// Head of a table that grows as values change.
    pub(super) fn values_head(&self) -> Result<()> {
        let [a, b, c] = NAMES;
        let head = format!("{:8}{a:>4}{b:>6}{c:>6}", "time");
        self.human(&format!("   {}\n", self.styled(Style::Faint, &head)))
    }

    /// One line of it.
    pub(super) fn values(&self, key: &str, after: Duration, values: &[String; 3]) -> Result<()> {
        let [a, b, c] = values;
        self.object(
            "values",
            json!({"key": key, "after_ms": ms(after), "values": by_node(values)}),
        )?;
        let time = format!("{:.2} s", after.as_secs_f64());
        self.human(&format!("   {time:8}{a:>4}{b:>6}{c:>6}\n"))
    }

    /// Several keys on all nodes.
    pub(super) fn keys(&self, title: &str, keys: &[(&str, [String; 3])]) -> Result<()> {
        for (key, values) in keys {
            self.object(
                "values",
                json!({"when": title, "key": key, "values": by_node(values)}),
            )?;
        }
        let head = std::iter::once(title).chain(NAMES).map(str::to_owned);
        let rows = keys.iter().map(|(key, values)| {
            let values = values.iter().cloned();
            std::iter::once((*key).to_owned()).chain(values).collect()
        });
        let rows: Vec<Vec<String>> = std::iter::once(head.collect()).chain(rows).collect();
        self.table(&rows)
    }

    /// How far the nodes are apart.
    pub(super) fn divergence(&self, matrix: &str, observed: Value) -> Result<()> {
        self.object("divergence", observed)?;
        self.human(&format!("\n{matrix}"))
    }

    /// What every node holds of a key: for programs; people are told what it means.
    pub(super) fn inspection(&self, observed: Value) -> Result<()> {
        self.object("inspection", observed)
    }

    fn table(&self, rows: &[Vec<String>]) -> Result<()> {
        let text = columns(rows, "   ");
        let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
        let head = self.styled(Style::Faint, head);
        self.human(&format!("\n{head}\n{body}\n"))
    }

    /// Something that is promised and was checked. What does not hold ends the story.
    pub(super) fn claim(&self, text: &str, held: bool) -> Result<()> {
        self.object("claim", json!({"claim": text, "held": held}))?;
        let mark = if held {
            self.styled(Style::Good, "ok")
        } else {
            self.styled(Style::Bad, "NO")
        };
        self.human(&format!("   {mark}  {text}\n"))?;
        if held { Ok(()) } else { Err(anyhow!("{text}")) }
    }

    pub(super) fn passed(
        &self,
        scenes: &BTreeMap<&'static str, f64>,
        took: Duration,
    ) -> Result<()> {
        let seconds = seconds(took);
        self.line(&json!({"story": "passed", "scenes": scenes, "seconds": seconds}))?;
        let end = self.styled(Style::Good, "Every claim was checked and held");
        self.human(&format!(
            "\n{end} ({seconds:.1} s).\nGo on: `evenkeel dev` runs three nodes for you to play with, on ports 7001 to 7003.\n"
        ))
    }

    pub(super) fn failed(
        &self,
        claim: &str,
        scenes: &BTreeMap<&'static str, f64>,
        took: Duration,
    ) -> Result<()> {
        self.line(&json!({
            "story": "failed",
            "scene": self.scene,
            "claim": claim,
            "scenes": scenes,
            "seconds": seconds(took),
        }))?;
        let end = self.styled(Style::Bad, "This did not hold:");
        self.human(&format!("\n{end} {claim}\n"))
    }

    fn object(&self, kind: &str, mut observed: Value) -> Result<()> {
        if let Some(fields) = observed.as_object_mut() {
            fields.insert("at_ms".to_owned(), ms(self.started.elapsed()).into());
            fields.insert("scene".to_owned(), self.scene.into());
            fields.insert("kind".to_owned(), kind.into());
        }
        self.line(&observed)
    }

    fn line(&self, object: &Value) -> Result<()> {
        if self.json {
            print(&format!("{object}\n"))?;
        }
        Ok(())
    }

    fn human(&self, text: &str) -> Result<()> {
        if !self.json {
            print(text)?;
        }
        Ok(())
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.colour {
            format!("{}{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn by_node(values: &[String; 3]) -> Value {
    NAMES
        .iter()
        .zip(values)
        .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Milliseconds, with a digit behind the point.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Seconds, with two digits behind the point.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Screen {
        Screen {
            json: false,
            colour: false,
            started: Instant::now(),
            scene: "test",
        }
    }

    #[test]
    fn a_claim_that_does_not_hold_is_an_error_that_names_it() {
        assert!(silent().claim("water flows uphill", true).is_ok());
        let error = silent().claim("water flows uphill", false).unwrap_err();
        assert_eq!(error.to_string(), "water flows uphill");
    }

    #[test]
    fn colour_is_used_only_where_it_is_wanted() {
        let mut screen = silent();
        assert_eq!(screen.styled(Style::Good, "ok"), "ok");
        screen.colour = true;
        assert_eq!(screen.styled(Style::Good, "ok"), "\x1b[32mok\x1b[0m");
    }

    #[test]
    fn values_are_named_by_their_nodes() {
        let values = ["10", "5", "5"].map(str::to_owned);
        assert_eq!(by_node(&values), json!({"A": "10", "B": "5", "C": "5"}));
    }
}
