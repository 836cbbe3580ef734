//! Sorted sets as a function of their history: which members there are, and with which scores, from the commands that
//! a replica has heard of and what each of them had seen. Written without cells, to check the product against.
//!
//! The rules: a score written holds until something that saw it hold writes or removes the member; of several that
//! hold the newest counts; an increment counts until something that saw it count writes or removes the member. A
//! replica's increments make a chain while they count there, and who takes one away takes away those before it in its
//! chain. The removal of several members at once takes away all that its replica has heard of, and the increments that
//! it knows to be gone before it has heard of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const MEMBERS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Write(usize, i8),
    Increment(usize, i8),
    Remove(usize),
    RemoveAll,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// A replica acts.
    Act(usize, Act),
    /// A replica hears all that another one has done itself so far.
    Hear(usize, usize),
}

impl Act {
    fn command(self) -> String {
        match self {
            Self::Write(member, score) => format!("ZADD z {score} {}", MEMBERS[member]),
            Self::Increment(member, by) => format!("ZINCRBY z {by} {}", MEMBERS[member]),
            Self::Remove(member) => format!("ZREM z {}", MEMBERS[member]),
            Self::RemoveAll => "DEL z".into(),
        }
    }
}

/// Numbers of acts.
type Acts = BTreeSet<usize>;

/// Something done.
#[derive(Clone, Debug)]
struct Done {
    by: usize,
    act: Act,
    /// What it takes away.
    takes: Acts,
    /// The first increment of its chain.
    chain: usize,
    /// Whether it takes away several members at once.
    wide: bool,
}

/// What was done, in the order of its stamps.
#[derive(Clone, Default, Debug)]
struct History(Vec<Done>);

impl History {
    /// What of a member holds after these acts.
    fn holding(&self, member: usize, heard: &Acts) -> Vec<usize> {
        let gone: Acts = heard
            .iter()
            .flat_map(|at| self.0[*at].takes.clone())
            .collect();
        let adds = |at: &usize| match self.0[*at].act {
            Act::Write(of, _) | Act::Increment(of, _) => of == member,
            Act::Remove(_) | Act::RemoveAll => false,
        };
        heard.difference(&gone).copied().filter(adds).collect()
    }

    /// The members and scores after these acts.
    fn shown(&self, heard: &Acts) -> BTreeMap<usize, i64> {
        let of = |member| self.score(member, heard).map(|score| (member, score));
        (0..MEMBERS.len()).filter_map(of).collect()
    }

    fn score(&self, member: usize, heard: &Acts) -> Option<i64> {
        let holding = self.holding(member, heard);
        let written = holding.iter().rev().find_map(|at| match self.0[*at].act {
            Act::Write(_, score) => Some(i64::from(score)),
            _ => None,
        });
        let increments = holding.iter().map(|at| match self.0[*at].act {
            Act::Increment(_, by) => i64::from(by),
            _ => 0,
        });
        (!holding.is_empty()).then(|| written.unwrap_or(0) + increments.sum::<i64>())
    }

    /// What a writing or removal of a member takes away at a replica that has heard so much.
    fn taken(&self, member: usize, heard: &Acts) -> Acts {
        let mut taken: Acts = self.holding(member, heard).into_iter().collect();
        for at in taken.clone() {
            if matches!(self.0[at].act, Act::Increment(..)) {
                let chain = self.0[at].chain;
                taken.extend((0..at).filter(|before| self.0[*before].chain == chain));
            }
        }
        taken
    }

    /// What a replica has not heard of and knows to be gone all the same, as far as a removal of several members says
    /// so: increments, and what other such removals took.
    fn known_gone(&self, heard: &Acts) -> Acts {
        let of = |at: &usize| {
            let Done { takes, wide, .. } = &self.0[*at];
            let says = |gone: &usize| *wide || matches!(self.0[*gone].act, Act::Increment(..));
            takes.iter().copied().filter(says).collect::<Acts>()
        };
        heard.iter().flat_map(of).collect()
    }

    /// Notes an act; gives its number.
    fn add(&mut self, by: usize, act: Act, heard: &Acts) -> usize {
        let number = self.0.len();
        let mut chain = number;
        let wide = act == Act::RemoveAll && self.shown(heard).len() > 1;
        let takes = match act {
            Act::Write(member, _) | Act::Remove(member) => self.taken(member, heard),
            Act::Increment(member, _) => {
                let mut own = (0..number).rev().filter(|at| {
                    self.0[*at].by == by
                        && matches!(self.0[*at].act, Act::Increment(of, _) if of == member)
                });
                let holding = self.holding(member, heard);
                if let Some(last) = own.next().filter(|last| holding.contains(last)) {
                    chain = self.0[last].chain;
                }
                Acts::new()
            }
            Act::RemoveAll => match &self.shown(heard).into_keys().collect::<Vec<_>>()[..] {
                [] => Acts::new(),
                [only] => self.taken(*only, heard),
                _ => self.known_gone(heard).union(heard).copied().collect(),
            },
        };
        self.0.push(Done {
            by,
            act,
            takes,
            chain,
            wide,
        });
        number
    }
}

/// Replicas with links that keep the order of each sender, and the history they make.
struct World {
    nodes: Vec<Node>,
    /// By replica: what it has done and heard of.
    heard: Vec<Acts>,
    /// By replica: what it has done itself.
    own: Vec<Acts>,
    history: History,
    /// By sender and receiver: frames on their way.
    pending: BTreeMap<(usize, usize), Vec<Bytes>>,
}

