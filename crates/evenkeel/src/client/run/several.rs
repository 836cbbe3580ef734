//! Commands over several keys or over all partitions: cut into parts by partition, the replies put together.

use bytes::Bytes;
use evenkeel_core::command::{
    Fold, Keyspace, Round, Spec, check_arity, keys_of, lookup, needs_home, parts_of, unknown,
};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;
use smallvec::SmallVec;

use super::place::{Access, Caller, End, Piece, Route};
use super::{Args, Outcome, Work, owned, partition_of, ready};
use crate::client::session::Session;
use crate::node::{Part, Topology};

/// What a command over several keys does next.
pub(in crate::client) type Step = fn(Args<'_>, &[Vec<Reply>]) -> Round;

/// Places in a list, by partition, in the order in which the partitions come first.
type Groups = SmallVec<[(PartitionId, SmallVec<[usize; 4]>); 4]>;

fn grouped(partitions: impl Iterator<Item = PartitionId>) -> Groups {
    let mut groups = Groups::new();
    let mut found = std::collections::HashMap::new();
    for (at, partition) in partitions.enumerate() {
        let place = *found.entry(partition).or_insert(groups.len());
        if place == groups.len() {
            groups.push((partition, SmallVec::new()));
        }
        groups[place].1.push(at);
    }
    groups
}

/// Runs a command once per key, those of one partition as one batch.
pub(super) fn on_each_key(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    (each, fold): (Work, Fold),
) -> Outcome {
    let parts = match parts_of(spec, args) {
        Ok(parts) => parts,
        Err(reply) => return Outcome::Now(reply),
    };
    let route = session.caller.route(spec, args);
    let mut replies: Vec<Option<Reply>> = parts.iter().map(|_| None).collect();
    let mut elsewhere = Vec::new();
    for (partition, places) in grouped(parts.iter().map(|part| partition_of(part[1]))) {
        if !session.caller.is_here(partition, route) {
            let commands = places.iter().map(|at| owned(&parts[*at])).collect();
            let piece = Piece {
                part: Part {
                    partition,
                    commands,
                    ..Part::default()
                },
                route,
                access: Access::of(spec),
            };
            elsewhere.push((piece, places));
            continue;
        }
        session.work_here(partition, |keys| {
            for at in places {
                replies[at] = Some(each(keys, &parts[at]));
            }
        });
    }
    if elsewhere.is_empty() {
        return Outcome::Now(fold.fold(replies.into_iter().flatten().collect()));
    }
    let caller = session.caller.clone();
    Outcome::Later(Box::pin(async move {
        let (pieces, places): (Vec<_>, Vec<_>) = elsewhere.into_iter().unzip();
        for (end, places) in caller.run_pieces(pieces).await.into_iter().zip(places) {
            spread(unfolded(end, fold), places.into_iter(), &mut replies);
        }
        fold.fold(replies.into_iter().flatten().collect())
    }))
}

/// Another node has folded the one reply of each request for one key: takes the arrays of one apart.
fn unfolded(end: End, fold: Fold) -> End {
    let (End::Replies(replies), Fold::Array) = (&end, fold) else {
        return end;
    };
    let single = |reply: &Reply| match reply {
        Reply::Array(items) if items.len() == 1 => items[0].clone(),
        other => other.clone(),
    };
    End::Replies(replies.iter().map(single).collect())
}

/// Puts the replies of a piece to their places.
fn spread(end: End, places: impl Iterator<Item = usize>, replies: &mut [Option<Reply>]) {
    match end {
        End::Replies(found) => {
            for (at, reply) in places.zip(found) {
                replies[at] = Some(reply);
            }
        }
        End::Failed(reply) => {
            for at in places {
                replies[at] = Some(reply.clone());
            }
        }
        // Only a transaction watches.
        End::Changed => {}
    }
}

/// Runs a command on every partition.
pub(super) fn on_every_partition(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    (each, fold): (Work, Fold),
) -> Outcome {
    let mut partitions: Vec<PartitionId> = Topology::partitions().collect();
    if fold == Fold::First {
        let start = crate::entropy::roll() % partitions.len() as u64;
        partitions.rotate_left(usize::try_from(start).unwrap_or(0));
    }
    let (here, elsewhere): (Vec<PartitionId>, Vec<PartitionId>) = partitions
        .iter()
        .partition(|partition| session.caller.is_here(**partition, Route::Near));
    // The first one that finds something ends it; where it begins is drawn among all.
    let ends_here = fold == Fold::First && !elsewhere.contains(&partitions[0]);
    let mut replies = Vec::new();
    for partition in here {
        let reply = session.work_here(partition, |keys| each(keys, args));
        replies.extend(reply);
        if ends_here && replies.last().is_some_and(|reply| *reply != Reply::Null) {
            return Outcome::Now(fold.fold(replies));
        }
    }
    if elsewhere.is_empty() {
        return Outcome::Now(fold.fold(replies));
    }
    let args = owned(args);
    let piece = |partition| Piece {
        part: Part {
            partition,
            commands: vec![args.clone()],
            ..Part::default()
        },
        route: Route::Near,
        access: Access::of(spec),
    };
    let pieces = elsewhere.into_iter().map(piece).collect();
    let caller = session.caller.clone();
    Outcome::Later(Box::pin(async move {
        let found = caller.run_pieces(pieces).await.into_iter();
        let found = found.flat_map(|end| match unfolded(end, fold) {
            End::Replies(replies) => replies,
            End::Failed(reply) => vec![reply],
            End::Changed => Vec::new(),
        });
        let all = if fold == Fold::First && !ends_here {
            found.chain(replies).collect()
        } else {
            replies.into_iter().chain(found).collect()
        };
        fold.fold(all)
    }))
}

/// The one partition of all keys of a command, where there is one.
pub(in crate::client) fn only_partition(spec: &Spec, args: Args<'_>) -> Option<PartitionId> {
    if spec.keys.finds_more(args) {
        return None;
    }
    let keys = keys_of(spec, args).ok()?;
    let mut partitions = keys.iter().map(|at| partition_of(args[*at]));
    let first = partitions.next()?;
    partitions
        .all(|partition| partition == first)
        .then_some(first)
}

/// Runs a command in rounds of calls: whole where all of its keys are in one partition, else each call where its key
/// lives.
pub(in crate::client) fn rounds(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    step: Step,
) -> Outcome {
    let Some(partition) = only_partition(spec, args) else {
        return rounds_apart(session, args, step);
    };
    let route = session.caller.route(spec, args);
    if session.caller.is_here(partition, route) {
        let decides = needs_home(spec, args);
        let work = |keys: &mut Keyspace<'_>| keys.run(spec, args);
        let reply = session.run_here(partition, decides.into(), work);
        return Outcome::Now(reply.unwrap_or_else(|| unknown(args)));
    }
    let access = Access::of(spec);
    let caller = session.caller.clone();
    let args = owned(args);
    Outcome::Later(Box::pin(async move {
        whole(&caller, partition, (route, access), args).await
    }))
}

/// Runs a command in rounds, each call where its key lives.
pub(in crate::client) fn rounds_apart(session: &Session, args: Args<'_>, step: Step) -> Outcome {
    let caller = session.caller.clone();
    let args = owned(args);
    ready(async move { in_rounds(&caller, &args, step).await })
}

/// Runs a command in rounds beside its session.
pub(in crate::client) async fn rounds_for(
    caller: &Caller,
    spec: &'static Spec,
    args: Vec<Bytes>,
    step: Step,
) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let Some(partition) = only_partition(spec, &borrowed) else {
        return in_rounds(caller, &args, step).await;
    };
    let route = caller.route(spec, &borrowed);
    whole(caller, partition, (route, Access::of(spec)), args.clone()).await
}

