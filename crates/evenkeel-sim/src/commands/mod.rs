//! Clients that send commands: what they send, and what a single Redis would make of it.
//!
//! The model knows nothing of events and shares no code with the product: it takes a database in plain form and a
//! request, and gives the reply and the database after it. What a replica shows is such a database, so the model
//! judges both what a command changes there and what every reading command answers.

mod draw;
mod model;
mod value;

pub(crate) use draw::{CommandPlan, Drawer};
pub(crate) use model::{
    answer, looks_alike, real as real_number, sketch_registers, whole as whole_number,
};
pub(crate) use value::{Bytes, Database, NEVER, Shown, Value};
