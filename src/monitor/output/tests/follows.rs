//! Followers against a list of all lines.

use futures::FutureExt;
use futures::StreamExt;
use proptest::prelude::*;

use super::super::line_ring::LINE_OVERHEAD;
use super::super::{Follow, Followed, OutputSpec, Since};
use super::output;

#[derive(Debug, Clone, Copy)]
enum Act {
    Line,
    Restart,
    /// A follower begins.
    Follow(Since),
    /// This follower takes so many items at most.
    Take(usize, usize),
    Close,
}

/// A follower, and what it shall get.
struct Expected {
    follow: Follow,
    /// The number of the next line.
    next: u64,
    closed: bool,
}

/// All lines of a service, and before which of them it restarted.
#[derive(Default)]
struct Model {
    lines: u64,
    /// Before the line with this number.
    restarts: Vec<u64>,
    kept: u64,
    closed: bool,
}

impl Model {
    fn first(&self) -> u64 {
        self.lines.saturating_sub(self.kept) + 1
    }

    fn begin(&self, since: Since) -> u64 {
        match since {
            Since::Start => self.first(),
            Since::Last(count) => (self.lines + 1)
                .saturating_sub(count as u64)
                .max(self.first()),
            Since::Seq(seq) if seq <= self.lines => seq + 1,
            Since::Seq(_) => self.first(),
            Since::Now => self.lines + 1,
        }
    }
}

/// Runs the acts; says what is wrong. A ring of `kept` lines of ten bytes.
fn run(kept: u64, acts: &[Act]) -> Result<(), String> {
    let spec = OutputSpec {
        ring: kept as usize * (10 + LINE_OVERHEAD),
        ..OutputSpec::default()
    };
    let mut output = output(&spec);
    output.started(1);
    let mut model = Model {
        kept,
        ..Model::default()
    };
    let mut followers: Vec<Expected> = Vec::new();
    for act in acts {
        match *act {
            Act::Line => {
                if !model.closed {
                    model.lines += 1;
                }
                let fd = 1 + (model.lines % 2) as i32;
                output.data(fd, format!("{:010}\n", model.lines).as_bytes());
            }
            Act::Restart => {
                if !model.closed {
                    output.ended();
                    output.started(model.restarts.len() as u64 + 2);
                    model.restarts.push(model.lines + 1);
                }
            }
            Act::Follow(since) => followers.push(Expected {
                follow: output.source().follow(since),
                next: model.begin(since),
                closed: false,
            }),
            Act::Take(number, most) => {
                if let Some(follower) = followers.get_mut(number) {
                    take(follower, &model, most)?;
                }
            }
            Act::Close => {
                output.close();
                model.closed = true;
            }
        }
    }
    for follower in &mut followers {
        take(follower, &model, usize::MAX)?;
        let until = follower.next == model.lines + 1 && follower.closed == model.closed;
        until
            .then_some(())
            .ok_or_else(|| format!("it stops at {}", follower.next))?;
    }
    Ok(())
}

fn take(follower: &mut Expected, model: &Model, most: usize) -> Result<(), String> {
    let fail = |what: String| Err(what);
    let mut restarts_here = 0;
    for _ in 0..most {
        let Some(item) = follower.follow.next().now_or_never() else {
            return match (
                follower.next > model.lines,
                model.closed && !follower.closed,
            ) {
                (true, false) => Ok(()),
                _ => fail("it waits".into()),
            };
        };
        match item {
            Some(Followed::Line {
                seq,
                fd,
                bytes,
                partial,
                ..
            }) => {
                let fine = seq == follower.next
                    && fd == 1 + (seq % 2) as i32
                    && &bytes[..] == format!("{seq:010}").as_bytes()
                    && !partial
                    && !follower.closed;
                if !fine {
                    return fail(format!("got {seq}"));
                }
                follower.next += 1;
            }
            Some(Followed::Lagged(missed)) => {
                // What is in its batch is older than what the ring keeps.
                if missed == 0 || follower.next + missed > model.first() {
                    return fail(format!("lagged {missed}"));
                }
                follower.next += missed;
            }
            Some(Followed::Restarted) => {
                restarts_here += 1;
                // Between two lines of which one is before a restart and the other not, and after a gap that may hold one.
                if !model.restarts.iter().any(|at| *at <= follower.next)
                    || restarts_here > model.restarts.len()
                {
                    return fail("restarted".into());
                }
            }
            Some(Followed::Closed)
                if model.closed && !follower.closed && follower.next > model.lines =>
            {
                follower.closed = true;
            }
            None if follower.closed => return Ok(()),
            other => return fail(format!("{other:?}")),
        }
    }
    Ok(())
}

fn since() -> impl Strategy<Value = Since> {
    prop_oneof![
        Just(Since::Start),
        (0_usize..8).prop_map(Since::Last),
        (0_u64..30).prop_map(Since::Seq),
        Just(Since::Now),
    ]
}

proptest! {
    #[test]
    fn any_followers_get_every_line_once_or_are_told_how_many_they_missed(
        kept in 0_u64..8,
        acts in prop::collection::vec(
            prop_oneof![
                6 => Just(Act::Line),
                1 => Just(Act::Restart),
                2 => since().prop_map(Act::Follow),
                4 => (0_usize..5, 0_usize..10).prop_map(|(number, most)| Act::Take(number, most)),
                1 => prop::bool::weighted(0.1).prop_map(|close| if close { Act::Close } else { Act::Line }),
            ],
            0..80,
        ),
    ) {
        if let Err(problem) = run(kept, &acts) {
            prop_assert!(false, "{}", problem);
        }
    }
}

#[test]
fn every_short_order_of_lines_restarts_and_takes_is_without_a_gap() {
    for since in [
        Since::Start,
        Since::Last(1),
        Since::Last(2),
        Since::Seq(1),
        Since::Seq(2),
        Since::Now,
    ] {
        let acts = [
            Act::Line,
            Act::Restart,
            Act::Follow(since),
            Act::Take(0, 1),
            Act::Take(0, 9),
            Act::Close,
        ];
        for number in 0..acts.len().pow(5) {
            let order = (0..5).map(|place| acts[number / acts.len().pow(place) % acts.len()]);
            let order: Vec<Act> = order.collect();
            for kept in [1, 2] {
                run(kept, &order)
                    .unwrap_or_else(|problem| panic!("{problem} in {order:?} of {kept}"));
            }
        }
    }
}