impl World {
    fn new(replicas: u32) -> Self {
        let ids: Vec<u32> = (0..replicas).collect();
        let mut nodes: Vec<Node> = ids.iter().map(|id| Node::member(*id, &ids)).collect();
        for (me, node) in ids.iter().zip(&mut nodes) {
            for peer in ids.iter().filter(|peer| *peer != me) {
                node.handle(Input::PeerUp {
                    peer: NodeId(*peer),
                    incarnation: ActorId(u64::from(peer + 1) << 48),
                });
            }
            node.outbox.clear();
        }
        Self {
            heard: vec![Acts::new(); nodes.len()],
            own: vec![Acts::new(); nodes.len()],
            nodes,
            history: History::default(),
            pending: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(at, act) => {
                // One clock for all, so that the order of acts is that of their stamps.
                self.nodes.iter_mut().for_each(|node| node.pass(1));
                let number = self.history.add(at, act, &self.heard[at]);
                self.nodes[at].run(&act.command());
                self.heard[at].insert(number);
                self.own[at].insert(number);
                for (to, frame) in std::mem::take(&mut self.nodes[at].outbox) {
                    let link = (at, usize::try_from(to.0).unwrap());
                    self.pending.entry(link).or_default().push(frame);
                }
            }
            Step::Hear(at, from) => {
                for frame in self.pending.remove(&(from, at)).unwrap_or_default() {
                    let from = NodeId(u32::try_from(from).unwrap());
                    self.nodes[at].handle(Input::Frame { from, frame });
                }
                self.nodes[at].outbox.clear();
                let own = self.own[from].clone();
                self.heard[at].extend(own);
            }
        }
    }

    /// Every replica shows what the history says, by every way of asking.
    fn check(&mut self) {
        for (node, heard) in self.nodes.iter_mut().zip(&self.heard) {
            let shown = self.history.shown(heard);
            let mut sorted: Vec<(i64, &str)> = shown
                .iter()
                .map(|(member, score)| (*score, MEMBERS[*member]))
                .collect();
            sorted.sort_unstable();
            let pairs: Vec<String> = sorted
                .iter()
                .map(|(score, member)| format!("['{member}' {score}]"))
                .collect();
            let expected = format!("[{}]", pairs.join(" "));
            assert_eq!(
                node.run("ZRANGE z 0 -1 WITHSCORES"),
                expected,
                "{:?}",
                self.history
            );
            assert_eq!(node.run("ZCARD z"), sorted.len().to_string());
            for (rank, (score, member)) in sorted.iter().enumerate() {
                assert_eq!(node.run(&format!("ZRANK z {member}")), rank.to_string());
                assert_eq!(node.run(&format!("ZSCORE z {member}")), score.to_string());
            }
        }
    }

    fn settle(&mut self) {
        for at in 0..self.nodes.len() {
            for from in 0..self.nodes.len() {
                self.step(Step::Hear(at, from));
            }
        }
        let digest = self.nodes[0].partition.replica().digest();
        let equal = |node: &Node| node.partition.replica().digest() == digest;
        assert!(self.nodes.iter().all(equal), "{:?}", self.history);
        self.check();
    }
}

fn act() -> impl Strategy<Value = Act> {
    let member = 0..MEMBERS.len();
    prop_oneof![
        3 => (member.clone(), -3..4_i8).prop_map(|(member, score)| Act::Write(member, score)),
        4 => (member.clone(), -3..4_i8).prop_map(|(member, by)| Act::Increment(member, by)),
        2 => member.prop_map(Act::Remove),
        1 => Just(Act::RemoveAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn three_replicas_show_what_the_acts_they_have_heard_of_amount_to(
        steps in proptest::collection::vec(prop_oneof![
            (0..3_usize, act()).prop_map(|(at, act)| Step::Act(at, act)),
            select(vec![(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)])
                .prop_map(|(at, from)| Step::Hear(at, from)),
        ], 1..40)
    ) {
        let mut world = World::new(3);
        for step in steps {
            world.step(step);
            world.check();
        }
        world.settle();
    }
}

#[test]
fn in_every_small_history_of_two_replicas_scores_are_what_the_acts_amount_to() {
    const STEPS: usize = 4;
    const BEGINNINGS: usize = 4;
    let mut all = Vec::new();
    for at in 0..2 {
        for act in [
            Act::Write(0, 2),
            Act::Increment(0, 3),
            Act::Remove(0),
            Act::RemoveAll,
        ] {
            all.push(Step::Act(at, act));
        }
    }
    all.extend([Step::Hear(0, 1), Step::Hear(1, 0)]);
    let mut histories = 0;
    let mut chosen = [0_usize; STEPS];
    loop {
        let mut world = World::new(2);
        // A second member, so that the removal of all is a range and not a cell.
        world.step(Step::Act(0, Act::Write(1, 1)));
        world.step(Step::Hear(1, 0));
        chosen.iter().rev().for_each(|at| world.step(all[*at]));
        world.check();
        world.settle();
        histories += 1;
        let options = |place: usize| {
            if place == STEPS - 1 {
                BEGINNINGS
            } else {
                all.len()
            }
        };
        let Some(place) = (0..STEPS).find(|place| chosen[*place] + 1 < options(*place)) else {
            break;
        };
        chosen[place] += 1;
        chosen[..place].fill(0);
    }
    // The first step, in the last place, is always an act of the same replica: the other is its mirror.
    assert_eq!(histories, BEGINNINGS * all.len().pow(3));
}
