//! Faults that strike at times: cuts, crashes, pauses, clocks, disks.

use evenkeel_store::disk::Operation;
#[cfg(feature = "bugs")]
use evenkeel_store::log::Sequence;

use super::{Due, World};
use crate::checker::Verdict;
use crate::disk::Damage;
use crate::faults::Fault;
use crate::node::Fate;
use crate::swarm::{MS, SECOND};

const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// Whether a kind of fault has moments of its own; the others are rates or settings.
pub(super) const fn strikes(fault: Fault) -> bool {
    !matches!(
        fault,
        Fault::Drop
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::Replay
            | Fault::Torn
            | Fault::Ambush
            | Fault::Offset
            | Fault::SlowDisk
            | Fault::SmallIndex
            | Fault::SmallAnswers
            | Fault::SmallChunks
    )
}

impl World {
    /// A fault strikes, and the next of its kind is scheduled.
    pub(super) fn strike(&mut self, fault: Fault) -> Verdict {
        if self.healed {
            return Ok(());
        }
        if fault == Fault::Members {
            return self.change_members();
        }
        let rng = if fault.is_drawn_apart() {
            &mut self.media
        } else {
            &mut self.faults
        };
        let next = self.now + 1 + rng.around(self.plan.gaps_us[fault as usize]);
        let victim = rng.index(self.nodes.len());
        self.schedule(next, Due::Strike(fault));
        let runs = self.nodes[victim].partition.is_some();
        match fault {
            Fault::Crash if runs => {
                // Sometimes the power of the whole rack fails.
                let rack = self.faults.chance(60);
                let victims: Vec<usize> = (0..self.nodes.len())
                    .filter(|at| *at == victim || rack)
                    .filter(|at| self.nodes[*at].partition.is_some())
                    .collect();
                victims.into_iter().try_for_each(|at| self.crash(at))
            }
            Fault::Pause if runs => {
                self.pause(victim);
                Ok(())
            }
            Fault::Step | Fault::Drift => {
                self.bend_clock(victim, fault);
                Ok(())
            }
            Fault::Loss => self.strike_loss(victim),
            Fault::Reset => {
                let other = self.faults.index(self.nodes.len());
                if other != victim && self.network.is_up(victim, other) {
                    self.coverage.fault(Fault::Reset);
                    self.disconnect(victim, other)?;
                }
                Ok(())
            }
            Fault::Clog => {
                self.coverage.fault(Fault::Clog);
                self.network.clog(self.now);
                Ok(())
            }
            Fault::Isolate
            | Fault::Halves
            | Fault::Bridge
            | Fault::Ring
            | Fault::Grudge
            | Fault::OneWay => {
                if let Some(until) = self.network.start_cut(self.now, fault) {
                    self.coverage.fault(fault);
                    self.note(None, "cut", fault.name());
                    self.schedule(until, Due::CutsEnd);
                }
                Ok(())
            }
            _ => self.strike_disk(victim, fault),
        }
    }

