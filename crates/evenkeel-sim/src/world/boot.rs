//! Crashes, starts, losses, pauses.

use std::rc::Rc;

use evenkeel_core::bug::Bug;
use evenkeel_core::causality::Context;
use evenkeel_core::id::{ActorId, PartitionId};
use evenkeel_core::partition::{Input, Partition, Settings};

use super::step::Cause;
use super::{Due, KeepsActor, World};
use crate::checker::{Verdict, Violation, violated};
use crate::coverage::Mark;
use crate::disk::{After, Believes, Damage, Record};
use crate::faults::Fault;
use crate::node::Fate;
use crate::swarm::{MS, SECOND};

impl World {
    /// A process dies.
    pub(super) fn crash(&mut self, at: usize) -> Verdict {
        self.totals.crashes += 1;
        self.coverage.fault(Fault::Crash);
        self.stop(at)?;
        let (now, boot) = (self.now, self.nodes[at].boot);
        let torn = self.plan.faults.has(Fault::Torn) && self.disks.chance(400);
        let torn = torn.then_some(&mut self.disks);
        let (lost, kept) = self.nodes[at].disk.crash(torn, &mut self.media);
        if lost > 0 {
            self.coverage.mark(Mark::TailLost);
        }
        if kept > 0 {
            self.coverage.fault(Fault::Torn);
            self.coverage.mark(Mark::TailKept);
        }
        self.note(
            Some(at),
            "crash",
            &format!("{lost} records lost, {kept} kept unsynced"),
        );
        let longest = if self.nodes[at].haunted_until > now {
            400 * MS
        } else {
            20 * SECOND
        };
        let down = self.faults.spread(50 * MS, longest);
        self.schedule(now + down, Due::Restart { at, boot });
        Ok(())
    }

    /// A crash aimed at an open exchange; the node is back soon, and the next one is aimed too.
    pub(super) fn spring_ambush(&mut self, at: usize) -> Verdict {
        if self.nodes[at].partition.is_none() || self.healed {
            return Ok(());
        }
        self.coverage.fault(Fault::Ambush);
        if self.nodes[at].haunted_until <= self.now {
            self.nodes[at].haunted_until = self.now + self.faults.spread(SECOND, 8 * SECOND);
        }
        self.crash(at)
    }

    /// A member is lost for good.
    pub(super) fn lose(&mut self, at: usize) -> Verdict {
        if self.loss_from.is_none() || self.healed || self.nodes[at].lost || self.is_last(at) {
            return Ok(());
        }
        self.loss_from = None;
        self.coverage.fault(Fault::Loss);
        if self.nodes[at].is_serving_snapshot(self.now) {
            self.coverage.mark(Mark::LossInSnapshot);
        }
        self.note(Some(at), "lost for good", "");
        self.nodes[at].lost = true;
        self.stop(at)?;
        self.nodes[at].disk.wipe();
        Ok(())
    }

    /// Everything in memory is gone.
    fn stop(&mut self, at: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[at];
        if std::mem::take(&mut node.asking) {
            self.coverage.mark(Mark::CrashInExchange);
        }
        if node.is_serving_snapshot(now) {
            self.coverage.mark(Mark::CrashInSnapshot);
        }
        node.chunk_at = None;
        node.checkpoint = None;
        node.partition = None;
        node.boot += 1;
        node.paused = false;
        node.backlog.clear();
        node.tick_at = None;
        let requests = std::mem::take(&mut self.checker.requests[at]);
        if !requests.is_empty() {
            self.coverage.mark(Mark::RequestsLost);
        }
        for peer in 0..self.nodes.len() {
            self.network.set_up(at, peer, false);
            if self.network.is_up(peer, at) {
                if self.faults.chance(500) {
                    self.disconnect(peer, at)?;
                } else {
                    self.coverage.mark(Mark::HalfOpen);
                }
            }
        }
        Ok(())
    }

    /// A process starts, from whatever its disk holds.
    pub(super) fn start(&mut self, at: usize) -> Verdict {
        if self.nodes[at].partition.is_some() || self.nodes[at].lost {
            return Ok(());
        }
        let fresh = ActorId::ordinary(self.actors.next());
        let mut kept = (self.keeps_actor == KeepsActor::Always && self.nodes[at].boot > 0)
            .then_some(self.nodes[at].actor);
        match std::mem::replace(&mut self.nodes[at].fate, Fate::Keep) {
            Fate::Keep => {}
            Fate::Restore(image) => {
                self.coverage.fault(Fault::Restore);
                self.nodes[at].list = image.list.clone();
                self.nodes[at].forgot = true;
                if self.keeps_actor == KeepsActor::AfterRestore {
                    kept = Some(ActorId(image.actor));
                }
                self.nodes[at].disk.replace(image);
            }
            Fate::Clone(image) => {
                self.coverage.fault(Fault::Clone);
                self.nodes[at].list = image.list.clone();
                self.nodes[at].forgot = true;
                if self.keeps_actor == KeepsActor::AfterClone {
                    kept = Some(ActorId(image.actor));
                }
                self.nodes[at].disk.replace(image);
            }
            Fate::Damaged(damage, places) => self.damage(at, damage, places),
            Fate::Wipe => {
                self.coverage.fault(Fault::Wipe);
                self.nodes[at].forgot = true;
                self.nodes[at].disk.wipe();
            }
        }
        let actor = kept.unwrap_or(fresh);
        let mut settings = self.settings(at);
        settings.hash_seed = actor.0;
        let node = &mut self.nodes[at];
        node.actor = actor;
        node.boot += 1;
        node.ticks = 0;
        node.resumed_at = self.now;
        node.partition = Some(Partition::new(settings, actor));
        self.replay(at)?;
        self.note(Some(at), "start", &format!("as {actor}"));
        self.list_taken(at);
        self.plan_expiry(at);
        if let Some(every) = self.plan.disk.every_us {
            let boot = self.nodes[at].boot;
            let first = self.now + self.disks.below(every);
            self.schedule(first, Due::Sync { at, boot });
        }
        Ok(())
    }

