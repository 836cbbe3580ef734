//! What a test does to a bench, and what it sees there.

use evenkeel_core::causality::Context;
use evenkeel_core::partition::{Acks, Input, Reply, Write};
use evenkeel_core::types::{CellId, CellRef, Deadline, Kind, Range, Total};

use super::Bench;

/// The cell of a name: `key` is a string or counter, `key/member` an element of a set.
fn cell_id(name: &str) -> CellId {
    match name.split_once('/') {
        Some((key, member)) => CellId::new(key.as_bytes(), Kind::Set, member.as_bytes()),
        None => CellId::string(name.as_bytes()),
    }
}

/// Sets a string to a value; with a `/` in the name, adds a member to a set.
#[must_use]
pub fn set(name: &str, value: &str) -> Write {
    Write::Set {
        cell: cell_id(name),
        value: value.as_bytes().into(),
        deadline: Deadline::NEVER,
    }
}

/// Removes one cell.
#[must_use]
pub fn remove(name: &str) -> Write {
    Write::Remove {
        cell: cell_id(name),
    }
}

/// Adds to a counter.
#[must_use]
pub fn add(name: &str, amount: i128) -> Write {
    Write::Add {
        cell: cell_id(name),
        amount: Total::Int(amount),
        deadline: Deadline::NEVER,
    }
}

/// Deletes a whole key by a range delete.
#[must_use]
pub fn clear(key: &str) -> Write {
    Write::Clear {
        range: Range::Key(key.as_bytes().into()),
    }
}

/// The values of a cell's live versions, ascending by their dots.
#[must_use]
pub fn values(cell: Option<CellRef<'_>>) -> Vec<String> {
    let versions = cell.into_iter().flat_map(CellRef::versions);
    versions
        .map(|version| String::from_utf8_lossy(version.value).into_owned())
        .collect()
}

/// What the live chains of a counter add up to.
#[must_use]
pub fn int(cell: Option<CellRef<'_>>) -> i128 {
    let chains = cell.map_or(&[][..], CellRef::chains).iter();
    chains
        .map(|chain| match chain.value() {
            Total::Int(value) => value,
            Total::Float(_) => 0,
        })
        .sum()
}

impl Bench {
    /// A client writes; gives the dots. The frames for the others wait in the queue.
    ///
    /// # Panics
    /// When the write is not acknowledged at once: that would break availability.
    pub fn write(&mut self, at: usize, write: Write) -> Context {
        self.batch(at, vec![write])
    }

    /// A client writes a batch; gives the dots.
    ///
    /// # Panics
    /// When the batch is not acknowledged at once: that would break availability.
    pub fn batch(&mut self, at: usize, writes: Vec<Write>) -> Context {
        let ticket = self.ticket();
        let deadline = self.deadline(1_000);
        self.input(
            at,
            Input::Write {
                ticket,
                writes,
                acks: Acks::ONE,
                deadline,
            },
        );
        match self.reply(ticket) {
            Some(Reply::Written { dots }) => dots.clone(),
            other => panic!("a write with one acknowledgement was answered {other:?}"),
        }
    }

    /// A write that reaches everybody at once.
    pub fn write_everywhere(&mut self, at: usize, write: Write) -> Context {
        let dots = self.write(at, write);
        for parcel in self.take() {
            if parcel.is_delta() {
                self.deliver(&parcel);
            }
        }
        self.lose_all();
        dots
    }

    /// A cell at a node.
    #[must_use]
    pub fn cell(&self, at: usize, name: &str) -> Option<CellRef<'_>> {
        self.at(at).replica().cell(&cell_id(name))
    }

    /// The values that a node holds of a cell.
    #[must_use]
    pub fn values(&self, at: usize, name: &str) -> Vec<String> {
        values(self.cell(at, name))
    }

    /// The value of the version that a reader at a node is shown.
    #[must_use]
    pub fn shown(&self, at: usize, name: &str) -> Option<String> {
        let winner = self.cell(at, name).and_then(CellRef::winner);
        winner.map(|version| String::from_utf8_lossy(version.value).into_owned())
    }

    /// The value of a counter at a node.
    #[must_use]
    pub fn count(&self, at: usize, name: &str) -> i128 {
        int(self.cell(at, name))
    }

    /// Whether a node has applied all of these dots.
    #[must_use]
    pub fn has(&self, at: usize, dots: &Context) -> bool {
        dots.is_subset(self.at(at).replica().context())
    }
}
