//! When each event came to be held here, and how long own ones took to be held elsewhere (replication.md 6).
//!
//! Invariants: times are of this process' monotonic clock alone, so no skew of clocks is in any figure; a known time
//! is never later than the true one, so ages and delays are upper bounds: by [`ARRIVAL_RESOLUTION`] while there is
//! room for every span, by more among the older ones when there is not. Only events that some member may lack are
//! kept; what a delay was told of is never told again, also when the member restarts and forgets.

use std::collections::{BTreeMap, VecDeque};

use super::peers::{Peer, Peers};
use super::{Effect, Partition};
use crate::causality::{Context, IntervalSet, Run};
use crate::id::{ActorId, NodeId};
use crate::limits::{ARRIVAL_RESOLUTION, ARRIVAL_SPANS_MAX};
use crate::observation::{Delay, Observation};
use crate::time::{Instant, Now};

/// Consecutive events of one actor that came at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    run: Run,
    at: Instant,
}

/// The times, per actor ascending by number.
#[derive(Clone, Default, Debug)]
pub(super) struct Arrivals {
    actors: BTreeMap<ActorId, VecDeque<Span>>,
    /// When this process began to serve: the time of all that was there before.
    started: Instant,
    /// Own events that each other member has told to hold, in any of its incarnations.
    visible: BTreeMap<NodeId, IntervalSet>,
    /// Own events that every member has told to hold.
    visible_to_all: IntervalSet,
}

impl Arrivals {
    pub(super) const fn start(&mut self, now: Instant) {
        self.started = now;
    }

    /// Notes events that are held from now on.
    pub(super) fn note(&mut self, dots: &Context, now: Instant) {
        for (actor, numbers) in dots.actors() {
            let spans = self.actors.entry(actor).or_default();
            for run in numbers.runs() {
                push(spans, Span { run: *run, at: now });
            }
            if spans.len() > ARRIVAL_SPANS_MAX {
                thin(spans, now);
            }
        }
    }

    /// When the first of these events came.
    pub(super) fn oldest(&self, dots: &Context) -> Option<Instant> {
        let times = dots.actors().flat_map(|(actor, numbers)| {
            let spans = self.actors.get(&actor);
            let known = spans.into_iter().flatten();
            let mut left = numbers.clone();
            let mut times = Vec::new();
            for span in known {
                let inside = IntervalSet::from_run(span.run.first, span.run.last);
                let rest = left.difference(&inside);
                if rest != left {
                    times.push(span.at);
                    left = rest;
                }
            }
            if !left.is_empty() {
                times.push(self.started);
            }
            times
        });
        times.min()
    }

    /// Forgets everything but when this process began.
    pub(super) fn forget(&mut self) {
        *self = Self {
            started: self.started,
            ..Self::default()
        };
    }

    /// Own events are of another actor from now on.
    pub(super) fn forget_told(&mut self) {
        self.visible.clear();
        self.visible_to_all = IntervalSet::default();
    }

    /// Forgets what was told of others than the members.
    pub(super) fn keep_members(&mut self, peers: &Peers) {
        let member = |node| peers.get(node).is_some_and(Peer::is_member);
        self.visible.retain(|node, _| member(*node));
    }

    /// Forgets what every member holds.
    pub(super) fn drop_all(&mut self, common: &Context) {
        self.actors.retain(|actor, spans| {
            if let Some(numbers) = common.of(*actor) {
                spans.retain(|span| !holds(numbers, span.run));
            }
            !spans.is_empty()
        });
    }

    /// A member has told what it holds of the own events: the delays of those that are new there, and of those that
    /// are now held by all of `members`.
    fn told(
        &mut self,
        (me, peer): (ActorId, NodeId),
        theirs: &IntervalSet,
        members: usize,
        now: Instant,
    ) -> Option<(Vec<Delay>, Vec<Delay>)> {
        let known = self.visible.entry(peer).or_default();
        let new = theirs.difference(known);
        if new.is_empty() {
            return None;
        }
        known.join(&new);
        let there = self.delays(me, &new, now);
        let mut everywhere = IntervalSet::default();
        if self.visible.len() == members {
            everywhere = new;
            for known in self.visible.values() {
                let missing = everywhere.difference(known);
                everywhere = everywhere.difference(&missing);
            }
            everywhere = everywhere.difference(&self.visible_to_all);
        }
        let to_all = self.delays(me, &everywhere, now);
        self.visible_to_all.join(&everywhere);
        if let Some(spans) = self.actors.get_mut(&me) {
            let done = &self.visible_to_all;
            while spans.front().is_some_and(|span| holds(done, span.run)) {
                spans.pop_front();
            }
        }
        Some((there, to_all))
    }

    fn delays(&self, actor: ActorId, numbers: &IntervalSet, now: Instant) -> Vec<Delay> {
        let spans = self.actors.get(&actor).into_iter().flatten();
        let delay = |span: &Span| {
            let inside = IntervalSet::from_run(span.run.first, span.run.last);
            let events = inside.count() - inside.difference(numbers).count();
            (events > 0).then(|| Delay {
                events,
                after: now.since(span.at),
            })
        };
        spans.filter_map(delay).collect()
    }
}

fn holds(numbers: &IntervalSet, run: Run) -> bool {
    IntervalSet::from_run(run.first, run.last).is_subset(numbers)
}

fn push(spans: &mut VecDeque<Span>, span: Span) {
    match spans.back_mut() {
        Some(last)
            if last.run.last + 1 == span.run.first
                && span.at.since(last.at) < ARRIVAL_RESOLUTION =>
        {
            last.run.last = span.run.last;
        }
        Some(last) if last.run.last >= span.run.first => {
            let behind = spans.partition_point(|held| held.run.first < span.run.first);
            spans.insert(behind, span);
        }
        _ => spans.push_back(span),
    }
}