    /// What a checkpoint of a node's replica holds now, as records of its disk.
    pub(super) fn checkpoint_of(&mut self, at: usize) -> Result<Vec<Rc<Record>>, Box<Violation>> {
        let mut bytes = Vec::new();
        let mut context = Context::default();
        self.call(at, |partition| {
            bytes = partition.checkpoint();
            context = partition.replica().context().clone();
        })?;
        let events = self.checker.events_of(&context)?;
        let last = bytes.len().saturating_sub(1);
        let records = bytes.into_iter().enumerate().map(|(place, bytes)| {
            let events = if place == last {
                events.clone()
            } else {
                Vec::new()
            };
            Rc::new(Record {
                bytes,
                dots: Context::default(),
                events,
                drops: false,
            })
        });
        Ok(records.collect())
    }

    /// Files are damaged while the process is down.
    fn damage(&mut self, at: usize, damage: Damage, places: usize) {
        self.coverage.fault(match damage {
            Damage::Flip | Damage::Sector => Fault::Rot,
            Damage::Delete | Damage::Cut => Fault::LostFile,
            Damage::Front => Fault::LostFront,
        });
        self.nodes[at].forgot = true;
        for _ in 0..places {
            let what = self.nodes[at].disk.damage(damage, &mut self.media);
            self.note(Some(at), "damage", &format!("{damage:?}: {what}"));
        }
    }

    fn replay(&mut self, at: usize) -> Verdict {
        let believes = if self.switches.breaks(Bug::DamagedRecordSkipped) {
            Believes::Holes
        } else if self.switches.breaks(Bug::TornTailAccepted) {
            Believes::TornRecords
        } else {
            Believes::Nothing
        };
        let (records, after) = match self.nodes[at].disk.recover(believes) {
            Ok(found) => found,
            Err(why) => return violated("I18 wrong record", why),
        };
        let mut refused = None;
        self.call(at, |partition| {
            refused = records.iter().find_map(|found| {
                let bytes = &found.record.bytes;
                let replayed = if found.is_behind_loss {
                    partition.replay_after_loss(bytes)
                } else {
                    partition.replay(bytes)
                };
                replayed.err()
            });
        })?;
        if let Some(error) = refused {
            return violated("I18 unreadable record", error.to_string());
        }
        if let After::Settle { upto, anew } = after {
            // As the product does: the log alone would be read differently the next time.
            self.coverage.mark(if anew {
                Mark::LogAnew
            } else {
                Mark::CheckpointMissed
            });
            let checkpoint = self.checkpoint_of(at)?;
            let settled = self.nodes[at].disk.settle((upto, anew), checkpoint);
            if let Err(why) = settled {
                return violated("harness", why);
            }
        }
        let now = self.clocks(at);
        let mut effects = Vec::new();
        self.call(at, |partition| partition.start(now, &mut effects))?;
        self.checker.restarted(at, &self.nodes, now)?;
        self.carry_out(at, &mut effects, Cause::default())
    }

    fn settings(&self, at: usize) -> Settings {
        let node = &self.nodes[at];
        let mut settings = Settings::new(PartitionId(7), node.id, Vec::new());
        settings.members = node.list.members.clone();
        settings.epoch = node.list.epoch;
        settings.index_entries_max = self.plan.index_entries_max;
        settings.guest_chains_max = self.plan.guest_chains_max;
        settings.sync_answer_bytes = self.plan.sync_answer_bytes;
        settings.snapshot_chunk_bytes = self.plan.snapshot_chunk_bytes;
        settings.switches = self.switches;
        settings
    }

    /// A paused process goes on, with all that came meanwhile.
    pub(super) fn resume(&mut self, at: usize, boot: u32) -> Verdict {
        let node = &mut self.nodes[at];
        if node.boot != boot || !node.paused {
            return Ok(());
        }
        node.paused = false;
        node.resumed_at = self.now;
        let waiting = self.nodes[at].backlog.len();
        self.note(Some(at), "resume", &format!("{waiting} inputs"));
        while let Some(input) = self.nodes[at].backlog.pop_front() {
            self.nodes[at].ticks = 0;
            self.handle(at, input)?;
        }
        // A tick may have been due meanwhile.
        self.nodes[at].tick_at = None;
        self.handle(at, Input::Tick)
    }
}
