//! What must be true, computed from the global history and from nothing else.
//!
//! Own types throughout (plain numbers, bit sets): a bug in the product's contexts, cells or joins cannot hide
//! here. Events are learned from the log record of the write that minted them, amounts from the client.

mod event_set;
mod function;
mod history;
mod shown;

pub(crate) use event_set::EventSet;
pub(crate) use function::{Evaluator, differs, render, saw};
pub(crate) use history::{Deed, EventNo, History, Reset};
pub(crate) use shown::shown;
