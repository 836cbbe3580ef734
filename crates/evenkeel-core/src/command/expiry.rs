//! Removal of what has expired: until then reads hide it, on each replica by itself.
//!
//! Only one replica has to do it, the partition's home, after a grace in which an extension made elsewhere in time
//! arrives. The removal is an ordinary write that takes away what was seen, so an extension still on its way wins,
//! and a second removal is harmless (replication.md 5, Expiry).

use super::keyspace::{Keyspace, Writes};
use super::view::View;
use crate::bug::Bug;
use crate::limits::SKEW_MAX_MS;
use crate::time::{Duration, WallMs};
use crate::types::Key;

/// How long after its deadline a key is removed: what replication usually takes, and how far clocks may differ.
pub const EXPIRY_GRACE: Duration = Duration::from_millis(2_000 + SKEW_MAX_MS);

impl Keyspace<'_> {
    /// Removes what expired a grace ago, of at most `limit` keys, earliest first. For the partition's home. Gives the
    /// number of keys looked at: call again soon while it is `limit`.
    pub fn expire_due(&mut self, limit: usize) -> usize {
        let grace = if self.switches().breaks(Bug::ExpiryEarly) {
            0
        } else {
            EXPIRY_GRACE.as_millis()
        };
        let wall = self.now().wall.0.checked_sub(grace);
        let Some(wall) = wall.map(WallMs) else {
            return 0;
        };
        let expiring = self.replica().expiring();
        let due: Vec<Key> = expiring
            .take_while(|(deadline, _)| deadline.has_passed(wall))
            .take(limit)
            .map(|(_, key)| key.clone())
            .collect();
        let mut writes = Writes::new();
        for key in &due {
            #[cfg(feature = "bugs")]
            if self.switches().breaks(Bug::ExpirySilent) {
                self.forget(key);
                continue;
            }
            let view = View::of(self.replica().key(key), wall);
            let settled = if view.has_register() {
                view.removal(key)
            } else {
                view.settled(key)
            };
            if settled.is_empty() {
                // The deadline it stands under was only a bound.
                self.refile_deadline(key);
            }
            writes.extend(settled);
        }
        self.execute(writes);
        due.len()
    }

    /// When [`Self::expire_due`] has something to do next.
    #[must_use]
    pub fn expiry_due(&self) -> Option<WallMs> {
        let (deadline, _) = self.replica().expiring().next()?;
        Some(WallMs(deadline.0.saturating_add(EXPIRY_GRACE.as_millis())))
    }
}
