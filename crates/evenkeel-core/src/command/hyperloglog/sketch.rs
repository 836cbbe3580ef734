//! A HyperLogLog: 16384 registers, each the longest run of zeros seen in a hash, and Redis' two forms of them as a string.
//!
//! Header: `HYLL`, the form, three zeros, the cached cardinality (8 bytes; the last one's high bit says that it is not
//! valid, which is what is written here). Dense: six bits a register, from the low bits on. Sparse: opcodes for runs of
//! registers: `00xxxxxx` zeros, `01xxxxxx xxxxxxxx` many zeros, `1vvvvvxx` one to four of a value up to 32.

use super::estimate::estimate;

/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// The greatest run: one more than the bits of a hash that are not the index.
pub(super) const RUN_MAX: u8 = 51;
/// A register has six bits.
pub(super) const VALUES: usize = 64;

const MAGIC: &[u8; 4] = b"HYLL";
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
/// Longer sparse sketches become dense: Redis' default of `hll-sparse-max-bytes`.
const SPARSE_BYTES_MAX: usize = 3000;
/// The greatest value that the sparse form can hold.
const SPARSE_VALUE_MAX: u8 = 32;
/// The last byte of a cached cardinality that is not valid.
const NOT_CACHED: u8 = 0x80;

/// How the registers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Dense = 0,
    Sparse = 1,
}

/// Why a string is no sketch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// It does not look like one.
    NoSketch,
    /// It says that it is one, and its registers are not as many as they must be.
    Corrupt,
}

/// The registers. Once dense, always dense, as in Redis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sketch {
    registers: Box<[u8]>,
    form: Form,
}

impl Sketch {
    pub(super) fn empty() -> Self {
        Self {
            registers: vec![0; REGISTERS].into(),
            form: Form::Sparse,
        }
    }

    /// Reads Redis' string.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let (header, body) = text
            .split_at_checked(HEADER_BYTES)
            .ok_or(Unreadable::NoSketch)?;
        if !header.starts_with(MAGIC) {
            return Err(Unreadable::NoSketch);
        }
        match header[MAGIC.len()] {
            0 if text.len() == DENSE_BYTES => Ok(Self::dense(body)),
            1 => Self::sparse(body).ok_or(Unreadable::Corrupt),
            _ => Err(Unreadable::NoSketch),
        }
    }

    fn dense(body: &[u8]) -> Self {
        let mut registers = Vec::with_capacity(REGISTERS);
        for bytes in body.as_chunks::<3>().0 {
            let [a, b, c] = *bytes;
            let packed = u32::from_le_bytes([a, b, c, 0]);
            registers.extend([0, 6, 12, 18].map(|shift| {
                let [low, ..] = (packed >> shift).to_le_bytes();
                low & 0x3f
            }));
        }
        Self {
            registers: registers.into(),
            form: Form::Dense,
        }
    }

    fn sparse(body: &[u8]) -> Option<Self> {
        let mut registers = Vec::with_capacity(REGISTERS);
        for run in Runs(body) {
            let run = run?;
            if registers.len() + run.length > REGISTERS {
                return None;
            }
            registers.resize(registers.len() + run.length, run.value);
        }
        (registers.len() == REGISTERS).then(|| Self {
            registers: registers.into(),
            form: Form::Sparse,
        })
    }

    /// As Redis' string.
    pub(super) fn encode(&self) -> Vec<u8> {
        let sparse = match self.form {
            Form::Sparse => self.encode_sparse(),
            Form::Dense => None,
        };
        let form = if sparse.is_some() {
            Form::Sparse
        } else {
            Form::Dense
        };
        let mut out = MAGIC.to_vec();
        out.extend([form as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NOT_CACHED]);
        match sparse {
            Some(opcodes) => out.extend(opcodes),
            None => self.encode_dense(&mut out),
        }
        out
    }

    fn encode_dense(&self, out: &mut Vec<u8>) {
        for &[a, b, c, d] in self.registers.as_chunks::<4>().0 {
            let packed = u32::from(a) | u32::from(b) << 6 | u32::from(c) << 12 | u32::from(d) << 18;
            let [a, b, c, _] = packed.to_le_bytes();
            out.extend([a, b, c]);
        }
    }

    /// `None` when it is too long or a value too great.
    fn encode_sparse(&self) -> Option<Vec<u8>> {
        const VALUE_RUN_MAX: usize = 4;
        const SHORT_ZEROS_MAX: usize = 64;
        let low = |number: usize| number.to_le_bytes()[0];
        let mut out = Vec::new();
        for run in self.registers.chunk_by(|a, b| a == b) {
            let (value, mut left) = (run[0], run.len());
            if value == 0 && left > SHORT_ZEROS_MAX {
                let [.., high, low] = u32::try_from(left - 1).ok()?.to_be_bytes();
                out.extend([0x40 | high, low]);
            } else if value == 0 {
                out.push(low(left - 1));
            } else if value > SPARSE_VALUE_MAX {
                return None;
            } else {
                while left > 0 {
                    let length = left.min(VALUE_RUN_MAX);
                    out.push(0x80 | (value - 1) << 2 | low(length - 1));
                    left -= length;
                }
            }
            if HEADER_BYTES + out.len() > SPARSE_BYTES_MAX {
                return None;
            }
        }
        Some(out)
    }

    /// Raises one register; tells whether that changed it.
    pub(super) fn raise(&mut self, index: usize, run: u8) -> bool {
        let raised = self.registers[index] < run;
        if raised {
            self.registers[index] = run;
        }
        raised
    }

    /// Takes the greater of each register; tells whether that changed any. Dense when one of the two is.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        if other.form == Form::Dense {
            self.form = Form::Dense;
        }
        let mut changed = false;
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            changed |= *mine < *theirs;
            *mine = (*mine).max(*theirs);
        }
        changed
    }

    pub(super) const fn make_dense(&mut self) {
        self.form = Form::Dense;
    }

    pub(super) const fn registers(&self) -> &[u8] {
        &self.registers
    }

    /// About how many different elements were added.
    pub(super) fn count(&self) -> u64 {
        let mut histogram = [0_u32; VALUES];
        for register in &self.registers {
            histogram[usize::from(register & 0x3f)] += 1;
        }
        estimate(&histogram)
    }
}

