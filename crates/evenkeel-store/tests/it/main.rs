//! Tests of the commit log over whole disks.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the disks of these tests are a few kilobytes"
)]

#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod files;
#[cfg(test)]
mod history;
#[cfg(test)]
mod salvage;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod space;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
