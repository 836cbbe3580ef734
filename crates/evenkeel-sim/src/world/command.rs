//! Commands of clients, the removal of expired keys, and what reading commands answer.

use evenkeel_core::causality::{Context, Dot};
use evenkeel_core::command::{
    Flag, Keyspace, Random, Spec, check_arity, lookup, needs_home, unknown,
};
use evenkeel_core::message::Message;
use evenkeel_core::partition::{Effect, Partition};
use evenkeel_core::time::Now;
use evenkeel_core::wire::decode;
use evenkeel_resp::Reply;

use super::step::{Asked, Cause};
use super::{Due, World};
use crate::checker::{Checker, Verdict, violated};
use crate::commands::{Bytes, Database, Drawer, Value, answer, looks_alike};
use crate::coverage::Mark;
use crate::rng::mix;
use crate::swarm::SECOND;
use crate::workload::{Operation, Request};

/// How long after its deadline a key may be removed at the earliest, as users are told.
const GRACE_MS: u64 = 2_500;
/// For how long a healed cluster still removes what expires: then it must come to rest.
const EXPIRY_AFTER_HEAL_US: u64 = 15 * SECOND;
/// How often a node is asked everything after it has heard something.
const AUDIT_PERMILLE: u64 = 30;
/// And how often after a command, about its keys.
const AUDIT_COMMAND_PERMILLE: u64 = 250;

impl World {
    /// The next operation of a client that sends commands.
    pub(super) fn client_command(&mut self, up: &[usize]) -> Verdict {
        let Some(plan) = self.plan.commands.clone() else {
            return Ok(());
        };
        let awake: Vec<usize> = up
            .iter()
            .copied()
            .filter(|at| !self.nodes[*at].paused)
            .collect();
        if awake.is_empty() {
            return Ok(());
        }
        let at = awake[self.workload.choose_node(awake.len())];
        let at = self.place(at);
        if self.requests.chance(100) {
            let operation = self.workload.draw_question(&self.checker.history.universe);
            return self.ask(at, operation);
        }
        let room = self.checker.history.universe.has_room();
        let wall_ms = self.clocks(at).wall.0;
        self.serial += 100;
        let mut drawer = Drawer::new(&plan, &mut self.requests, self.serial);
        let mut commands = vec![drawer.draw(wall_ms, room)];
        if drawer.chance(plan.transaction_permille) {
            self.coverage.mark(Mark::Transaction);
            for _ in 0..drawer.below(4) {
                commands.push(drawer.draw(wall_ms, room));
            }
        }
        let conditional = commands.iter().any(|args| is_conditional(args));
        let at = if self.requests.chance(plan.home_permille) && conditional {
            self.coverage.mark(Mark::AtHome);
            self.home_of(at)
        } else {
            at
        };
        if self.nodes[at].partition.is_none() || self.nodes[at].paused {
            return Ok(());
        }
        if self.nodes[at].disk.has_failed() {
            self.coverage.mark(Mark::WriteRefused);
            return Ok(());
        }
        self.totals.operations += 1;
        let (session, patience_us) = self.workload.session();
        let dots = self.run_commands(at, &commands)?;
        if self.nodes[at].disk.has_failed() {
            // The client gets an error: it knows of no event.
            return Ok(());
        }
        self.workload.learned(session, &dots);
        if !dots.is_empty() && self.requests.chance(250) {
            let acks = self.workload.acks();
            let request = Request::Await { dots, acks };
            let operation = Operation {
                session,
                request,
                patience_us,
            };
            return self.ask(at, operation);
        }
        Ok(())
    }

    /// The first member in the order of preference that a node reaches.
    fn home_of(&self, at: usize) -> usize {
        let mut active = self.nodes[at].list.active();
        active
            .find(|peer| *peer == at || self.network.is_up(at, *peer))
            .unwrap_or(at)
    }

