//! The bytes of frames, as version 1 writes them: other builds in the cluster read them.

use crate::cluster::Change;
use crate::cluster::frame::{Frame, Vote};
use crate::cluster::vote::{ProposalId, Proposed};
use crate::id::NodeId;

const ID: ProposalId = ProposalId {
    node: NodeId(5),
    key: 0x1122_3344_5566_7788,
    serial: 300,
};

fn samples() -> Vec<(Frame, &'static str)> {
    let hello = |leads| Frame::Hello {
        epoch: 200,
        key: 7,
        leads,
    };
    let change = Change::Drain { node: NodeId(2) };
    vec![
        (hello(None), "0101c801070000000000000000"),
        (hello(Some((3, 4))), "0101c8010700000000000000010304"),
        (Frame::Fetch, "0102"),
        (Frame::Document(vec![9, 8]), "01030908"),
        (
            Frame::Propose(Proposed { id: ID, change }),
            "0104058877665544332211ac0203010802",
        ),
        (
            Frame::Outcome {
                id: ID,
                result: Ok(200),
            },
            "0105058877665544332211ac02c801",
        ),
        (
            Frame::Outcome {
                id: ID,
                result: Err("NO".to_owned()),
            },
            "0106058877665544332211ac02024e4f",
        ),
        (
            Frame::Vote(Vote {
                config: 1,
                boot: 2,
                number: 300,
                bytes: vec![1, 6],
            }),
            "01070102ac020106",
        ),
    ]
}

#[test]
fn frames_are_written_and_read_as_version_1() {
    for (frame, hex) in samples() {
        let bytes = frame.encode();
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, hex, "{frame:?}");
        assert_eq!(Frame::decode(&bytes), Ok(frame));
    }
}

#[test]
fn a_long_refusal_is_cut_and_a_strange_frame_refused() {
    let frame = Frame::Outcome {
        id: ID,
        result: Err("ä".repeat(2_000)),
    };
    let Ok(Frame::Outcome {
        result: Err(text), ..
    }) = Frame::decode(&frame.encode())
    else {
        panic!("it is read");
    };
    assert_eq!(text.len(), 1_024);
    for bytes in [&[][..], &[2, 2], &[1], &[1, 0], &[1, 8], &[1, 2, 0]] {
        assert!(Frame::decode(bytes).is_err(), "{bytes:?}");
    }
}