/// Makes room: neighbours whose times lie close together, measured by their age, become one. First those within a
/// 64th of their age; further apart only when that is not enough. The oldest of all keeps its time.
fn thin(spans: &mut VecDeque<Span>, now: Instant) {
    for part in [64, 32, 16, 8, 4, 2, 1] {
        let mut thinned: VecDeque<Span> = VecDeque::with_capacity(ARRIVAL_SPANS_MAX);
        for span in spans.drain(..) {
            match thinned.back_mut() {
                Some(last) if span.at.since(last.at).0 * part <= now.since(last.at).0 => {
                    last.run.last = last.run.last.max(span.run.last);
                    last.at = last.at.min(span.at);
                }
                _ => thinned.push_back(span),
            }
        }
        *spans = thinned;
        if spans.len() <= ARRIVAL_SPANS_MAX / 4 * 3 {
            return;
        }
    }
}

impl Partition {
    /// Events are held from now on. A replica without other members keeps no times: nobody can lack anything.
    pub(super) fn arrived(&mut self, now: Now, dots: &Context) {
        if self.peers.members().next().is_some() {
            self.arrivals.note(dots, now.instant);
        }
    }

    /// A member has told all that it holds: tells how long the own events took.
    pub(super) fn tell_visible(
        &mut self,
        now: Now,
        peer: NodeId,
        theirs: &Context,
        effects: &mut Vec<Effect>,
    ) {
        let actor = self.actor();
        let Some(own) = theirs.of(actor) else {
            return;
        };
        let others = self.peers.members().count();
        let told = self.arrivals.told((actor, peer), own, others, now.instant);
        let Some((there, everywhere)) = told else {
            return;
        };
        for (peer, delays) in [(Some(peer), there), (None, everywhere)] {
            if !delays.is_empty() {
                let delays = delays.into();
                effects.push(Effect::Observe(Observation::Visible { peer, delays }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const ME: ActorId = ActorId(7);
    const B: NodeId = NodeId(1);
    const C: NodeId = NodeId(2);

    const fn ms(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    fn run(first: u64, last: u64) -> Context {
        let mut dots = Context::default();
        dots.insert_run(crate::causality::DotRun {
            actor: ME,
            first,
            last,
        });
        dots
    }

    fn delay(events: u64, after: u64) -> Delay {
        Delay {
            events,
            after: Duration::from_millis(after),
        }
    }

    #[test]
    fn the_oldest_of_some_events_is_as_old_as_the_first_that_came() {
        let mut arrivals = Arrivals::default();
        arrivals.start(ms(1));
        arrivals.note(&run(10, 12), ms(50));
        arrivals.note(&run(13, 13), ms(90));
        assert_eq!(arrivals.oldest(&run(11, 13)), Some(ms(50)));
        assert_eq!(arrivals.oldest(&run(13, 13)), Some(ms(90)));
        assert_eq!(arrivals.oldest(&Context::default()), None);
        assert_eq!(
            arrivals.oldest(&run(9, 13)),
            Some(ms(1)),
            "what was there before counts from the start"
        );
        arrivals.note(&run(4, 5), ms(95));
        assert_eq!(arrivals.oldest(&run(4, 5)), Some(ms(95)));
        arrivals.drop_all(&run(1, 12));
        assert_eq!(arrivals.oldest(&run(13, 13)), Some(ms(90)));
    }

    #[test]
    fn a_delay_is_told_once_for_each_member_and_once_for_all() {
        let mut arrivals = Arrivals::default();
        arrivals.note(&run(1, 3), ms(10));
        arrivals.note(&run(4, 4), ms(20));
        let held = |last| IntervalSet::from_run(1, last);
        let told = arrivals.told((ME, B), &held(4), 2, ms(30));
        assert_eq!(told, Some((vec![delay(3, 20), delay(1, 10)], Vec::new())));
        let told = arrivals.told((ME, C), &held(2), 2, ms(40));
        assert_eq!(told, Some((vec![delay(2, 30)], vec![delay(2, 30)])));
        // B restarts and tells less, then all again.
        assert_eq!(arrivals.told((ME, B), &held(1), 2, ms(50)), None);
        assert_eq!(arrivals.told((ME, B), &held(4), 2, ms(60)), None);
        let told = arrivals.told((ME, C), &held(4), 2, ms(70));
        let last = vec![delay(1, 60), delay(1, 50)];
        assert_eq!(told, Some((last.clone(), last)));
        assert!(arrivals.actors[&ME].is_empty());
    }

    #[test]
    fn without_room_older_times_become_earlier_and_never_later() {
        let mut arrivals = Arrivals::default();
        let count = ARRIVAL_SPANS_MAX as u64 * 20;
        for n in 1..=count {
            arrivals.note(&run(n, n), ms(n * 2));
            assert!(arrivals.actors[&ME].len() <= ARRIVAL_SPANS_MAX);
        }
        for n in 1..=count {
            let at = arrivals.oldest(&run(n, n)).unwrap();
            assert!(at <= ms(n * 2), "{n} came at {at}");
        }
        assert_eq!(arrivals.oldest(&run(1, 1)), Some(ms(2)));
        assert_eq!(arrivals.oldest(&run(count, count)), Some(ms(count * 2)));
        for n in 1..=count {
            let (age, told) = (ms(count * 2).0 - n * 2_000, arrivals.oldest(&run(n, n)));
            let told = ms(count * 2).since(told.unwrap()).0;
            assert!(
                told - age <= told / 8,
                "{n} is {age} us old, told as {told}"
            );
        }
    }
}
