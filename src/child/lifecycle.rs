//! The order of a child's events, as plain data: which descriptors are open, whether it was
//! reaped, what to tell next. No actix, no descriptors, no I/O.

use crate::event::CloseReason;

/// Something that happened. Each may come at any time, any number of times, in any order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    /// The protocol may be told: the spawn is committed.
    Made,
    /// The child was reaped.
    Reaped,
    /// The actor of this descriptor has stopped, and its descriptor is closed.
    Closed(i32, CloseReason),
}

/// Something to tell the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
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
    pub(crate) fn step(&mut self, input: Input, mut tell: impl FnMut(Output)) {
        match input {
            Input::Made if !self.made => {
                self.made = true;
                tell(Output::Made);
            }
            Input::Reaped => self.reaped = true,
            Input::Closed(fd, reason) => {
                if let Some(state) = self.fds.iter_mut().find(|state| state.fd == fd)
                    && state.closed.is_none()
                {
                    state.closed = Some(reason);
                }
            }
            Input::Made => {}
        }
        if self.made {
            self.catch_up(tell);
        }
    }

    /// Tells whatever is known and not told yet.
    fn catch_up(&mut self, mut tell: impl FnMut(Output)) {
        for state in &mut self.fds {
            if let (Some(reason), false) = (state.closed, state.told) {
                state.told = true;
                tell(Output::Lost(state.fd, reason));
            }
        }
        if !self.reaped {
            return;
        }
        if !self.exited_told {
            self.exited_told = true;
            tell(Output::Exited);
        }
        if !self.ended_told && self.open_fds().next().is_none() {
            self.ended_told = true;
            tell(Output::Ended);
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
    fn check(fds: &[i32], inputs: &[Input], told: &[Output]) {
        let count = |wanted: Output| told.iter().filter(|o| **o == wanted).count();
        let at = |wanted: Output| told.iter().position(|o| *o == wanted);
        let made = inputs.iter().any(|i| matches!(i, Input::Made));
        let reaped = inputs.iter().any(|i| matches!(i, Input::Reaped));
        let closed = |fd: i32| {
            inputs
                .iter()
                .any(|i| matches!(i, Input::Closed(f, _) if *f == fd))
        };

        assert_eq!(count(Output::Made), usize::from(made), "{inputs:?}");
        if made {
            assert_eq!(at(Output::Made), Some(0), "{inputs:?}");
        }
        assert_eq!(count(Output::Exited), usize::from(made && reaped));
        let mut all_closed = true;
        for fd in fds {
            assert_eq!(
                count(Output::Lost(*fd, BY)),
                usize::from(made && closed(*fd))
            );
            all_closed &= closed(*fd);
        }
        let ended = made && reaped && all_closed;
        assert_eq!(count(Output::Ended), usize::from(ended), "{inputs:?}");
        if ended {
            assert_eq!(at(Output::Ended), Some(told.len() - 1), "{inputs:?}");
        }
    }

    /// Every sequence of up to `left` more inputs, duplicates included.
    fn explore(fds: &[i32], alphabet: &[Input], inputs: &mut Vec<Input>, left: usize) -> usize {
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
            let mut alphabet = vec![Input::Made, Input::Reaped];
            alphabet.extend(fds.iter().map(|fd| Input::Closed(*fd, BY)));
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
            Input::Made,
            Input::Closed(1, CloseReason::Cut),
            Input::Closed(1, BY),
            Input::Closed(5, BY),
            Input::Reaped,
            Input::Reaped,
        ] {
            machine.step(input, |output| told.push(output));
        }
        assert_eq!(
            told,
            [
                Output::Made,
                Output::Lost(1, CloseReason::Cut),
                Output::Exited,
                Output::Ended
            ]
        );
    }
}