/// Runs one command on one key beside its session.
pub(in crate::client) async fn call_for(caller: &Caller, call: Vec<Bytes>) -> Reply {
    match place(caller, &call) {
        Ok((partition, route, access)) => whole(caller, partition, (route, access), call).await,
        Err(reply) => reply,
    }
}

/// Runs one command whose keys are all in one partition, where it must be.
pub(super) async fn whole(
    caller: &Caller,
    partition: PartitionId,
    (route, access): (Route, Access),
    args: Vec<Bytes>,
) -> Reply {
    let piece = Piece {
        part: Part {
            partition,
            commands: vec![args],
            ..Part::default()
        },
        route,
        access,
    };
    match caller.run_piece(&piece).await {
        End::Replies(mut replies) => replies.pop().unwrap_or(Reply::Null),
        End::Failed(reply) => reply,
        End::Changed => Reply::NullArray,
    }
}

/// Runs a command in rounds over several partitions. The calls of one round on one partition are one batch.
pub(in crate::client) async fn in_rounds(caller: &Caller, args: &[Bytes], step: Step) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let mut answers = Vec::new();
    loop {
        match step(&borrowed, &answers) {
            Round::Done(reply) => return reply,
            Round::Calls(calls) => answers.push(one_round(caller, calls).await),
        }
    }
}

async fn one_round(caller: &Caller, calls: Vec<Vec<Bytes>>) -> Vec<Reply> {
    let mut replies: Vec<Option<Reply>> = calls.iter().map(|_| None).collect();
    let mut placed = Vec::new();
    for (at, call) in calls.into_iter().enumerate() {
        match place(caller, &call) {
            Ok((partition, route, access)) => placed.push((at, partition, route, access, call)),
            Err(reply) => replies[at] = Some(reply),
        }
    }
    let mut pieces = Vec::new();
    let mut places = Vec::new();
    for (partition, group) in grouped(placed.iter().map(|call| call.1)) {
        let calls = || group.iter().map(|at| &placed[*at]);
        pieces.push(Piece {
            part: Part {
                partition,
                commands: calls().map(|call| call.4.clone()).collect(),
                ..Part::default()
            },
            route: calls().map(|call| call.2).max().unwrap_or(Route::Near),
            access: calls().map(|call| call.3).max().unwrap_or(Access::Reads),
        });
        places.push(calls().map(|call| call.0).collect::<Vec<_>>());
    }
    for (end, places) in caller.run_pieces(pieces).await.into_iter().zip(places) {
        spread(end, places.into_iter(), &mut replies);
    }
    replies.into_iter().flatten().collect()
}

/// Where a call must run.
pub(in crate::client) fn place(
    caller: &Caller,
    call: &[Bytes],
) -> Result<(PartitionId, Route, Access), Reply> {
    let args: Vec<&[u8]> = call.iter().map(|arg| &arg[..]).collect();
    let spec = args.first().and_then(|name| lookup(name));
    let spec = spec.ok_or_else(|| unknown(&args))?;
    check_arity(spec, &args)?;
    let partition = only_partition(spec, &args).ok_or_else(|| unknown(&args))?;
    Ok((partition, caller.route(spec, &args), Access::of(spec)))
}
