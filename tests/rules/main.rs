//! What is promised of every child: the delivery rules, and what no text tells.

#[path = "../common/mod.rs"]
mod common;

mod closes;
mod error_texts;
mod event_stream;
mod events;
mod first_event;
mod flow;
mod secrecy;
mod timeout;
mod tools;
