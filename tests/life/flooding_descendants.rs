//! `ended_timeout` is a bound also for descendants that never rest, whoever reads what they write.

use crate::common;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, FromProcess, IntoProtocol, NoProtocol, ProcessEvent,
};
use common::helper::{helper, pattern};
use common::slow_protocol::{SlowProtocol, Withheld};
use common::{eventually, run, soon};

const TIMEOUT: Duration = Duration::from_millis(500);
/// The end came 2 to 58 s after the exit where the clock stood while the readers were busy.
const BOUND: Duration = Duration::from_secs(5);

/// A protocol that is slow, and remembers the closes only.
struct Slow {
    act: fn(FromProcess, &mut Context<Self>),
    closes: Arc<Mutex<Vec<(i32, CloseReason)>>>,
}

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Slow {
    type Result = ();

    fn handle(&mut self, message: FromProcess, ctx: &mut Context<Self>) {
        match message.event {
            ProcessEvent::ChildConnectionLost { fd, reason } => {
                self.closes.lock().unwrap().push((fd, reason));
            }
            ProcessEvent::ChildDataReceived { .. } => (self.act)(message, ctx),
            _ => {}
        }
    }
}

const A_WHILE: Duration = Duration::from_millis(5);

fn none(_: FromProcess, _: &mut Context<Slow>) {}

fn block(_: FromProcess, _: &mut Context<Slow>) {
    std::thread::sleep(A_WHILE);
}

/// The mailbox is empty, and the window full.
fn work_in_a_future(message: FromProcess, ctx: &mut Context<Slow>) {
    let work = async move {
        actix_rt::time::sleep(A_WHILE).await;
        drop(message);
    };
    ctx.wait(fut::wrap_future::<_, Slow>(work));
}

/// Two that write as fast as they can, until nobody reads.
fn flood() -> Command {
    let script = "cat /dev/zero & cat /dev/zero & exit 0";
    Command::new("sh")
        .args(["-c", script])
        .ended_timeout(TIMEOUT)
}

/// Its end comes soon after its exit.
async fn assert_bounded(command: &Command, protocol: impl IntoProtocol, who: &str) {
    let process = command.spawn(protocol).await.unwrap();
    soon("the exit", process.exited()).await;
    let begun = Instant::now();
    soon("the end", process.ended()).await;
    let took = begun.elapsed();
    assert!(took < BOUND, "{who}: {took:?} after the exit");
}

#[test]
fn they_cannot_hold_the_end_however_slow_the_protocol() {
    run(async {
        let arbiter = Arbiter::new();
        type Act = fn(FromProcess, &mut Context<Slow>);
        let acts: [(&str, Act); 3] = [
            ("none", none),
            ("block", block),
            ("future", work_in_a_future),
        ];
        for (who, act) in acts {
            for elsewhere in [false, true] {
                let closes = Arc::default();
                let slow = Slow {
                    act,
                    closes: Arc::clone(&closes),
                };
                let protocol = match elsewhere {
                    true => Slow::start_in_arbiter(&arbiter.handle(), |_| slow),
                    false => slow.start(),
                };
                assert_bounded(&flood(), protocol, who).await;
                eventually(
                    "the closes",
                    || (closes.lock().unwrap().len() == 3).then_some(()),
                    || format!("{:?}", closes.lock().unwrap()),
                )
                .await;
                let cut = |fd| closes.lock().unwrap().contains(&(fd, CloseReason::Cut));
                assert!(cut(1) && cut(2), "{:?}", closes.lock().unwrap());
            }
        }
        arbiter.stop();
    });
}

#[test]
fn they_cannot_hold_the_end_of_what_nobody_reads() {
    run(async {
        assert_bounded(&flood(), NoProtocol, "nobody").await;
        let command = flood().stdout(Fd::stream());
        assert_bounded(&command, NoProtocol, "a stream").await;
    });
}