    /// A fault of what a node has on its disk.
    fn strike_disk(&mut self, victim: usize, fault: Fault) -> Verdict {
        let runs = self.nodes[victim].partition.is_some();
        match fault {
            Fault::Restore => self.strike_restore(victim),
            Fault::Clone if runs => self.strike_clone(victim),
            Fault::Checkpoint => self.begin_checkpoint(victim),
            Fault::LostFront if runs => {
                self.crash(victim)?;
                self.nodes[victim].fate = Fate::Damaged(Damage::Front, 1);
                Ok(())
            }
            Fault::FailingDisk if runs => {
                self.fail_disk(victim);
                Ok(())
            }
            Fault::Rot if runs => self.strike_damage(victim, [Damage::Flip, Damage::Sector]),
            Fault::LostFile if runs => self.strike_damage(victim, [Damage::Delete, Damage::Cut]),
            Fault::Wipe if runs => {
                self.crash(victim)?;
                self.nodes[victim].fate = Fate::Wipe;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn pause(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.paused {
            return;
        }
        node.paused = true;
        let boot = node.boot;
        self.coverage.fault(Fault::Pause);
        self.note(Some(at), "pause", "");
        let length = self.faults.spread(50 * MS, 30 * SECOND);
        self.schedule(self.now + length, Due::Resume { at, boot });
    }

    fn bend_clock(&mut self, at: usize, fault: Fault) {
        self.coverage.fault(fault);
        let now = self.now;
        if fault == Fault::Step {
            let by = i64::try_from(self.faults.spread(1, 10 * YEAR_MS)).unwrap_or(0);
            let by = if self.faults.chance(500) { by } else { -by };
            self.nodes[at].clock.step(now, by);
        } else {
            let rate = self.faults.spread(200, 5000);
            self.nodes[at].clock.set_rate(now, rate);
        }
    }

    /// A process dies and starts again with a copy of another node's disk.
    fn strike_clone(&mut self, victim: usize) -> Verdict {
        let source = self.faults.index(self.nodes.len());
        if source != victim && !self.nodes[source].lost {
            let source = &self.nodes[source];
            let image = source.disk.image(source.actor.0, source.list.clone());
            self.crash(victim)?;
            self.nodes[victim].fate = Fate::Clone(image);
        }
        Ok(())
    }

    /// A process dies, and finds its files damaged when it starts again.
    fn strike_damage(&mut self, victim: usize, kinds: [Damage; 2]) -> Verdict {
        let (damage, places) = (self.media.pick(&kinds), 1 + self.media.index(3));
        self.crash(victim)?;
        self.nodes[victim].fate = Fate::Damaged(damage, places);
        Ok(())
    }

    /// One of the next writes or syncs of a log fails; after a while somebody starts the process again.
    fn fail_disk(&mut self, at: usize) {
        let operation = self.media.pick(&[Operation::Write, Operation::Sync]);
        let calls = self.media.below(8);
        self.nodes[at].disk.fail_soon(operation, calls);
        self.note(Some(at), "disk will fail", &format!("{operation} {calls}"));
        let boot = self.nodes[at].boot;
        let later = self.now + self.media.spread(SECOND, 20 * SECOND);
        self.schedule(later, Due::End { at, boot });
    }

    /// A checkpoint of this moment begins to be written.
    fn begin_checkpoint(&mut self, at: usize) -> Verdict {
        let node = &self.nodes[at];
        if node.partition.is_none() || node.paused || node.checkpoint.is_some() {
            return Ok(());
        }
        let covered = node.disk.last();
        let boot = node.boot;
        let records = self.checkpoint_of(at)?;
        self.nodes[at].checkpoint = Some((covered, records));
        let length = self.disks.spread(MS, 5 * SECOND);
        self.schedule(self.now + length, Due::Checkpointed { at, boot });
        Ok(())
    }

    /// A checkpoint is on the disk, whole; a crash before has left the log as it was.
    pub(super) fn checkpointed(&mut self, at: usize, boot: u32) {
        if self.nodes[at].boot != boot {
            return;
        }
        let Some((covered, mut records)) = self.nodes[at].checkpoint.take() else {
            return;
        };
        #[cfg(feature = "bugs")]
        let covered = self.break_checkpoint(at, covered, &mut records);
        #[cfg(not(feature = "bugs"))]
        let records = std::mem::take(&mut records);
        if self.nodes[at].disk.write_checkpoint(covered, records) {
            self.coverage.fault(Fault::Checkpoint);
            self.note(Some(at), "checkpoint", &format!("up to record {covered}"));
        }
    }

    /// Late in the run a member is lost anyway, if no snapshot has drawn the loss to its source.
    fn strike_loss(&mut self, victim: usize) -> Verdict {
        if self.loss_from.is_some_and(|from| self.now >= from)
            && self.now > self.plan.duration_us * 3 / 5
        {
            return self.lose(victim);
        }
        Ok(())
    }

    /// Takes a copy of a disk, which comes back a little later.
    fn strike_restore(&mut self, at: usize) -> Verdict {
        let node = &mut self.nodes[at];
        if node.partition.is_some() && node.image.is_none() {
            node.image = Some(node.disk.image(node.actor.0, node.list.clone()));
            let later = self.now + self.faults.spread(100 * MS, 8 * SECOND);
            self.schedule(later, Due::Rollback { at });
        }
        Ok(())
    }

    /// The old copy of a disk comes back: the node restarts with it.
    pub(super) fn roll_back(&mut self, at: usize) -> Verdict {
        let image = self.nodes[at].image.take();
        if let Some(image) = image.filter(|_| !self.healed && !self.nodes[at].lost) {
            if self.nodes[at].partition.is_some() {
                self.crash(at)?;
            }
            self.nodes[at].fate = Fate::Restore(image);
        }
        Ok(())
    }
}

#[cfg(feature = "bugs")]
impl World {
    /// The checkpoint as a broken product would leave it: a part missing, or with more of the log gone than it covers.
    fn break_checkpoint(
        &mut self,
        at: usize,
        covered: Sequence,
        records: &mut Vec<std::rc::Rc<crate::disk::Record>>,
    ) -> Sequence {
        use evenkeel_core::bug::Bug;
        if self.switches.breaks(Bug::CheckpointNotAtomic) && records.len() > 3 {
            // The one before is gone, and this one is not whole.
            records.remove(1);
        }
        if self.switches.breaks(Bug::SegmentDroppedEarly) {
            return self.nodes[at].disk.last();
        }
        covered
    }
}