    /// Runs commands at a node, as one batch: each must answer, and all together change what is shown there, as a
    /// single Redis would that shows the same.
    fn run_commands(&mut self, at: usize, commands: &[Vec<Bytes>]) -> Verdict<Context> {
        self.steps += 1;
        let words = commands.iter().flatten().flatten();
        let hash = words.fold(self.now, |hash, byte| mix(hash, u64::from(*byte)));
        self.trace.fold(hash);
        let now = self.clocks(at);
        let keys = self.keys_named(commands);
        let before = self.checker.database(at, &keys, now.wall.0);
        Checker::notice(&before, &mut self.coverage);
        let first = self.checker.history.len();
        let (replies, dots) = self.perform(at, (now, commands))?;
        for (args, reply) in commands.iter().zip(&replies) {
            if self.trace.is_read() {
                self.note(Some(at), "command", &show(args));
                self.note(Some(at), "", &format!("{reply:?} {dots}"));
            }
            self.coverage.command(&args[0], reply);
            if moves_within(args) && matches!(reply, Reply::Bulk(_)) {
                self.coverage.mark(Mark::MovedWithin);
            }
        }
        if before.values().any(|shown| shown.clamped) {
            return Ok(dots);
        }
        let about = |what: &str| {
            let shown: Vec<String> = commands.iter().map(|args| show(args)).collect();
            format!("{} at {before:?}: {what}", shown.join("; "))
        };
        let mut want = before.clone();
        for (args, reply) in commands.iter().zip(&replies) {
            let wanted = answer(&mut want, (args, Some(reply)), now.wall.0);
            if !looks_alike(args, &wanted, reply) {
                let what = about(&format!("{reply:?} instead of {wanted:?}"));
                return violated("command answered as by Redis", what);
            }
        }
        let place = (at, &keys[..], now.wall.0);
        let after = self
            .checker
            .check_database(place, &want, "command done as by Redis")
            .map_err(|mut violation| {
                violation.what = about(&violation.what);
                violation
            })?;
        if commands.len() == 1 && writes_elements(&commands[0]) {
            let minted: Vec<u32> = (first..self.checker.history.len())
                .filter_map(|event| u32::try_from(event).ok())
                .collect();
            self.checker.check_carried(&minted, &after)?;
        }
        if self.requests.chance(AUDIT_COMMAND_PERMILLE) {
            self.audit(at, &keys, (now, &after))?;
        }
        Ok(dots)
    }

    /// A batch that arrives as one frame is applied whole.
    pub(super) fn check_whole(&self, at: usize, frame: &[u8]) -> Verdict {
        let Ok((_, Message::Delta(batch))) = decode(frame) else {
            return Ok(());
        };
        let Some(partition) = &self.nodes[at].partition else {
            return Ok(());
        };
        if !partition.role().is_member() {
            return Ok(());
        }
        let mut dots = (batch.first..).zip(&batch.ops);
        let context = partition.replica().context();
        let left = dots.find(|(n, _)| !context.contains(Dot::new(batch.actor, *n)));
        match left {
            Some((n, op)) => violated("a batch is applied whole", format!("{n} is left: {op:?}")),
            None => Ok(()),
        }
    }

    /// The keys of the run that a request is about: all of them when it names none.
    fn keys_named(&self, commands: &[Vec<Bytes>]) -> Vec<Bytes> {
        let all = self.plan.commands.iter().flat_map(|plan| plan.keys());
        let all: Vec<Bytes> = all.collect();
        if commands.iter().any(|args| args.len() == 1) {
            return all;
        }
        let named = |key: &Bytes| commands.iter().any(|args| args[1..].contains(key));
        all.into_iter().filter(named).collect()
    }

    /// Calls the product for a command, and carries out what it did.
    fn perform(
        &mut self,
        at: usize,
        (now, commands): (Now, &[Vec<Bytes>]),
    ) -> Verdict<(Vec<Reply>, Context)> {
        let mut effects = std::mem::take(&mut self.effects);
        let mut given = (Vec::new(), Context::default());
        let random = Random::of(self.requests.next());
        self.call(at, |partition| {
            given = request(partition, (now, random), commands, &mut effects);
        })?;
        let cause = Cause {
            ticket: None,
            asked: Asked::Commands,
            repair: false,
        };
        let verdict = self.carry_out(at, &mut effects, cause);
        effects.clear();
        self.effects = effects;
        verdict.map(|()| given)
    }

