//! The bytes of the log on disk: names, headers, checksums.
//!
//! All integers are little-endian, all checksums CRC32C. Every checksum covers
//! the identity of the place it was written for (log, segment, sequence), so
//! that a right block in a wrong place does not pass.
//!
//! | file | content |
//! |---|---|
//! | `format` | one line of text: `evenkeel-log <version> <log id> <checksum>` |
//! | `synced` | two slots of 32 bytes, see [`super::mark`] |
//! | `log-<segment>.ekl` | segment header, then records without gaps |
//!
//! Segment header, 48 bytes: magic 8, version u32, checksum u32, log id u64,
//! segment u64, first sequence u64, durable sequence u64.
//!
//! Record header, 28 bytes: payload length u32, header checksum u32, payload
//! checksum u32, sequence u64, durable sequence u64; then the payload. The
//! header has a checksum of its own, over log id, segment and its other fields,
//! because then the length can be trusted before the payload is read, looking
//! for a header at every offset of a damaged segment is cheap, and a record
//! whose payload is torn still testifies what was durable when it was written.

use super::{LogId, SegmentNumber, Sequence};

/// The version of everything described here.
pub(super) const VERSION: u32 = 1;

/// Name of the file that says version and log id.
pub(super) const FORMAT_FILE: &str = "format";
/// What `format` is called until it is complete.
pub(super) const FORMAT_FILE_NEW: &str = "format.new";
/// Name of the synced mark.
pub(super) const MARK_FILE: &str = "synced";

const MAGIC: [u8; 8] = *b"EKLOGSEG";
const SLOT_MAGIC: [u8; 4] = *b"EKMK";

pub(super) const SEGMENT_HEADER_BYTES: usize = 48;
pub(super) const RECORD_HEADER_BYTES: usize = 28;
pub(super) const SLOT_BYTES: usize = 32;

/// The segment's file name.
pub(super) fn segment_name(number: SegmentNumber) -> String {
    format!("log-{:016x}.ekl", number.0)
}

/// Whether this is a segment's file and, if so, which; `Err` for a name that
/// looks like one and is none.
pub(super) fn parse_segment_name(name: &str) -> Option<Result<SegmentNumber, ()>> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".ekl")?;
    let number = u64::from_str_radix(digits, 16)
        .map(SegmentNumber)
        .map_err(|_| ())
        .and_then(|number| match segment_name(number) == name {
            true => Ok(number),
            false => Err(()),
        });
    Some(number)
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) id: LogId,
    pub(super) number: SegmentNumber,
    /// The sequence of the segment's first record.
    pub(super) first: Sequence,
    /// Everything up to here was durable when the segment was begun.
    pub(super) durable: Sequence,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable.0.to_le_bytes());
        let crc = segment_checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of this very segment, or nothing.
    pub(super) fn decode(bytes: &[u8], id: LogId, number: SegmentNumber) -> Option<Self> {
        Self::decode_of_any_log(bytes, number).filter(|header| header.id == id)
    }

    /// The header of this segment of whichever log, or nothing.
    pub(super) fn decode_of_any_log(bytes: &[u8], number: SegmentNumber) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let mut fields = Fields(bytes);
        let (magic, version, crc) = (fields.bytes()?, fields.u32()?, fields.u32()?);
        let header = Self {
            id: LogId(fields.u64()?),
            number: SegmentNumber(fields.u64()?),
            first: Sequence(fields.u64()?),
            durable: Sequence(fields.u64()?),
        };
        let right = magic == MAGIC
            && version == VERSION
            && crc == segment_checksum(bytes)
            && header.number == number
            && header.durable < header.first;
        right.then_some(header)
    }
}

fn segment_checksum(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> u32 {
    let (before, rest) = bytes.split_at(12);
    let (_checksum, after) = rest.split_at(4);
    crc32c::crc32c_append(crc32c::crc32c(before), after)
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) length: u32,
    pub(super) payload_crc: u32,
    pub(super) sequence: Sequence,
    /// Everything up to here was durable when the record was written.
    pub(super) durable: Sequence,
}

impl RecordHeader {
    pub(super) fn encode(&self, id: LogId, segment: SegmentNumber) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.durable.0.to_le_bytes());
        let crc = self.checksum(id, segment);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// A header written for this segment, with whatever sequence, or nothing.
    pub(super) fn decode(bytes: &[u8], id: LogId, segment: SegmentNumber) -> Option<Self> {
        let mut fields = Fields(bytes);
        let length = fields.u32()?;
        // First what rejects most: recovery asks at every offset of a torn tail.
        if length as usize > crate::limits::RECORD_BYTES_MAX {
            return None;
        }
        let crc = fields.u32()?;
        let header = Self {
            length,
            payload_crc: fields.u32()?,
            sequence: Sequence(fields.u64()?),
            durable: Sequence(fields.u64()?),
        };
        let right = header.durable < header.sequence && crc == header.checksum(id, segment);
        right.then_some(header)
    }

    fn checksum(&self, id: LogId, segment: SegmentNumber) -> u32 {
        let mut covered = [0; 40];
        covered[0..8].copy_from_slice(&id.0.to_le_bytes());
        covered[8..16].copy_from_slice(&segment.0.to_le_bytes());
        covered[16..20].copy_from_slice(&self.length.to_le_bytes());
        covered[20..24].copy_from_slice(&self.payload_crc.to_le_bytes());
        covered[24..32].copy_from_slice(&self.sequence.0.to_le_bytes());
        covered[32..40].copy_from_slice(&self.durable.0.to_le_bytes());
        crc32c::crc32c(&covered)
    }
}