/// Registers in a row with one value.
pub(super) struct RegisterRun {
    pub(super) value: u8,
    pub(super) length: usize,
    /// Whether it is the opcode of two bytes.
    pub(super) wide: bool,
}

/// The opcodes of a sparse sketch; an item is `None` where one is cut off.
struct Runs<'a>(&'a [u8]);

impl Iterator for Runs<'_> {
    type Item = Option<RegisterRun>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        let (value, length) = match first {
            0..=0x3f => (0, usize::from(first) + 1),
            0x40..=0x7f => {
                let Some((&low, rest)) = self.0.split_first() else {
                    return Some(None);
                };
                self.0 = rest;
                let run = u16::from_be_bytes([first & 0x3f, low]);
                (0, usize::from(run) + 1)
            }
            0x80.. => ((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
        };
        Some(Some(RegisterRun {
            value,
            length,
            wide: (0x40..=0x7f).contains(&first),
        }))
    }
}

/// The opcodes of a sketch in the sparse form; `None` for another one.
pub(super) fn runs(text: &[u8]) -> Option<Vec<RegisterRun>> {
    let (header, body) = text.split_at_checked(HEADER_BYTES)?;
    if header[MAGIC.len()] != Form::Sparse as u8 {
        return None;
    }
    Runs(body).collect()
}

/// Which register an element counts in, and the run of zeros of its hash with the one behind it.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let index = usize::from(u16::from_le_bytes([
        hash.to_le_bytes()[0],
        hash.to_le_bytes()[1],
    ]));
    let rest = hash >> INDEX_BITS | 1 << (u64::BITS - INDEX_BITS);
    let run = u8::try_from(rest.trailing_zeros() + 1).unwrap_or(RUN_MAX);
    (index & (REGISTERS - 1), run)
}

/// `MurmurHash64A` with Redis' seed.
fn murmur(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> R)
}