    /// Asks a node everything about some keys; each answer must be the model's to what the node must show.
    pub(super) fn audit(
        &mut self,
        at: usize,
        keys: &[Bytes],
        (now, database): (Now, &Database),
    ) -> Verdict {
        let mut database = database.clone();
        let mut questions = Vec::new();
        for key in keys {
            ask_about(
                key,
                database.get(key).map(|shown| &shown.value),
                &mut questions,
            );
        }
        let whole = self
            .plan
            .commands
            .iter()
            .flat_map(|plan| plan.keys())
            .count()
            == keys.len();
        if whole {
            questions.push(vec![b"DBSIZE".to_vec()]);
            questions.push(vec![b"KEYS".to_vec(), b"*".to_vec()]);
        }
        for args in questions {
            if lookup(&args[0]).is_none() {
                continue;
            }
            let wanted = answer(&mut database, (&args, None), now.wall.0);
            let mut effects = Vec::new();
            let mut reply = Reply::Null;
            let asked = [args];
            self.call(at, |partition| {
                let random = Random::of(0);
                let replies = request(partition, (now, random), &asked, &mut effects).0;
                reply = replies.into_iter().next().unwrap_or(Reply::Null);
            })?;
            let [args] = asked;
            if !looks_alike(&args, &wanted, &reply) {
                let what = format!(
                    "{} at {} at {} ms: {reply:?} instead of {wanted:?}",
                    show(&args),
                    self.nodes[at].id,
                    now.wall.0
                );
                return violated("G5 answered as the events say", what);
            }
            let wrote = |effect: &Effect| !matches!(effect, Effect::Observe(_));
            if effects.iter().any(wrote) {
                return violated("reads write nothing", show(&args));
            }
        }
        Ok(())
    }

    /// Asks a node about some of the keys, sometimes: after it has heard of events.
    pub(super) fn audit_sometimes(&mut self, at: usize) -> Verdict {
        let Some(plan) = &self.plan.commands else {
            return Ok(());
        };
        if !self.requests.chance(AUDIT_PERMILLE) {
            return Ok(());
        }
        let keys: Vec<Bytes> = plan.keys().collect();
        self.audit_all(at, &keys, self.clocks(at))
    }

    fn audit_all(&mut self, at: usize, keys: &[Bytes], now: Now) -> Verdict {
        let database = self.checker.database(at, keys, now.wall.0);
        Checker::notice(&database, &mut self.coverage);
        self.audit(at, keys, (now, &database))
    }

    /// Asks every node about every key, at the time of each node's clock: all must answer alike.
    pub(super) fn audit_everybody(&mut self) -> Verdict {
        let Some(plan) = &self.plan.commands else {
            return Ok(());
        };
        let keys: Vec<Bytes> = plan.keys().collect();
        let times: Vec<Now> = (0..self.nodes.len()).map(|at| self.clocks(at)).collect();
        for at in 0..self.nodes.len() {
            if self.nodes[at].partition.is_some() {
                for now in &times {
                    self.audit_all(at, &keys, *now)?;
                }
            }
        }
        Ok(())
    }

    /// A node that has started will look for expired keys.
    pub(super) fn plan_expiry(&mut self, at: usize) {
        let over = self.healed && self.now > self.plan.duration_us + EXPIRY_AFTER_HEAL_US;
        if let Some(plan) = self.plan.commands.as_ref().filter(|_| !over) {
            let boot = self.nodes[at].boot;
            let due = self.now + plan.expiry_us;
            self.schedule(due, Due::Expire { at, boot });
        }
    }

    /// The home removes expired keys: only what nobody saw a grace ago, and nobody sees any change.
    pub(super) fn expire(&mut self, at: usize, boot: u32) -> Verdict {
        let node = &self.nodes[at];
        if node.boot != boot || node.partition.is_none() {
            return Ok(());
        }
        self.plan_expiry(at);
        let Some(plan) = self.plan.commands.clone() else {
            return Ok(());
        };
        let node = &self.nodes[at];
        let serves = node.list.role(at).is_member() && !node.disk.has_failed();
        if node.paused || !serves || self.home_of(at) != at {
            return Ok(());
        }
        let now = self.clocks(at);
        let mut due = None;
        let mut effects = std::mem::take(&mut self.effects);
        self.call(at, |partition| {
            due = Keyspace::new(partition, now, Random::of(0), &mut effects).expiry_due();
        })?;
        if due.is_none_or(|due| due > now.wall) {
            self.effects = effects;
            return Ok(());
        }
        self.steps += 1;
        let keys: Vec<Bytes> = plan.keys().collect();
        let graces = [now.wall.0, now.wall.0.saturating_sub(GRACE_MS)];
        let before = graces.map(|wall_ms| self.checker.database(at, &keys, wall_ms));
        let first = self.checker.history.len();
        self.call(at, |partition| {
            let mut keys = Keyspace::new(partition, now, Random::of(0), &mut effects);
            keys.expire_due(plan.expiry_limit);
        })?;
        let cause = Cause {
            ticket: None,
            asked: Asked::Commands,
            repair: false,
        };
        let verdict = self.carry_out(at, &mut effects, cause);
        effects.clear();
        self.effects = effects;
        verdict?;
        if self.checker.history.len() > first {
            self.coverage.mark(Mark::ExpiredRemoved);
            self.note(Some(at), "expire", "");
        }
        for (wall_ms, want) in graces.into_iter().zip(&before) {
            let place = (at, &keys[..], wall_ms);
            self.checker
                .check_database(place, want, "expiry removes only what nobody sees")?;
        }
        Ok(())
    }
}