/// One slot of the synced mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Everything up to here is durable.
    pub(super) durable: Sequence,
    /// The oldest segment that must exist.
    pub(super) floor: SegmentNumber,
    /// The sequence of that segment's first record.
    pub(super) floor_first: Sequence,
}

impl Slot {
    pub(super) fn encode(&self, id: LogId) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[0..4].copy_from_slice(&SLOT_MAGIC);
        bytes[8..16].copy_from_slice(&self.durable.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.floor.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.floor_first.0.to_le_bytes());
        let crc = slot_checksum(id, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8], id: LogId) -> Option<Self> {
        let bytes = bytes.first_chunk::<SLOT_BYTES>()?;
        let mut fields = Fields(bytes);
        let (magic, crc) = (fields.bytes::<4>()?, fields.u32()?);
        if magic != SLOT_MAGIC || crc != slot_checksum(id, fields.0) {
            return None;
        }
        Some(Self {
            durable: Sequence(fields.u64()?),
            floor: SegmentNumber(fields.u64()?),
            floor_first: Sequence(fields.u64()?),
        })
    }
}

fn slot_checksum(id: LogId, fields: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.0.to_le_bytes()), fields)
}

/// The text of the `format` file.
pub(super) fn encode_format(id: LogId) -> String {
    let text = format!("evenkeel-log {VERSION} {:016x}", id.0);
    format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

/// What the `format` file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ours(LogId),
    OtherVersion(u32),
    Damaged,
}

/// Reads the `format` file. A version is believed only if the checksum over the
/// whole line is right, so that a flipped bit is no "newer version".
pub(super) fn decode_format(bytes: &[u8]) -> Format {
    parse_format(bytes).unwrap_or(Format::Damaged)
}

fn parse_format(bytes: &[u8]) -> Option<Format> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (text, crc) = line.rsplit_once(' ')?;
    if format!("{:08x}", crc32c::crc32c(text.as_bytes())) != crc {
        return None;
    }
    let (version, rest) = text.strip_prefix("evenkeel-log ")?.split_once(' ')?;
    let version: u32 = version.parse().ok()?;
    if version != VERSION {
        return Some(Format::OtherVersion(version));
    }
    let id = u64::from_str_radix(rest, 16).ok()?;
    Some(Format::Ours(LogId(id)))
}

/// Takes fields off the front of some bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LogId = LogId(0x0123_4567_89ab_cdef);

    #[test]
    fn bytes_of_version_one_stay_as_they_are() {
        let segment = SegmentHeader {
            id: ID,
            number: SegmentNumber(2),
            first: Sequence(9),
            durable: Sequence(7),
        };
        let record = RecordHeader {
            length: 5,
            payload_crc: crc32c::crc32c(b"hello"),
            sequence: Sequence(9),
            durable: Sequence(8),
        };
        let slot = Slot {
            durable: Sequence(8),
            floor: SegmentNumber(2),
            floor_first: Sequence(9),
        };
        // Computed outside of this program.
        let expected = [
            "454b4c4f4753454701000000c6f66b9aefcdab8967452301020000000000000009000000000000000700000000000000",
            "05000000e46461ba4cbb719a09000000000000000800000000000000",
            "454b4d4bf7c30293080000000000000002000000000000000900000000000000",
        ];
        assert_eq!(hex(&segment.encode()), expected[0]);
        assert_eq!(hex(&record.encode(ID, SegmentNumber(2))), expected[1]);
        assert_eq!(hex(&slot.encode(ID)), expected[2]);
        assert_eq!(
            encode_format(ID),
            "evenkeel-log 1 0123456789abcdef bc3801eb\n"
        );
    }

    #[test]
    fn a_header_passes_only_in_its_own_place() {
        let record = RecordHeader {
            length: 5,
            payload_crc: 1,
            sequence: Sequence(9),
            durable: Sequence(8),
        };
        let bytes = record.encode(ID, SegmentNumber(2));
        assert_eq!(
            RecordHeader::decode(&bytes, ID, SegmentNumber(2)),
            Some(record)
        );
        assert_eq!(RecordHeader::decode(&bytes, ID, SegmentNumber(3)), None);
        assert_eq!(
            RecordHeader::decode(&bytes, LogId(1), SegmentNumber(2)),
            None
        );
        let short = &bytes[..RECORD_HEADER_BYTES - 1];
        assert_eq!(RecordHeader::decode(short, ID, SegmentNumber(2)), None);
    }

    #[test]
    fn only_exact_names_are_segments() {
        assert_eq!(
            parse_segment_name("log-00000000000000ff.ekl"),
            Some(Ok(SegmentNumber(255)))
        );
        assert_eq!(
            parse_segment_name("log-00000000000000FF.ekl"),
            Some(Err(()))
        );
        assert_eq!(parse_segment_name("log-ff.ekl"), Some(Err(())));
        assert_eq!(parse_segment_name("synced"), None);
    }

    #[test]
    fn a_newer_version_is_believed_only_with_a_right_checksum() {
        let text = "evenkeel-log 7 whatever comes then";
        let crc = crc32c::crc32c(text.as_bytes());
        let line = format!("{text} {crc:08x}\n");
        assert_eq!(decode_format(line.as_bytes()), Format::OtherVersion(7));
        let flipped = encode_format(ID).replacen('1', "3", 1);
        assert_eq!(decode_format(flipped.as_bytes()), Format::Damaged);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
