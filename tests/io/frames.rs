//! Frames for callbacks: `FramedProtocol` and its messages.

use crate::common;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, Fd, FdMap, FramedProtocol, FromFrames, FromProcess, NoProtocol,
    OnOrphaned, ProcessEvent, ProcessHandle, ProcessProtocol, Pty, PtySize, Signal, SpawnStep,
};
use common::helper::{helper, hex};
use common::{eventually, run};
use tokio_util::codec::{BytesCodec, Decoder, LengthDelimitedCodec, LinesCodec};

const MAX: usize = 64 * 1024;
const TOO_LONG: &str = "max line length exceeded";
const TOO_BIG: &str = "frame size too big";
const CUT_OFF: &str = "bytes remaining on stream";

/// What a protocol was told.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Frame(i32, Result<Vec<u8>, String>),
    Event(ProcessEvent),
}

/// Writes down what it is told, and keeps frames, with their credit, if it shall.
#[derive(Clone, Default)]
struct Scribe {
    told: Arc<Mutex<Vec<Told>>>,
    kept: Arc<Mutex<Vec<Box<dyn Send>>>>,
    keeps: bool,
}

impl Actor for Scribe {
    type Context = Context<Self>;
}

impl Handler<FromProcess> for Scribe {
    type Result = ();

    fn handle(&mut self, message: FromProcess, ctx: &mut Context<Self>) {
        let told = Told::Event(message.event.clone());
        self.told.lock().unwrap().push(told);
        // So that its turns are known: without that, two milliseconds end the only one.
        message.dispatch(self, ctx);
    }
}

impl<D> Handler<FromFrames<D>> for Scribe
where
    D: Decoder<Item: AsRef<[u8]> + Send, Error: ToString + Send> + 'static,
{
    type Result = ();

    fn handle(&mut self, message: FromFrames<D>, _: &mut Context<Self>) {
        let frame = match &message.frame {
            Ok(frame) => Ok(frame.as_ref().to_vec()),
            Err(error) => Err(error.to_string()),
        };
        self.told
            .lock()
            .unwrap()
            .push(Told::Frame(message.fd, frame));
        if self.keeps {
            self.kept.lock().unwrap().push(Box::new(message));
        }
    }
}

impl ProcessProtocol for Scribe {}

