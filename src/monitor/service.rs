//! stub
/// What a service waits for of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// The other one is ready.
    Ready,
    /// The other one has ended, and is not started again: [`Exited`](super::ServiceState::Exited) or
    /// [`Failed`](super::ServiceState::Failed).
    Ended,
    /// The other one has ended with success.
    Succeeded,
}
