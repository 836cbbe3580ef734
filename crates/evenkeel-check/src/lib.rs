//! Checks what clients have seen of a store against what it promises them.
//!
//! Shares no code with the store: it knows only a [`history`], the operations of clients with what came of them, as any
//! program may record it, and looks for anomalies in it. [`sessions`] checks the four session guarantees.

pub mod history;
pub mod sessions;
