//! The order of a child's events, as plain data: which descriptors are open, whether it was
//! reaped, what to tell next. No actix, no descriptors, no I/O.

use crate::event::CloseReason;

/// Something that happened. Each may come at any time, any number of times, in any order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LifecycleInput {
    /// The protocol may be told: the spawn is committed.
    Made,
    /// The child was reaped.
    Reaped,
    /// The actor of this descriptor has stopped, and its descriptor is closed.
    Closed(i32, CloseReason),
}

/// Something to tell the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifecycleOutput {
    Made,
    Lost(i32, CloseReason),
    Exited,
    Ended,
}

/// What is known of one child, and how much of it was told.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    made: bool,
    reaped: bool,
    exited_told: bool,
    ended_told: bool,
    fds: Vec<FdState>,
}

#[derive(Debug)]
struct FdState {
    fd: i32,
    closed: Option<CloseReason>,
    told: bool,
}

impl Lifecycle {
    /// A child with these piped descriptors, all open.
    pub(crate) fn new(fds: impl IntoIterator<Item = i32>) -> Self {
        Self {
            made: false,
            reaped: false,
            exited_told: false,
            ended_told: false,
            fds: fds
                .into_iter()
                .map(|fd| FdState {
                    fd,
                    closed: None,
                    told: false,
                })
                .collect(),
        }
    }

    /// Takes in what happened, and tells what follows from it.
    pub(crate) fn step(&mut self, input: LifecycleInput, mut tell: impl FnMut(LifecycleOutput)) {
        match input {
            LifecycleInput::Made if !self.made => {
                self.made = true;
                tell(LifecycleOutput::Made);
            }
            LifecycleInput::Reaped => self.reaped = true,
            LifecycleInput::Closed(fd, reason) => {
                if let Some(state) = self.fds.iter_mut().find(|state| state.fd == fd)
                    && state.closed.is_none()
                {
                    state.closed = Some(reason);
                }
            }
            LifecycleInput::Made => {}
        }
        if self.made {
            self.catch_up(tell);
        }
    }

    /// Tells whatever is known and not told yet.
    fn catch_up(&mut self, mut tell: impl FnMut(LifecycleOutput)) {
        for state in &mut self.fds {
            if let (Some(reason), false) = (state.closed, state.told) {
                state.told = true;
                tell(LifecycleOutput::Lost(state.fd, reason));
            }
        }
        if !self.reaped {
            return;
        }
        if !self.exited_told {
            self.exited_told = true;
            tell(LifecycleOutput::Exited);
        }
        if !self.ended_told && self.open_fds().next().is_none() {
            self.ended_told = true;
            tell(LifecycleOutput::Ended);
        }
    }

    /// The piped descriptors that are still open, in the order of the map.
    pub(crate) fn open_fds(&self) -> impl Iterator<Item = i32> {
        self.fds
            .iter()
            .filter(|state| state.closed.is_none())
            .map(|state| state.fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: CloseReason = CloseReason::ByChild;

    /// Holds every rule that the state machine is answerable for against one sequence of outputs.
    fn check(fds: &[i32], inputs: &[LifecycleInput], told: &[LifecycleOutput]) {
        let count = |wanted: LifecycleOutput| told.iter().filter(|o| **o == wanted).count();
        let at = |wanted: LifecycleOutput| told.iter().position(|o| *o == wanted);
        let made = inputs.iter().any(|i| matches!(i, LifecycleInput::Made));
        let reaped = inputs.iter().any(|i| matches!(i, LifecycleInput::Reaped));
        let closed = |fd: i32| {
            inputs
                .iter()
                .any(|i| matches!(i, LifecycleInput::Closed(f, _) if *f == fd))
        };

        assert_eq!(
            count(LifecycleOutput::Made),
            usize::from(made),
            "{inputs:?}"
        );
        if made {
            assert_eq!(at(LifecycleOutput::Made), Some(0), "{inputs:?}");
        }
        assert_eq!(count(LifecycleOutput::Exited), usize::from(made && reaped));
        let mut all_closed = true;
        for fd in fds {
            assert_eq!(
                count(LifecycleOutput::Lost(*fd, BY)),
                usize::from(made && closed(*fd))
            );
            all_closed &= closed(*fd);
        }
        let ended = made && reaped && all_closed;
        assert_eq!(
            count(LifecycleOutput::Ended),
            usize::from(ended),
            "{inputs:?}"
        );
        if ended {
            assert_eq!(
                at(LifecycleOutput::Ended),
                Some(told.len() - 1),
                "{inputs:?}"
            );
        }
    }

    /// Every sequence of up to `left` more inputs, duplicates included.
    fn explore(
        fds: &[i32],
        alphabet: &[LifecycleInput],
        inputs: &mut Vec<LifecycleInput>,
        left: usize,
    ) -> usize {
        let mut machine = Lifecycle::new(fds.iter().copied());
        let mut told = Vec::new();
        for input in inputs.iter() {
            machine.step(*input, |output| told.push(output));
        }
        check(fds, inputs, &told);
        let mut runs = 1;
        if left > 0 {
            for input in alphabet {
                inputs.push(*input);
                runs += explore(fds, alphabet, inputs, left - 1);
                inputs.pop();
            }
        }
        runs
    }

    #[test]
    fn every_order_of_inputs_keeps_the_rules() {
        for fds in [&[][..], &[1], &[0, 1], &[0, 1, 2], &[0, 1, 2, 7]] {
            let mut alphabet = vec![LifecycleInput::Made, LifecycleInput::Reaped];
            alphabet.extend(fds.iter().map(|fd| LifecycleInput::Closed(*fd, BY)));
            let depth = alphabet.len() + 1;
            let runs = explore(fds, &alphabet, &mut Vec::new(), depth);
            assert!(runs > alphabet.len().pow(depth as u32));
        }
    }

    #[test]
    fn the_first_reason_counts_and_unknown_descriptors_do_not() {
        let mut machine = Lifecycle::new([1]);
        let mut told = Vec::new();
        for input in [
            LifecycleInput::Made,
            LifecycleInput::Closed(1, CloseReason::Cut),
            LifecycleInput::Closed(1, BY),
            LifecycleInput::Closed(5, BY),
            LifecycleInput::Reaped,
            LifecycleInput::Reaped,
        ] {
            machine.step(input, |output| told.push(output));
        }
        assert_eq!(
            told,
            [
                LifecycleOutput::Made,
                LifecycleOutput::Lost(1, CloseReason::Cut),
                LifecycleOutput::Exited,
                LifecycleOutput::Ended
            ]
        );
    }
}
