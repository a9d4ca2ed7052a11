//! Which descriptor goes to which number in the child, as a list of steps that needs no decision.
//!
//! The child works on its private copy of the descriptor table, and closes everything but the
//! targets afterwards. So a step may overwrite any number that is neither a source nor a target.

use std::os::fd::RawFd;

/// One mapping: the parent's descriptor `source` shall be `target` in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FdMapping {
    pub(crate) target: RawFd,
    pub(crate) source: RawFd,
}

/// One step of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FdStep {
    /// Copy `from` to the scratch number `to`, close-on-exec, because `from` will be overwritten.
    Save { from: RawFd, to: RawFd },
    /// Copy `from` to `to`, for the program to have.
    Place { from: RawFd, to: RawFd },
    /// `fd` stays where it is: take close-on-exec off.
    Keep { fd: RawFd },
}

impl FdStep {
    /// The number that a failure of this step concerns: the child's, or the parent's that is saved.
    pub(crate) fn target(self) -> RawFd {
        match self {
            Self::Save { from, .. } => from,
            Self::Place { to, .. } => to,
            Self::Keep { fd } => fd,
        }
    }
}

/// The steps for `mappings`, whose targets must be distinct.
///
/// Sources that another mapping overwrites are saved to scratch numbers first; then each target is
/// placed. Swaps and cycles need no special case: all their sources are saved.
pub(crate) fn plan(mappings: &[FdMapping]) -> Vec<FdStep> {
    let mut steps = Vec::with_capacity(mappings.len() * 2);
    let mut saved: Vec<(RawFd, RawFd)> = Vec::new();
    let mut scratch = 3;

    for mapping in mappings {
        let overwritten = mappings
            .iter()
            .any(|other| other.target == mapping.source && other.source != mapping.source);
        if overwritten && !saved.iter().any(|(from, _)| *from == mapping.source) {
            while is_used(mappings, scratch) {
                scratch += 1;
            }
            steps.push(FdStep::Save {
                from: mapping.source,
                to: scratch,
            });
            saved.push((mapping.source, scratch));
            scratch += 1;
        }
    }
    for mapping in mappings {
        let copy = saved.iter().find(|(from, _)| *from == mapping.source);
        match copy {
            None if mapping.source == mapping.target => {
                steps.push(FdStep::Keep { fd: mapping.target })
            }
            _ => steps.push(FdStep::Place {
                from: copy.map_or(mapping.source, |(_, to)| *to),
                to: mapping.target,
            }),
        }
    }
    steps
}

fn is_used(mappings: &[FdMapping], fd: RawFd) -> bool {
    mappings
        .iter()
        .any(|mapping| mapping.source == fd || mapping.target == fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Runs the steps on a model of a descriptor table: number → what is open there.
    fn run(steps: &[FdStep], table: &mut BTreeMap<RawFd, RawFd>) {
        let mut kept = BTreeMap::new();
        for step in steps {
            match *step {
                FdStep::Save { from, to } => {
                    let what = table[&from];
                    table.insert(to, what);
                    kept.remove(&to);
                }
                FdStep::Place { from, to } => {
                    let what = table[&from];
                    table.insert(to, what);
                    kept.insert(to, what);
                }
                FdStep::Keep { fd } => {
                    kept.insert(fd, table[&fd]);
                }
            }
        }
        *table = kept;
    }

    #[test]
    fn every_map_over_four_numbers_comes_out_as_wished() {
        // Each of the targets 0..4 is absent or takes one of the sources 0..6: 7^4 maps, every
        // swap, cycle and duplicate among them.
        for code in 0..7_usize.pow(4) {
            let mut rest = code;
            let mut mappings = Vec::new();
            for target in 0..4 {
                let source = rest % 7;
                rest /= 7;
                if source < 6 {
                    mappings.push(FdMapping {
                        target,
                        source: source as RawFd,
                    });
                }
            }
            let mut table: BTreeMap<RawFd, RawFd> = (0..12).map(|fd| (fd, fd)).collect();
            run(&plan(&mappings), &mut table);
            let wanted: BTreeMap<RawFd, RawFd> =
                mappings.iter().map(|w| (w.target, w.source)).collect();
            assert_eq!(table, wanted, "{mappings:?}");
        }
    }

    #[test]
    fn plain_pipes_need_one_step_each() {
        let mappings =
            [(0, 7), (1, 9), (2, 11)].map(|(target, source)| FdMapping { target, source });
        assert_eq!(plan(&mappings).len(), 3);
    }
}