/// A child, and descendants that do something when they are told to.
struct Descendants {
    command: Command,
    go: Vec<std::io::PipeWriter>,
    told: std::io::PipeReader,
}

/// `child` exits after having left a descendant that runs each of `acts` when it is told, and tells when it
/// has.
fn descendants(acts: &[&[&str]], child: &[&str]) -> Descendants {
    let (told, tell) = std::io::pipe().unwrap();
    let mut command_fds = Vec::new();
    let mut go = Vec::new();
    let mut descendant = Vec::new();
    for (fd, act) in (10..).zip(acts) {
        let (wait, goes) = std::io::pipe().unwrap();
        command_fds.push((fd, wait));
        go.push(goes);
        descendant.extend(["drain".to_owned(), fd.to_string()]);
        descendant.extend(act.iter().map(|word| (*word).to_owned()));
        descendant.extend(["tell", "9", "!"].map(str::to_owned));
    }
    descendant.push("pause".to_owned());
    let mut actions = vec!["leave".to_owned(), descendant.len().to_string()];
    actions.extend(descendant);
    actions.extend(child.iter().map(|word| (*word).to_owned()));
    let mut command = helper(actions).fd(9, Fd::from(OwnedFd::from(tell)));
    for (fd, wait) in command_fds {
        command = command.fd(fd, Fd::from(OwnedFd::from(wait)));
    }
    Descendants { command, go, told }
}

impl Descendants {
    /// Lets the next act be done, and waits until it is.
    fn act(&mut self) {
        drop(self.go.remove(0));
        self.told.read_exact(&mut [0; 2]).unwrap();
    }
}

/// Lets go of all that comes until the end; gives it, and kills the descendant, who is named there.
async fn all_of(withheld: &Mutex<Withheld>) -> Vec<u8> {
    let received = eventually(
        "the end",
        || {
            Withheld::let_go(withheld);
            let withheld = withheld.lock().unwrap();
            withheld.ended.then(|| withheld.received.clone())
        },
        || format!("{} bytes", withheld.lock().unwrap().received.len()),
    )
    .await;
    let end = received.iter().position(|byte| *byte == b'\n').unwrap();
    let line = String::from_utf8(received[..end].to_vec()).unwrap();
    let pid = line.strip_prefix("held ").unwrap().parse().unwrap();
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
    received[end + 1..].to_vec()
}

#[test]
fn time_does_not_count_before_the_protocol_has_the_childs_own_words() {
    run(async {
        let (withheld, protocol) = SlowProtocol::start_new();
        let mut descendants = descendants(&[&["say", "late"]], &["spam", "40000"]);
        let command = descendants.command.clone().window(4096);
        let process = command
            .ended_timeout(A_WHILE)
            .spawn(&protocol)
            .await
            .unwrap();
        process.exited().await;
        // The window is full, or will be. Long enough for a clock that counts this.
        actix_rt::time::sleep(50 * A_WHILE).await;
        descendants.act();
        let received = all_of(&withheld).await;
        assert!(received.ends_with(b"late\n"), "{} bytes", received.len());
        assert!(received[..40_000] == pattern(40_000));
    });
}

#[test]
fn time_counts_while_the_protocol_is_behind_with_what_descendants_write() {
    run(async {
        let (withheld, protocol) = SlowProtocol::start_new();
        let mut descendants = descendants(&[&["spam", "40000"], &["say", "late"]], &[]);
        let command = descendants.command.clone().window(4096);
        let process = command
            .ended_timeout(TIMEOUT)
            .spawn(&protocol)
            .await
            .unwrap();
        process.exited().await;
        // The readers on this arbiter look at what is the child's own before the descendant writes.
        actix_rt::time::sleep(TIMEOUT / 5).await;
        descendants.act();
        actix_rt::time::sleep(4 * TIMEOUT).await;
        descendants.act();
        let received = all_of(&withheld).await;
        // What the pipe held at the deadline, and nothing that came later.
        assert!(received == pattern(40_000), "{} bytes", received.len());
    });
}
