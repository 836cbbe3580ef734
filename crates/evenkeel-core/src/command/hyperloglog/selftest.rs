//! PFSELFTEST: registers keep what is written, both forms agree, estimates are as near as they must be.

use evenkeel_resp::Reply;

use super::sketch::{REGISTERS, Sketch, VALUES, place};
use crate::command::ok;

/// Elements to count up to. Redis goes on to ten million, for seconds in which a node must not stand still.
const ELEMENTS: u64 = 100_000;

/// `OK`, or what is wrong.
pub(super) fn selftest() -> Reply {
    match registers().and_then(|()| estimates()) {
        Ok(()) => ok(),
        Err(what) => Reply::error(format!("TESTFAILED {what}")),
    }
}

fn registers() -> Result<(), String> {
    let mut sketch = Sketch::empty();
    for index in 0..REGISTERS {
        let value = u8::try_from(index * 31 % VALUES).unwrap_or(0);
        sketch.raise(index, value);
    }
    match Sketch::parse(&sketch.encode()) {
        Ok(read) if read.registers() == sketch.registers() => Ok(()),
        _ => Err("registers are not read as they were written".into()),
    }
}

fn estimates() -> Result<(), String> {
    let mut sketch = Sketch::empty();
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let (index, run) = place(&number.to_le_bytes());
        sketch.raise(index, run);
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let counted = sketch.count();
        // Six times the standard error of 1.04 / sqrt(16384), rounded up.
        let error_max = (number * 6 * 104).div_ceil(128 * 100);
        if counted.abs_diff(number) > error_max {
            return Err(format!("{number} elements are counted as {counted}"));
        }
        let mut dense = sketch.clone();
        dense.make_dense();
        let read = Sketch::parse(&dense.encode()).map(|dense| dense.count());
        if read != Ok(counted) {
            return Err(format!("the forms disagree at {number} elements"));
        }
    }
    Ok(())
}
