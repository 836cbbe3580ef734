//! Bytes of what voters say to each other: the library's messages without what is not used here (snapshots, stop
//! signs, forwarded proposals). Written by hand, so that a new version of the library cannot change them unnoticed.

use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::{
    BLEMessage, HeartbeatMsg, HeartbeatReply, HeartbeatRequest,
};
use omnipaxos::messages::sequence_paxos::{
    AcceptDecide, AcceptSync, Accepted, Decide, NotAccepted, PaxosMessage, PaxosMsg, Prepare,
    PrepareReq, Promise,
};
use omnipaxos::util::{LogSync, SequenceNumber};

use super::log::{Proposed, get_ballot, get_entries, get_index, put_ballot, put_entries};
use crate::codec::{DecodeError, Reader, put_varint};

type Pid = u64;

/// Appends a message; `false` for a kind that is never sent.
pub(super) fn put(out: &mut Vec<u8>, message: &Message<Proposed>) -> bool {
    match message {
        Message::BLE(message) => put_heartbeat(out, &message.msg),
        Message::SequencePaxos(message) => return put_paxos(out, &message.msg),
    }
    true
}

fn put_heartbeat(out: &mut Vec<u8>, message: &HeartbeatMsg) {
    match message {
        HeartbeatMsg::Request(request) => {
            out.push(1);
            put_varint(out, u64::from(request.round));
        }
        HeartbeatMsg::Reply(reply) => {
            out.push(2);
            put_varint(out, u64::from(reply.round));
            put_ballot(out, reply.ballot);
            put_ballot(out, reply.leader);
            out.push(u8::from(reply.happy));
        }
    }
}

fn put_paxos(out: &mut Vec<u8>, message: &PaxosMsg<Proposed>) -> bool {
    match message {
        PaxosMsg::PrepareReq(message) => {
            out.push(3);
            put_ballot(out, message.n);
        }
        PaxosMsg::Prepare(message) => {
            out.push(4);
            put_ballot(out, message.n);
            put_varint(out, message.decided_idx as u64);
            put_ballot(out, message.n_accepted);
            put_varint(out, message.accepted_idx as u64);
        }
        PaxosMsg::Promise(message) => {
            out.push(5);
            put_ballot(out, message.n);
            put_ballot(out, message.n_accepted);
            put_varint(out, message.decided_idx as u64);
            put_varint(out, message.accepted_idx as u64);
            out.push(u8::from(message.log_sync.is_some()));
            message.log_sync.iter().for_each(|sync| put_sync(out, sync));
        }
        PaxosMsg::AcceptSync(message) => {
            out.push(6);
            put_ballot(out, message.n);
            put_sequence(out, message.seq_num);
            put_varint(out, message.decided_idx as u64);
            put_sync(out, &message.log_sync);
        }
        PaxosMsg::AcceptDecide(message) => {
            out.push(7);
            put_ballot(out, message.n);
            put_sequence(out, message.seq_num);
            put_varint(out, message.decided_idx as u64);
            put_entries(out, &message.entries);
        }
        PaxosMsg::Accepted(message) => {
            out.push(8);
            put_ballot(out, message.n);
            put_varint(out, message.accepted_idx as u64);
        }
        PaxosMsg::NotAccepted(message) => {
            out.push(9);
            put_ballot(out, message.n);
        }
        PaxosMsg::Decide(message) => {
            out.push(10);
            put_ballot(out, message.n);
            put_sequence(out, message.seq_num);
            put_varint(out, message.decided_idx as u64);
        }
        PaxosMsg::ProposalForward(_)
        | PaxosMsg::Compaction(_)
        | PaxosMsg::AcceptStopSign(_)
        | PaxosMsg::ForwardStopSign(_) => return false,
    }
    true
}

fn put_sync(out: &mut Vec<u8>, sync: &LogSync<Proposed>) {
    put_varint(out, sync.sync_idx as u64);
    put_entries(out, &sync.suffix);
}

fn put_sequence(out: &mut Vec<u8>, sequence: SequenceNumber) {
    put_varint(out, sequence.session);
    put_varint(out, sequence.counter);
}

