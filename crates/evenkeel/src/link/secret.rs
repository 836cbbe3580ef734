//! The cluster's secret: who dials proves that it knows it without sending it, and so does who answers.
//!
//! A keyed hash (HMAC-SHA-256, RFC 2104) over a number that the other side has just drawn, so nothing that was listened to
//! can be used again. It keeps strangers out; it does not hide what the links carry.

use std::io;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::frame::{self, Kind};
use crate::config::Token;

/// What is proven: that one dials, that one answers, that one wants to be let in. One proof is of no use for another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    Dials,
    Answers,
    Joins,
}

impl Claim {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Dials => b"evenkeel dials",
            Self::Answers => b"evenkeel answers",
            Self::Joins => b"evenkeel joins",
        }
    }
}

fn mac(secret: &Token, claim: Claim, name: &str, nonce: u64) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    mac.update(claim.word());
    mac.update(&nonce.to_le_bytes());
    mac.update(name.as_bytes());
    Some(mac)
}

/// The proof for a number that the other side has drawn.
pub(super) fn prove(secret: &Token, claim: Claim, name: &str, nonce: u64) -> Vec<u8> {
    let mac = mac(secret, claim, name, nonce);
    mac.map_or_else(Vec::new, |mac| mac.finalize().into_bytes().to_vec())
}

/// Whether a proof is right. Takes as long for a wrong one as for the right one.
pub(super) fn is_proof(secret: &Token, claim: Claim, name: &str, nonce: u64, proof: &[u8]) -> bool {
    let mac = mac(secret, claim, name, nonce);
    mac.is_some_and(|mac| mac.verify_slice(proof).is_ok())
}

/// The frame that answers a challenge.
pub(super) fn answer(
    secret: Option<&Token>,
    claim: Claim,
    name: &str,
    challenge: &[u8],
) -> io::Result<Vec<u8>> {
    let secret = secret.ok_or_else(|| {
        io::Error::other("the cluster has a secret; give this node its --cluster-secret-file")
    })?;
    let nonce = challenge
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidData)?;
    let mut out = Vec::new();
    let proof = prove(secret, claim, name, u64::from_le_bytes(nonce));
    frame::put(&mut out, Kind::Proof, &proof);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_secret_claim_name_and_number_alone() {
        let secret = |text: &str| Token::of(text);
        let right = secret("0123456789abcdef");
        let proof = prove(&right, Claim::Dials, "B", 7);
        assert!(is_proof(&right, Claim::Dials, "B", 7, &proof));
        assert!(!is_proof(
            &secret("0123456789abcdeF"),
            Claim::Dials,
            "B",
            7,
            &proof
        ));
        assert!(!is_proof(&right, Claim::Answers, "B", 7, &proof));
        assert!(!is_proof(&right, Claim::Dials, "C", 7, &proof));
        assert!(!is_proof(&right, Claim::Dials, "B", 8, &proof));
        assert!(!is_proof(&right, Claim::Dials, "B", 7, &proof[1..]));
    }
}
