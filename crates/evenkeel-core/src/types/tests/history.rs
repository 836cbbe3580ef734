//! States of a cell as a function of its history: written without the join, to check the join against.

use std::collections::{BTreeMap, BTreeSet};

use crate::causality::{Context, Dot, Hlc};
use crate::id::ActorId;
use crate::types::{Cell, Chain, ChainId, Deadline, Mark, Reset, Total, Version};

/// One event on the cell, with what its issuer saw.
#[derive(Clone, Debug)]
pub(super) struct Past {
    dot: Dot,
    rem: Vec<Dot>,
    resets: Vec<Reset>,
    /// The version it adds: its stamp.
    adds: Option<Hlc>,
    /// The increment it is: chain and total.
    increments: Option<(ChainId, Total)>,
}

/// A set of events, as bits over a history.
pub(super) type Events = u32;

/// All that happened, in an order in which it could have happened.
#[derive(Clone, Default, Debug)]
pub(super) struct History {
    pub(super) past: Vec<Past>,
}

/// A cell's state with its causal context: the lattice's elements.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) cell: Cell,
    pub(super) knows: Context,
}

impl History {
    fn events(&self, which: Events) -> impl Iterator<Item = &Past> {
        let bit = move |at: usize| which >> at & 1 == 1;
        (0..)
            .zip(&self.past)
            .filter(move |(at, _)| bit(*at))
            .map(|(_, past)| past)
    }

    /// The state after these events: what was put and not removed, and for each chain the farthest increment and
    /// the farthest reset.
    pub(super) fn state(&self, which: Events) -> State {
        let mut cell = Cell::default();
        let mut knows = Context::default();
        let removed: BTreeSet<Dot> = self
            .events(which)
            .flat_map(|past| past.rem.clone())
            .collect();
        for past in self.events(which) {
            knows.insert(past.dot);
            if let Some(hlc) = past.adds
                && !removed.contains(&past.dot)
            {
                cell.insert_version(version(past.dot, hlc));
            }
        }
        for (id, chain) in self.chains(which) {
            cell.change_chain(id, |held| *held = chain);
        }
        knows.join(&removed.into_iter().collect());
        State { cell, knows }
    }

    fn chains(&self, which: Events) -> BTreeMap<ChainId, Chain> {
        let mut chains = BTreeMap::new();
        for past in self.events(which) {
            if let Some((id, total)) = past.increments {
                let chain = chains.entry(id).or_insert_with(|| Chain::unknown(id));
                if past.dot.n > chain.top.n {
                    chain.top = Mark {
                        n: past.dot.n,
                        total,
                    };
                    chain.hlc = Hlc(past.dot.n);
                }
            }
            for reset in &past.resets {
                let id = reset.chain;
                let chain = chains.entry(id).or_insert_with(|| Chain::unknown(id));
                let farther = reset.upto.n > chain.base.n;
                let earlier = reset.upto.n == chain.base.n && chain.reset_by > Some(past.dot);
                if farther || earlier {
                    chain.base = reset.upto;
                    chain.reset_by = Some(past.dot);
                }
            }
        }
        chains
    }

    /// What the counter is worth after these events: every increment by itself that no reset had seen.
    pub(super) fn value(&self, which: Events) -> f64 {
        let resets: Vec<Reset> = self
            .events(which)
            .flat_map(|past| past.resets.clone())
            .collect();
        let seen = |id: ChainId| {
            let of_chain = resets.iter().filter(|reset| reset.chain == id);
            of_chain.map(|reset| reset.upto.n).max().unwrap_or(0)
        };
        let top = |id: ChainId| {
            let of_chain = self
                .events(which)
                .filter(|past| past.increments.is_some_and(|i| i.0 == id));
            of_chain.map(|past| past.dot.n).max().unwrap_or(0)
        };
        let mut before: BTreeMap<ChainId, f64> = BTreeMap::new();
        let mut sum = 0.0;
        for past in &self.past {
            if let Some((id, total)) = past.increments {
                let earlier = before.insert(id, number(total)).unwrap_or(0.0);
                if seen(id) < past.dot.n && past.dot.n <= top(id) {
                    sum += number(total) - earlier;
                }
            }
        }
        sum
    }

    /// A replica that has seen `which` acts; gives what it has seen then.
    pub(super) fn act(&mut self, actor: ActorId, which: Events, action: Action) -> Events {
        let State { cell, .. } = self.state(which);
        let dot = Dot::new(actor, self.past.len() as u64 + 1);
        let observed = (
            cell.versions().iter().map(|version| version.dot).collect(),
            cell.chains()
                .iter()
                .filter(|chain| !chain.is_dead())
                .map(Chain::reset)
                .collect(),
        );
        let nothing = (Vec::new(), Vec::new());
        let (adds, increments, (rem, resets)) = match action {
            Action::Put => (Some(Hlc(100 - dot.n % 3)), None, observed),
            Action::Remove => (None, None, observed),
            Action::Add(amount) => (None, Some(extended(&cell, dot, amount)), nothing),
        };
        self.past.push(Past {
            dot,
            rem,
            resets,
            adds,
            increments,
        });
        which | 1 << (self.past.len() - 1)
    }
}

/// The chain that an increment extends, and its total afterwards: the actor's own live one of that kind, or a new one.
fn extended(cell: &Cell, dot: Dot, amount: Total) -> (ChainId, Total) {
    let own = cell.chains().iter().find_map(|chain| {
        let mine = chain.id.actor == dot.actor && !chain.is_dead();
        let total = match (chain.top.total, amount) {
            (Total::Int(a), Total::Int(b)) => Total::Int(a + b),
            (Total::Float(a), Total::Float(b)) => Total::Float(a + b),
            _ => return None,
        };
        mine.then_some((chain.id, total))
    });
    let begun = ChainId {
        actor: dot.actor,
        birth: dot.n,
    };
    own.unwrap_or((begun, amount))
}

pub(super) fn version(dot: Dot, hlc: Hlc) -> Version {
    Version {
        dot,
        hlc,
        deadline: Deadline::NEVER,
        value: vec![u8::try_from(dot.n % 256).unwrap()].into(),
    }
}

fn number(total: Total) -> f64 {
    match total {
        Total::Int(value) => f64::from(i32::try_from(value).unwrap()),
        Total::Float(value) => value,
    }
}

impl State {
    pub(super) fn join(&self, other: &Self) -> Self {
        let mut cell = self.cell.clone();
        cell.join(
            &other.cell,
            |dot| other.knows.contains(dot),
            |dot| self.knows.contains(dot),
        );
        let mut knows = self.knows.clone();
        knows.join(&other.knows);
        Self { cell, knows }
    }

    pub(super) fn value(&self) -> f64 {
        self.cell
            .chains()
            .iter()
            .map(|chain| number(chain.value()))
            .sum()
    }
}

/// Equal content and equal context.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.cell.versions() == other.cell.versions()
            && self.cell.chains() == other.cell.chains()
            && self.knows == other.knows
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Put,
    Remove,
    Add(Total),
}