/// Requests as the shell runs them, were this the only partition: in one batch. Gives the dots that they minted.
fn request(
    partition: &mut Partition,
    (now, random): (Now, Random),
    commands: &[Vec<Bytes>],
    effects: &mut Vec<Effect>,
) -> (Vec<Reply>, Context) {
    let mut keys = Keyspace::new(partition, now, random, effects);
    let mut replies = Vec::with_capacity(commands.len());
    for args in commands {
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        replies.push(run(&mut keys, &args));
    }
    let dots = keys.dots().clone();
    (replies, dots)
}

fn run(keys: &mut Keyspace<'_>, args: &[&[u8]]) -> Reply {
    let Some(spec) = lookup(args[0]) else {
        return unknown(args);
    };
    if let Err(error) = check_arity(spec, args) {
        return error;
    }
    keys.run(spec, args)
}

/// Whether an element goes from one end of a list to an end of the same.
fn moves_within(args: &[Bytes]) -> bool {
    matches!(&args[0][..], b"LMOVE" | b"RPOPLPUSH") && args[1] == args[2]
}

fn is_conditional(args: &[Bytes]) -> bool {
    let words: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    lookup(&args[0]).is_some_and(|spec| needs_home(spec, &words))
}

/// Whether a command writes elements on purpose, rather than deadlines or removals.
fn writes_elements(args: &[Bytes]) -> bool {
    let named = |spec: &Spec| {
        spec.is(Flag::Denyoom) && !spec.name.contains("expire") && spec.name != "getex"
    };
    lookup(&args[0]).is_some_and(named)
}

/// Everything that can be asked about a key.
fn ask_about(key: &Bytes, value: Option<&Value>, questions: &mut Vec<Vec<Bytes>>) {
    let mut ask = |words: &[&[u8]]| {
        questions.push(words.iter().map(|word| word.to_vec()).collect());
    };
    for name in [
        "TYPE",
        "EXISTS",
        "TTL",
        "PTTL",
        "EXPIRETIME",
        "PEXPIRETIME",
        "SCARD",
        "HLEN",
        "ZCARD",
        "LLEN",
    ] {
        ask(&[name.as_bytes(), key]);
    }
    if !matches!(value, Some(Value::Sketch(_))) {
        ask(&[b"GET", key]);
    }
    match value {
        Some(Value::Text(_)) => {
            ask(&[b"STRLEN", key]);
            ask(&[b"GETRANGE", key, b"1", b"-2"]);
            ask(&[b"MGET", key, b"nosuch"]);
        }
        Some(Value::Set(members)) => {
            ask(&[b"SMEMBERS", key]);
            ask(&[b"SISMEMBER", key, b"nosuch"]);
            for member in members {
                ask(&[b"SISMEMBER", key, member]);
            }
        }
        Some(Value::Hash(fields)) => {
            ask(&[b"HGETALL", key]);
            ask(&[b"HKEYS", key]);
            ask(&[b"HVALS", key]);
            ask(&[b"HEXISTS", key, b"nosuch"]);
            for field in fields.keys() {
                ask(&[b"HGET", key, field]);
                ask(&[b"HSTRLEN", key, field]);
            }
        }
        Some(Value::SortedSet(scores)) => {
            ask(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]);
            ask(&[b"ZRANGE", key, b"0", b"1", b"REV"]);
            ask(&[b"ZCOUNT", key, b"-1", b"1.5"]);
            ask(&[b"ZRANK", key, b"nosuch"]);
            for member in scores.keys() {
                ask(&[b"ZSCORE", key, member]);
                ask(&[b"ZRANK", key, member]);
            }
        }
        Some(Value::List(_)) => {
            ask(&[b"LRANGE", key, b"0", b"-1"]);
            ask(&[b"LRANGE", key, b"1", b"-2"]);
            ask(&[b"LINDEX", key, b"0"]);
            ask(&[b"LINDEX", key, b"-1"]);
        }
        Some(Value::Sketch(_)) => ask(&[b"PFCOUNT", key]),
        None => {}
    }
}

/// A request as people write it.
fn show(args: &[Bytes]) -> String {
    let words: Vec<String> = args
        .iter()
        .map(|arg| arg.escape_ascii().to_string())
        .collect();
    words.join(" ")
}
