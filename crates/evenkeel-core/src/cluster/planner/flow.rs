//! Which partition has its places on which nodes, brought to given amounts by shortest chains of moves.

use std::collections::VecDeque;

/// A row, and the nodes between which its place moves.
type Moved = (usize, usize, usize);

/// Places of partitions on nodes, both by number.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<usize>>,
    /// How many places each row is to have.
    width: usize,
    /// How many places of one row a zone may have.
    per_zone: usize,
    zone_of: Vec<usize>,
    /// How many zones there are.
    zones: usize,
    /// How many places each node is to have.
    quotas: Vec<usize>,
    loads: Vec<usize>,
    /// By row, the nodes that may have a place; none: all.
    among: Vec<Vec<usize>>,
}

impl Table {
    /// The places as they are. What no row may have (too many places, a node twice, a zone too often) is given up.
    pub(super) fn new(
        rows: Vec<Vec<usize>>,
        width: usize,
        per_zone: usize,
        zone_of: Vec<usize>,
        quotas: Vec<usize>,
    ) -> Self {
        let mut table = Self {
            rows: vec![Vec::new(); rows.len()],
            width,
            per_zone,
            zones: zone_of.iter().max().map_or(0, |last| last + 1),
            zone_of,
            loads: vec![0; quotas.len()],
            quotas,
            among: Vec::new(),
        };
        for (row, held) in rows.into_iter().enumerate() {
            for node in held {
                if table.rows[row].len() < width && table.may_have(row, node, None) {
                    table.put(row, node);
                }
            }
        }
        table
    }

    /// Whether every row has its places.
    pub(super) fn is_full(&self) -> bool {
        self.rows.iter().all(|row| row.len() == self.width)
    }

    /// Bounds the nodes of each row.
    pub(super) fn only_among(&mut self, among: Vec<Vec<usize>>) {
        self.among = among;
    }

    pub(super) fn into_rows(self) -> Vec<Vec<usize>> {
        self.rows
    }

    fn put(&mut self, row: usize, node: usize) {
        self.rows[row].push(node);
        self.loads[node] += 1;
    }

    /// Whether a row may have a place on a node, when it has given up the one on `without`.
    fn may_have(&self, row: usize, node: usize, without: Option<usize>) -> bool {
        let allowed = self
            .among
            .get(row)
            .is_none_or(|among| among.contains(&node));
        let stays = self.rows[row].iter().filter(|held| Some(**held) != without);
        let zone = self.zone_of[node];
        let (mut here, mut in_zone, mut beyond) = (false, 0, 0);
        let mut seen: Vec<usize> = Vec::with_capacity(self.width);
        for held in stays {
            here |= *held == node;
            let of = self.zone_of[*held];
            in_zone += usize::from(of == zone);
            beyond += usize::from(seen.contains(&of));
            seen.push(of);
        }
        // Places beyond the first in a zone, no more than leave one for every zone.
        let spread = in_zone == 0 || beyond < self.width.saturating_sub(self.zones);
        allowed && !here && in_zone < self.per_zone && spread
    }

    fn has_room(&self, node: usize) -> bool {
        self.loads[node] < self.quotas[node]
    }

    /// Gives every row its places, and every node its amount, as far as both can be.
    pub(super) fn fit(&mut self) {
        // Every place is moved once or twice; a plan that is not quite even is better than none.
        let mut steps = 4 * self.rows.len() * self.width;
        for row in 0..self.rows.len() {
            while self.rows[row].len() < self.width && steps > 0 {
                steps -= 1;
                let Some(chain) = self.chain_from_row(row) else {
                    break;
                };
                self.follow(&chain);
            }
        }
        for node in 0..self.quotas.len() {
            while self.loads[node] > self.quotas[node] && steps > 0 {
                steps -= 1;
                let Some(chain) = self.chain_from_node(node) else {
                    break;
                };
                self.follow(&chain);
            }
        }
    }

    /// One new place for a row, at the end of the chain on a node with room. A row for which no node with room can be
    /// made gets its place on whoever may have one: it is more than its amount, and goes on from there.
    fn chain_from_row(&self, row: usize) -> Option<Chain> {
        let may = |node: &usize| self.may_have(row, *node, None);
        let starts: Vec<usize> = (0..self.quotas.len()).filter(may).collect();
        let reached = self.search(&starts);
        let start = match reached {
            Some((start, moves)) => Chain {
                into: Some((row, start)),
                moves,
            },
            None => Chain {
                into: Some((row, *starts.iter().min_by_key(|node| self.loads[**node])?)),
                moves: Vec::new(),
            },
        };
        Some(start)
    }

    fn chain_from_node(&self, node: usize) -> Option<Chain> {
        let (_, moves) = self.search(&[node])?;
        Some(Chain { into: None, moves })
    }

    /// The shortest chain from one of the nodes to one with room: (where it starts, moves of rows from node to node).
    fn search(&self, starts: &[usize]) -> Option<(usize, Vec<Moved>)> {
        let count = self.quotas.len();
        let room = |node: &usize| self.quotas[*node] - self.loads[*node];
        let direct = starts.iter().filter(|node| self.has_room(**node));
        if let Some(best) = direct.max_by_key(|node| (room(node), std::cmp::Reverse(**node))) {
            return Some((*best, Vec::new()));
        }
        let mut from: Vec<Option<(usize, usize)>> = vec![None; count];
        let mut seen = vec![false; count];
        let mut queue = VecDeque::new();
        for start in starts {
            seen[*start] = true;
            queue.push_back(*start);
        }
        while let Some(node) = queue.pop_front() {
            let mut best: Option<(usize, usize)> = None;
            for next in 0..count {
                if seen[next] {
                    continue;
                }
                let holds = |row: &usize| self.rows[*row].contains(&node);
                let row = (0..self.rows.len())
                    .filter(holds)
                    .find(|row| self.may_have(*row, next, Some(node)));
                let Some(row) = row else {
                    continue;
                };
                seen[next] = true;
                from[next] = Some((node, row));
                if self.has_room(next) {
                    let better = best.is_none_or(|(_, left)| room(&next) > left);
                    if better {
                        best = Some((next, room(&next)));
                    }
                } else {
                    queue.push_back(next);
                }
            }
            if let Some((end, _)) = best {
                return Some(trace(&from, end));
            }
        }
        None
    }

    fn follow(&mut self, chain: &Chain) {
        // From the end on: each move makes room for the one before it.
        for &(row, old, new) in chain.moves.iter().rev() {
            // A chain may lead through a row twice, and the second move leave no room for the first: what was done is
            // sound by itself, and the next search goes on from it.
            if !self.may_have(row, new, Some(old)) {
                return;
            }
            if let Some(place) = self.rows[row].iter_mut().find(|held| **held == old) {
                *place = new;
                self.loads[old] -= 1;
                self.loads[new] += 1;
            }
        }
        if let Some((row, node)) = chain.into {
            self.put(row, node);
        }
    }
}

/// One more place for a row, and the moves that make room for it.
#[derive(Debug)]
struct Chain {
    into: Option<(usize, usize)>,
    moves: Vec<Moved>,
}

/// Back from the end of a search to where it started.
fn trace(from: &[Option<(usize, usize)>], end: usize) -> (usize, Vec<Moved>) {
    let mut moves = Vec::new();
    let mut node = end;
    while let Some((before, row)) = from[node] {
        moves.push((row, before, node));
        node = before;
    }
    moves.reverse();
    (node, moves)
}
