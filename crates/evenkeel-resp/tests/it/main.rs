//! The codec from outside: golden bytes, hostile bytes, properties.

mod replies;
mod requests;
