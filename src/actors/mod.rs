//! What runs on the arbiter where a child's actors live: its `Process` actor, and one actor for each piped descriptor.

mod buffers;
mod destination;
mod end;
pub(crate) mod framing;
pub(crate) mod process;
mod reader;
mod sizes;
mod writer;

pub(crate) use destination::Destination;
pub(crate) use end::End;
pub(crate) use reader::PipeReader;
pub(crate) use writer::PipeWriter;
