//! Many mebibytes through producers: every byte arrives, and the queue never holds more than it may.

use crate::common;

use crate::tools::held_bytes::HeldBytes;
use crate::tools::producing::PIPE;
use actix::prelude::*;
use actix_process::producer::ProducerCommand::{self, Pause, Resume, Stop};
use actix_process::producer::ProducerKind::{self, Pull, Push};
use actix_process::producer::{ProducerGuard, ToProducer};
use actix_process::{Command, Fd, ProcessHandle};
use common::census::Census;
use common::helper::{counted, digest, helper};
use common::isolated::isolated;
use common::trace::{data_of, spawned};
use common::{amount, run, start_all_threads};
use tokio::sync::oneshot;

const ALL: usize = 100 * 1024 * 1024;

fn total() -> usize {
    amount(ALL, ALL / 4)
}

/// Above this a push producer is paused.
const MARK: usize = 64 * 1024;
/// A page: a pipe takes whole pages, so each chunk is wholly in the queue or not at all.
const CHUNK: usize = 4096;
/// Of the first `total()` bytes of `counted`.
fn sha256() -> &'static str {
    match total() {
        ALL => "e7c039b3be8ca4af10294b25b752afc4bb7c9af4f3d21af8a98c84fa01021e2a  -\n",
        _ => "c3346002cca9360e41cbb2b4a45538b14258093ad7c027e304d73c2b03a19903  -\n",
    }
}

/// Writes the first `total` bytes of `counted`, and nothing while it is paused.
struct Pour {
    kind: ProducerKind,
    guard: Option<ProducerGuard>,
    chunk: usize,
    total: usize,
    written: usize,
    running: bool,
    /// A `Next` is in the mailbox.
    going: bool,
    told: Vec<ProducerCommand>,
    held_bytes: HeldBytes,
    done: Option<oneshot::Sender<Vec<ProducerCommand>>>,
}

/// Starts one for `fd` on an arbiter, and closes `fd`, which waits for it.
async fn pour(
    process: &ProcessHandle,
    fd: i32,
    kind: ProducerKind,
    (chunk, total): (usize, usize),
    arbiter: Option<&Arbiter>,
) -> (HeldBytes, oneshot::Receiver<Vec<ProducerCommand>>) {
    let (held_bytes, (done, told)) = (HeldBytes::default(), oneshot::channel());
    let pour = Pour {
        kind,
        guard: None,
        chunk,
        total,
        written: 0,
        running: true,
        going: false,
        told: Vec::new(),
        held_bytes: held_bytes.clone(),
        done: Some(done),
    };
    let actor = match arbiter {
        Some(arbiter) => Pour::start_in_arbiter(&arbiter.handle(), |_| pour),
        None => pour.start(),
    };
    let process = process.clone();
    actor.send(Begin(process, fd)).await.unwrap();
    (held_bytes, told)
}

#[derive(Message)]
#[rtype(result = "()")]
struct Begin(ProcessHandle, i32);

#[derive(Message)]
#[rtype(result = "()")]
struct Next;

impl Pour {
    fn write(&mut self) {
        let Some(guard) = &self.guard else { return };
        let end = self.total.min(self.written + self.chunk);
        let data = self.held_bytes.chunk(counted(self.written, end));
        guard.write(data).unwrap();
        self.written = end;
        if end == self.total {
            self.guard = None;
            let _ = self.done.take().unwrap().send(self.told.clone());
        }
    }

    /// Behind what it was told by the last write.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.kind == Push && self.guard.is_some() && !self.going {
            self.going = true;
            ctx.address().do_send(Next);
        }
    }
}

impl Actor for Pour {
    type Context = Context<Self>;
}

impl Handler<Begin> for Pour {
    type Result = ();

    fn handle(&mut self, Begin(process, fd): Begin, ctx: &mut Self::Context) {
        let guard = process.register_producer(fd, self.kind, ctx.address());
        self.guard = Some(guard.unwrap());
        process.close_child_fd(fd);
        self.go_on(ctx);
    }
}

impl Handler<Next> for Pour {
    type Result = ();

    fn handle(&mut self, _: Next, ctx: &mut Self::Context) {
        self.going = false;
        if self.running {
            self.write();
            self.go_on(ctx);
        }
    }
}

impl Handler<ToProducer> for Pour {
    type Result = ();

    fn handle(&mut self, told: ToProducer, ctx: &mut Self::Context) {
        self.told.push(told.command);
        match told.command {
            Pause => self.running = false,
            Resume => {
                // Nobody else writes: all must be gone.
                assert_eq!(self.held_bytes.held(), 0, "{:?}", self.told.len());
                self.running = true;
                match self.kind {
                    Pull => self.write(),
                    _ => self.go_on(ctx),
                }
            }
            _ => {}
        }
    }
}

/// The digest of the first `total` bytes of `counted`, as the helper says it.
fn digest_of(total: usize) -> String {
    let words = 0..total / 8;
    let all = words.fold(0, |so_far, word| digest(so_far, &word.to_le_bytes()));
    format!("digest {all:x}\n")
}

