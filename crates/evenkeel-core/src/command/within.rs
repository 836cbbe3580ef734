//! Whole commands on one partition that holds all of their keys: what is run under its lock, and leaves as one batch.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::spec::{Round, Run, Spec, check_arity, keys_of, unknown};
use super::{Args, Blocking, lookup};

impl Keyspace<'_> {
    /// Runs a command whose arity is right and whose keys are all in this partition: one with several keys for each of
    /// them, one in rounds to its end. What only the shell can run is refused.
    pub fn run(&mut self, spec: &Spec, args: Args<'_>) -> Reply {
        match spec.run {
            Run::OnKey(work) => work(self, args),
            Run::OnEachKey { each, fold } => {
                let parts = match parts_of(spec, args) {
                    Ok(parts) => parts,
                    Err(error) => return error,
                };
                let replies = parts.iter().map(|part| each(self, part));
                fold.fold(replies.collect())
            }
            Run::OnEveryPartition { each, fold } => fold.fold(vec![each(self, args)]),
            Run::Rounds(step) | Run::Blocking(Blocking { step, .. }) => {
                let mut answers = Vec::new();
                loop {
                    match step(args, &answers) {
                        Round::Done(reply) => return reply,
                        Round::Calls(calls) => {
                            answers.push(calls.iter().map(|call| self.call(call)).collect());
                        }
                    }
                }
            }
            Run::Scan | Run::Shell => unknown(args),
        }
    }

    /// Runs one call of a command in rounds.
    fn call(&mut self, call: &[Bytes]) -> Reply {
        let call: Vec<&[u8]> = call.iter().map(|arg| &arg[..]).collect();
        let Some(spec) = call.first().and_then(|name| lookup(name)) else {
            return unknown(&call);
        };
        match check_arity(spec, &call) {
            Ok(()) => self.run(spec, &call),
            Err(error) => error,
        }
    }

    /// What of a key a later change would change (WATCH): equal for equal states, zero while it does not exist. A
    /// key that has expired does not exist, so its removal is no change.
    #[must_use]
    pub fn watched_state(&self, key: &[u8]) -> u128 {
        if self.view(key).exists() {
            self.replica().key_digest(key)
        } else {
            0
        }
    }
}

/// The requests for one key each that a command with [`Run::OnEachKey`] consists of, in order.
///
/// # Errors
/// When what belongs to the last key is missing.
pub fn parts_of<'a>(spec: &Spec, args: Args<'a>) -> Result<Vec<Vec<&'a [u8]>>, Reply> {
    let stride = spec.keys.step.max(1);
    let part = |at: usize| -> Vec<&'a [u8]> {
        let key = &args[at..args.len().min(at + stride)];
        [&args[..1], key].concat()
    };
    Ok(keys_of(spec, args)?.into_iter().map(part).collect())
}