impl Scribe {
    fn decode<D>(&self, decoder: D) -> FramedProtocol<Self>
    where
        D: Decoder<Item: AsRef<[u8]> + Send, Error: ToString + Send> + Send + 'static,
    {
        FramedProtocol::new(self.clone().start()).decode(1, MAX, decoder)
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn frames(&self) -> Vec<Result<Vec<u8>, String>> {
        let told = self.told().into_iter();
        told.filter_map(|told| match told {
            Told::Frame(1, frame) => Some(frame),
            _ => None,
        })
        .collect()
    }

    /// Not by a drop under the lock: it wakes the reader.
    fn let_go(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        drop(kept);
    }

    async fn until(&self, what: &str, met: impl Fn(&[Told]) -> bool) {
        let seen = || format!("{:?}", self.told().last());
        eventually(what, || met(&self.told()).then_some(()), seen).await;
    }

    /// Waits for the end; gives what was told, and holds that it was the last, and every close after the last frame.
    async fn ended(&self) -> Vec<Told> {
        let is_end = |told: &Told| matches!(told, Told::Event(ProcessEvent::ProcessEnded { .. }));
        self.until("the end", |told| told.last().is_some_and(is_end))
            .await;
        let told = self.told();
        assert_eq!(told[0], Told::Event(ProcessEvent::ConnectionMade));
        for (at, one) in told.iter().enumerate() {
            if let Told::Event(ProcessEvent::ChildConnectionLost { fd, .. }) = one {
                let late = |told: &&Told| matches!(told, Told::Frame(of, _) if of == fd);
                assert_eq!(told[at..].iter().find(late), None, "after the close");
            }
        }
        told
    }

    fn close(&self) -> Option<CloseReason> {
        self.told().into_iter().find_map(|told| match told {
            Told::Event(ProcessEvent::ChildConnectionLost { fd: 1, reason }) => Some(reason),
            _ => None,
        })
    }
}

fn owned<T: AsRef<[u8]>>(wanted: &[Result<T, &str>]) -> Vec<Result<Vec<u8>, String>> {
    let owned = |item: &Result<T, &str>| match item {
        Ok(item) => Ok(item.as_ref().to_vec()),
        Err(error) => Err((*error).to_owned()),
    };
    wanted.iter().map(owned).collect()
}

/// What the decoder makes of `text`, written at once and one byte at a time.
async fn assert_frames<D, T>(text: &[u8], decoder: impl Fn() -> D, wanted: &[Result<T, &str>])
where
    D: Decoder<Item: AsRef<[u8]> + Send, Error: ToString + Send> + Send + 'static,
    T: AsRef<[u8]> + Debug,
{
    for action in ["put", "dribble"] {
        let scribe = Scribe::default();
        let child = helper([action, "1", &hex(text)]);
        child.spawn(scribe.decode(decoder())).await.unwrap();
        scribe.ended().await;
        assert_eq!(scribe.frames(), owned(wanted), "by {action}");
        assert_eq!(scribe.close(), Some(CloseReason::ByChild));
    }
}

#[test]
fn rule_16_frames_come_in_order_one_a_message_before_the_close_and_the_end() {
    run(async {
        let text = b"\0\0\0\x03one\0\0\0\0\0\0\0\x03two";
        let wanted = [Ok("one"), Ok(""), Ok("two")];
        assert_frames(text, LengthDelimitedCodec::new, &wanted).await;
        // What only the end tells to be a frame.
        assert_frames(b"one\nhalf", LinesCodec::new, &[Ok("one"), Ok("half")]).await;
    });
}

#[test]
fn each_descriptor_has_its_own_decoder_and_the_others_are_data() {
    run(async {
        let scribe = Scribe::default();
        let child = helper(["say", "one", "put", "5", "0000000131", "tell", "2", "oops"]);
        let child = child.fd(5, Fd::read());
        let protocol = scribe.decode(LinesCodec::new());
        let protocol = protocol.decode(5, MAX, LengthDelimitedCodec::new());
        child.spawn(protocol).await.unwrap();
        let told = scribe.ended().await;
        assert!(told.contains(&Told::Frame(1, Ok(b"one".to_vec()))));
        assert!(told.contains(&Told::Frame(5, Ok(b"1".to_vec()))));
        let data = |told: &Told| match told {
            Told::Event(ProcessEvent::ChildDataReceived { fd, data }) => Some((*fd, data.clone())),
            _ => None,
        };
        let data: Vec<_> = told.iter().filter_map(data).collect();
        assert_eq!(data, [(2, "oops\n".into())]);
    });
}

#[test]
fn an_error_is_told_once_and_what_follows_is_decoded() {
    run(async {
        let codec = || LinesCodec::new_with_max_length(8);
        let wanted = [Ok("12345678"), Err(TOO_LONG), Ok("after")];
        assert_frames(b"12345678\n123456789\nafter\n", codec, &wanted).await;
        // Of the rest at the end nothing can come.
        let wanted = [Ok("one"), Err(CUT_OFF)];
        let text = b"\0\0\0\x03one\0\0\0\x03tw";
        assert_frames(text, LengthDelimitedCodec::new, &wanted).await;
    });
}

#[test]
fn a_decoder_that_cannot_go_on_tells_it_once_and_closes_the_descriptor() {
    run(async {
        let scribe = Scribe::default();
        let child = helper(["put", "1", "000000016f", "put", "1", "ffffffff", "drip"]);
        let process = child
            .spawn(scribe.decode(LengthDelimitedCodec::new()))
            .await
            .unwrap();
        let errno = nix::libc::EBADMSG;
        scribe.ended().await;
        assert_eq!(scribe.frames(), owned(&[Ok("o"), Err(TOO_BIG)]));
        assert_eq!(scribe.close(), Some(CloseReason::Failed { errno }));
        // It writes on where nobody reads.
        assert_eq!(process.ended().await.signal(), Some(Signal::PIPE));
    });
}

#[test]
fn what_waits_for_the_end_of_a_frame_is_bounded() {
    run(async {
        let scribe = Scribe::default();
        let protocol = FramedProtocol::new(scribe.clone().start());
        let protocol = protocol.decode(1, 1000, LengthDelimitedCodec::new());
        let mut frames = b"\0\0\x03\xe8".to_vec();
        frames.extend([b'x'; 1000]);
        let child = helper([
            "put",
            "1",
            &hex(&frames[..600]),
            "put",
            "1",
            &hex(&frames[600..]),
        ]);
        child.spawn(protocol).await.unwrap();
        scribe.ended().await;
        assert_eq!(scribe.frames(), owned(&[Ok("x".repeat(1000))]));

        let scribe = Scribe::default();
        let protocol = FramedProtocol::new(scribe.clone().start()).decode(1, 1000, Unending);
        helper(["drip"]).spawn(protocol).await.unwrap();
        scribe.ended().await;
        let error = "more than 1000 bytes wait for the end of a frame";
        assert_eq!(scribe.frames(), owned::<&str>(&[Err(error)]));
        let errno = nix::libc::EBADMSG;
        assert_eq!(scribe.close(), Some(CloseReason::Failed { errno }));
    });
}

/// Waits for more, always.
struct Unending;

impl Decoder for Unending {
    type Item = Vec<u8>;
    type Error = std::io::Error;

