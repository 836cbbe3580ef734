//! The kept seeds: `seeds.txt`, one `seed # why` a line.

/// A seed that found something once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeptSeed {
    pub(crate) seed: u64,
    pub(crate) why: String,
}

/// A number as people write seeds: decimal, or hexadecimal after `0x`.
pub(crate) fn parse_seed(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    parsed.map_err(|error| format!("`{text}` is no seed: {error}"))
}

/// The seeds of a file's text; empty lines and lines of comment are skipped.
pub(crate) fn parse(text: &str) -> Result<Vec<KeptSeed>, String> {
    let mut seeds = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (seed, why) = line.split_once('#').unwrap_or((line, ""));
        if seed.trim().is_empty() {
            continue;
        }
        if why.trim().is_empty() {
            return Err(format!("line {number}: a seed without a why"));
        }
        seeds.push(KeptSeed {
            seed: parse_seed(seed.trim()).map_err(|error| format!("line {number}: {error}"))?,
            why: why.trim().to_owned(),
        });
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_seed_and_a_why() {
        let seeds = parse("# kept\n\n0x2a # answer\n7 # lucky\n").unwrap();
        assert_eq!(seeds.len(), 2);
        assert_eq!(
            (seeds[0].seed, seeds[0].why.as_str(), seeds[1].seed),
            (42, "answer", 7)
        );
    }

    #[test]
    fn a_seed_without_a_why_is_refused() {
        assert!(parse("12\n").is_err());
        assert!(parse("twelve # no number\n").is_err());
    }
}
