//! Tests of the commit log over whole disks.

mod crash;
mod damage;
mod files;
mod history;
mod shared;
mod space;
mod support;
mod sync;
