//! Which hash slot a key is in: CRC16 (XMODEM) of the key, or of its hash tag, as in Redis Cluster.

/// How many hash slots there are.
pub const SLOTS: u16 = 16_384;

/// The slot of a key. Of a key with `{tag}` only the tag counts, so keys can be kept together.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// What is between the first `{` and the `}` behind it; the whole key when that is nothing.
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let behind = &key[open + 1..];
    match behind.iter().position(|byte| *byte == b'}') {
        Some(length) if length > 0 => &behind[..length],
        _ => key,
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        u16::from_be_bytes([low, 0]) ^ TABLE[usize::from(high ^ byte)]
    })
}

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    const POLYNOMIAL: u16 = 0x1021;
    let mut table = [0; 256];
    let mut crc: u16 = 0;
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        let mut rest = crc;
        while bit < 8 {
            rest = if rest & 0x8000 == 0 {
                rest << 1
            } else {
                (rest << 1) ^ POLYNOMIAL
            };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
        crc = crc.wrapping_add(0x100);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b""), 0);
        assert_eq!(slot(b"somekey"), 11058);
    }

    #[test]
    fn only_the_first_closed_and_filled_tag_counts() {
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_ne!(slot(b"foo{bar"), slot(b"bar"));
    }
}