/// That a push producer was paused and resumed in turn, and never told to stop.
fn assert_in_turn(told: &[ProducerCommand]) {
    for (at, command) in told.iter().enumerate() {
        let wanted = if at % 2 == 0 { Pause } else { Resume };
        assert_eq!(*command, wanted, "command {at}");
    }
}

/// Pours so much, in chunks of one size, into the 0 of `command`; gives what the child said.
async fn pour_all(
    command: &Command,
    kind: ProducerKind,
    sizes: (usize, usize),
    elsewhere: bool,
) -> (HeldBytes, Vec<ProducerCommand>, String) {
    let arbiter = elsewhere.then(Arbiter::new);
    let (trace, process) = spawned(command).await;
    let (held_bytes, told) = pour(&process, 0, kind, sizes, arbiter.as_ref()).await;
    let history = trace.ended(&process).await;
    history.assert_rules(&[0, 1, 2]);
    assert!(history.status().success());
    assert_eq!(held_bytes.held(), 0);
    if let Some(arbiter) = arbiter {
        arbiter.stop();
        arbiter.join().unwrap();
    }
    (held_bytes, told.await.unwrap(), history.text(1))
}

#[test]
fn pouring_leaves_nothing() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            let before = Census::quiet().await;
            for (kind, elsewhere) in [(Push, false), (Pull, false), (Push, true), (Pull, true)] {
                let child = helper(["digest", "0", "0"]);
                let sizes = (MARK, 100 * MARK);
                let (held_bytes, _, said) = pour_all(&child, kind, sizes, elsewhere).await;
                assert_eq!(said, digest_of(100 * MARK));
                assert_eq!(held_bytes.held(), 0);
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn many_mebibytes_of_a_push_producer_reach_a_slow_child() {
    run(async {
        let child = helper(["digest", "0", "300"]);
        let (held_bytes, told, said) = pour_all(&child, Push, (CHUNK, total()), false).await;
        assert_eq!(said, digest_of(total()));
        assert_in_turn(&told);
        // It fills the queue before the writer has its turn.
        let least = total() / (MARK + CHUNK);
        assert!(told.len() > least, "{} commands", told.len());
        assert_eq!(held_bytes.most(), MARK + CHUNK);
    });
}

#[test]
fn many_mebibytes_of_a_push_producer_on_another_arbiter_reach_sha256sum() {
    run(async {
        let child = Command::new("sha256sum");
        let (held_bytes, told, said) = pour_all(&child, Push, (CHUNK, total()), true).await;
        assert_eq!(said, sha256());
        assert_in_turn(&told);
        assert!(held_bytes.most() <= MARK + CHUNK, "{}", held_bytes.most());
    });
}

/// That a pull producer was asked once for each of its chunks, and has one in the queue at most.
async fn assert_pulled(child: &Command, elsewhere: bool, wanted: &str) {
    let (held_bytes, told, said) = pour_all(child, Pull, (MARK, total()), elsewhere).await;
    assert_eq!(said, wanted);
    assert_eq!(told.len(), total() / MARK);
    assert!(told.iter().all(|command| *command == Resume), "{told:?}");
    assert_eq!(held_bytes.most(), MARK);
}

#[test]
fn many_mebibytes_of_a_pull_producer_reach_sha256sum() {
    run(async {
        assert_pulled(&Command::new("sha256sum"), false, sha256()).await;
    });
}

#[test]
fn many_mebibytes_of_a_pull_producer_on_another_arbiter_reach_a_slow_child() {
    run(async {
        let child = helper(["digest", "0", "300"]);
        assert_pulled(&child, true, &digest_of(total())).await;
    });
}

#[test]
fn two_producers_of_one_child_flow_by_themselves() {
    run(async {
        let half = total() / 2;
        let child = helper(["digest", "0", "0", "take", "3", "1", "digest", "5", "0"]);
        let child = child.fd(3, Fd::write()).fd(5, Fd::write());
        let (trace, process) = spawned(child).await;
        let (five, mut told_five) = pour(&process, 5, Push, (CHUNK, half), None).await;
        let (zero, told_zero) = pour(&process, 0, Push, (CHUNK, half), None).await;
        let digest = digest_of(half);
        trace.output(&process, 1, &digest).await;
        trace.lost(&process, 0).await;
        let told = told_zero.await.unwrap();
        assert!(told.len() > 100 && !told.contains(&Stop), "{told:?}");
        // The other waits: it is paused until more than a pipe full is gone.
        assert!(told_five.try_recv().is_err());
        assert_eq!(five.held(), MARK + CHUNK - PIPE);
        process.write_to_child(3, "!").unwrap();
        process.close_child_fd(3);
        let history = trace.ended(&process).await;
        history.assert_rules(&[0, 1, 2, 3, 5]);
        assert_eq!(data_of(&history.events, 1), digest.repeat(2).as_bytes());
        assert_eq!([zero.most(), five.most()], [MARK + CHUNK; 2]);
        assert_eq!([zero.held(), five.held()], [0, 0]);
    });
}
