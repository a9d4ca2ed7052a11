//! Bytes to and from a child: pipes, streams, sinks and producers.

#[path = "../common/mod.rs"]
mod common;

mod busy_children;
mod codecs;
mod content_length;
mod filter;
mod filter_ends;
mod filter_flow;
mod filter_odds;
mod find;
mod flow;
mod frames;
mod half_inputs;
mod input_growth;
mod lines;
mod lines_turns;
mod opened;
mod packets;
mod pipes;
mod producer_closes;
mod producer_ends;
mod producer_flow;
mod producers;
mod sink_flow;
mod sinks;
mod sinks_at_the_call;
mod sinks_shared;
mod stream_ends;
mod stream_flow;
mod streams;
mod tails;
mod tools;
mod transports;
mod windows;