    fn decode(&mut self, _: &mut bytes::BytesMut) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

#[test]
fn frames_whose_messages_are_kept_are_bounded_and_hold_up_the_rest_and_the_close() {
    run(async {
        let scribe = Scribe {
            keeps: true,
            ..Scribe::default()
        };
        let child = Command::new("seq").arg("1000");
        let process = child.spawn(scribe.decode(LinesCodec::new())).await.unwrap();
        let full = |told: &[Told]| {
            told.iter()
                .any(|one| *one == Told::Frame(1, Ok(b"64".into())))
        };
        scribe.until("64 frames", full).await;
        process.exited().await;
        // No wait for anything: time for a crate that breaks the rule to do so.
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(scribe.frames().len(), 64);
        assert_eq!(scribe.close(), None);

        let all = || {
            scribe.let_go();
            scribe.close()
        };
        eventually("the close", all, || format!("{}", scribe.frames().len())).await;
        scribe.let_go();
        scribe.ended().await;
        let wanted: Vec<_> = (1..=1000)
            .map(|number: u32| Ok(number.to_string()))
            .collect();
        assert_eq!(scribe.frames(), owned(&wanted));
    });
}

#[test]
fn frames_go_to_a_protocol_on_another_arbiter() {
    run(async {
        let arbiter = Arbiter::new();
        let scribe = Scribe::default();
        let actor = scribe.clone();
        let protocol = Scribe::start_in_arbiter(&arbiter.handle(), |_| actor);
        let protocol = FramedProtocol::new(protocol).decode(1, MAX, LinesCodec::new());
        Command::new("seq")
            .arg("5000")
            .spawn(protocol)
            .await
            .unwrap();
        scribe.ended().await;
        let wanted: Vec<_> = (1..=5000)
            .map(|number: u32| Ok(number.to_string()))
            .collect();
        assert_eq!(scribe.frames(), owned(&wanted));
        arbiter.stop();
    });
}

#[test]
fn a_terminals_output_can_be_decoded() {
    run(async {
        let scribe = Scribe::default();
        let child = helper(["say", "one", "say", "two"]).pty(Pty::new(PtySize::new(24, 80)));
        child.spawn(scribe.decode(LinesCodec::new())).await.unwrap();
        scribe.ended().await;
        assert_eq!(scribe.frames(), owned(&[Ok("one"), Ok("two")]));
    });
}

#[test]
fn a_child_whose_frames_nobody_takes_any_more_is_orphaned() {
    run(async {
        let scribe = Scribe::default();
        let actor = scribe.clone().start();
        let protocol = FramedProtocol::new(actor.clone()).decode(1, MAX, BytesCodec::new());
        let child = helper(["drip"]).on_orphaned(OnOrphaned::Kill);
        let process = child.spawn(protocol).await.unwrap();
        scribe.until("a frame", |told| told.len() > 1).await;
        actor.do_send(Stop);
        assert_eq!(process.ended().await.signal(), Some(Signal::KILL));
    });
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Scribe {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[test]
fn what_is_no_data_for_the_protocol_cannot_be_decoded() {
    run(async {
        let protocol = || FramedProtocol::new(Scribe::default().start());
        let once = |fd| protocol().decode(fd, MAX, LinesCodec::new());
        let plain = Command::new("true").fds(FdMap::stdio());
        let streamed = Pty::new(PtySize::new(24, 80)).stream();
        let cases = [
            (0, plain.clone(), once(0)),
            (7, plain.clone(), once(7)),
            (1, plain.clone().stdout(Fd::stream()), once(1)),
            (1, plain.clone().stdout(Fd::lines(10)), once(1)),
            (1, Command::new("true").pty(streamed), once(1)),
            (2, plain.clone().stderr(Fd::same_as(1)), once(2)),
            (1, plain.clone(), once(1).decode(1, MAX, BytesCodec::new())),
        ];
        for (fd, command, protocol) in cases {
            let error = command.spawn(protocol).await.unwrap_err();
            assert_eq!(error.step(), SpawnStep::Invalid, "{error}");
            assert!(error.to_string().contains(&format!("fd {fd}")), "{error}");
        }
        let process: ProcessHandle = plain.spawn(NoProtocol).await.unwrap();
        process.ended().await;
    });
}
