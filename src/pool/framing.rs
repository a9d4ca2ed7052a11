//! How jobs go to workers, and answers come back.

/// How a worker is given its jobs, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Frames of bytes on descriptors 3 (jobs) and 4 (answers), so that what a worker prints harms nothing. The worker says when it is
    /// ready. `docs/wire.md` in the sources of this crate is the format; [`worker`](super::worker) speaks it for workers in Rust.
    Frames,
    /// A line of JSON for each job on the standard input of the worker, and for each answer on its standard output: for workers of five lines in any
    /// language. A job is a JSON value `J` and goes as `{"id":7,"job":J}`. The answer is `{"id":7,"ok":A}` with any JSON value `A`,
    /// which is the answer of the job, or `{"id":7,"error":E}`, which is [`JobError::Remote`](super::JobError::Remote); before it there may be any number of
    /// `{"id":7,"chunk":C}`. A worker counts as ready when it runs.
    JsonLines,
    /// A process for each job: the job is its standard input to the end, the answer its standard output to the end, and its exit status decides.
    /// Made by [`Pool::one_shot`](super::Pool::one_shot).
    OneShot,
}

/// What becomes of a line of the standard output of a [`Framing::JsonLines`] worker that is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Noise {
    /// The worker is out of step: its job ends with [`JobError::Protocol`](super::JobError::Protocol), and it is replaced.
    #[default]
    Error,
    /// The line goes to the lines of the worker ([`PoolHandle::follow`](super::PoolHandle::follow)). So does a JSON object that is no answer. A line that
    /// begins with an `id`, as an answer does, and is none is still an error.
    Log,
}