/// Reads what [`put`] has written. Who sent it and to whom is known from the frame.
pub(super) fn get(
    input: &mut Reader<'_>,
    from: Pid,
    to: Pid,
) -> Result<Message<Proposed>, DecodeError> {
    let kind = input.byte("kind of vote")?;
    if let 1 | 2 = kind {
        let msg = get_heartbeat(input, kind)?;
        return Ok(Message::BLE(BLEMessage { from, to, msg }));
    }
    let msg = get_paxos(input, kind)?;
    Ok(Message::SequencePaxos(PaxosMessage { from, to, msg }))
}

fn get_heartbeat(input: &mut Reader<'_>, kind: u8) -> Result<HeartbeatMsg, DecodeError> {
    let round = u32::try_from(input.varint("round")?);
    let round = round.map_err(|_| input.error("round", "it is out of range"))?;
    if kind == 1 {
        return Ok(HeartbeatMsg::Request(HeartbeatRequest { round }));
    }
    Ok(HeartbeatMsg::Reply(HeartbeatReply {
        round,
        ballot: get_ballot(input)?,
        leader: get_ballot(input)?,
        happy: get_flag(input)?,
    }))
}

fn get_paxos(input: &mut Reader<'_>, kind: u8) -> Result<PaxosMsg<Proposed>, DecodeError> {
    let n = get_ballot(input)?;
    Ok(match kind {
        3 => PaxosMsg::PrepareReq(PrepareReq { n }),
        4 => PaxosMsg::Prepare(Prepare {
            n,
            decided_idx: get_index(input)?,
            n_accepted: get_ballot(input)?,
            accepted_idx: get_index(input)?,
        }),
        5 => PaxosMsg::Promise(Promise {
            n,
            n_accepted: get_ballot(input)?,
            decided_idx: get_index(input)?,
            accepted_idx: get_index(input)?,
            log_sync: if get_flag(input)? {
                Some(get_sync(input)?)
            } else {
                None
            },
        }),
        6 => PaxosMsg::AcceptSync(AcceptSync {
            n,
            seq_num: get_sequence(input)?,
            decided_idx: get_index(input)?,
            log_sync: get_sync(input)?,
        }),
        7 => PaxosMsg::AcceptDecide(AcceptDecide {
            n,
            seq_num: get_sequence(input)?,
            decided_idx: get_index(input)?,
            entries: get_entries(input)?,
        }),
        8 => PaxosMsg::Accepted(Accepted {
            n,
            accepted_idx: get_index(input)?,
        }),
        9 => PaxosMsg::NotAccepted(NotAccepted { n }),
        10 => PaxosMsg::Decide(Decide {
            n,
            seq_num: get_sequence(input)?,
            decided_idx: get_index(input)?,
        }),
        _ => return Err(input.error("kind of vote", "this version knows no such kind")),
    })
}

fn get_flag(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match input.byte("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(input.error("flag", "neither yes nor no")),
    }
}

fn get_sync(input: &mut Reader<'_>) -> Result<LogSync<Proposed>, DecodeError> {
    Ok(LogSync {
        decided_snapshot: None,
        sync_idx: get_index(input)?,
        suffix: get_entries(input)?,
        stopsign: None,
    })
}

fn get_sequence(input: &mut Reader<'_>) -> Result<SequenceNumber, DecodeError> {
    Ok(SequenceNumber {
        session: input.varint("session")?,
        counter: input.varint("sequence number")?,
    })
}

/// Whether a log of `len` entries with `decided` of them decided can take in what the message brings. A peer of the
/// same build always sends what fits; the library trusts that and would stop the process.
pub(super) fn fits(message: &Message<Proposed>, len: usize, decided: usize) -> bool {
    let Message::SequencePaxos(message) = message else {
        return true;
    };
    match &message.msg {
        PaxosMsg::AcceptSync(message) => (decided..=len).contains(&message.log_sync.sync_idx),
        // One that comes late counts without what it brings, so that may be old.
        PaxosMsg::Promise(message) => {
            let sync = message.log_sync.as_ref();
            sync.is_none_or(|sync| sync.sync_idx <= len)
        }
        _ => true,
    }
}
