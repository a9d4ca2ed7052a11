//! Lines and frames of a child's stream, by tokio-util's codecs.

use crate::common;

use std::fmt::Debug;

use crate::tools::two_parts::two_parts;
use actix::prelude::*;
use actix_process::{
    Command, Fd, NoProtocol, ProcessHandle, ProcessProtocol, Signal, process_protocol,
};
use common::helper::{helper, hex, pattern};
use common::isolated::isolated;
use common::limits::max_rss;
use common::run;
use common::streams::{next, rest};
use tokio_util::codec::{
    AnyDelimiterCodec, BytesCodec, Decoder, LengthDelimitedCodec, LinesCodec, LinesCodecError,
};

/// The errors by their messages.
const TOO_LONG: &str = "max line length exceeded";
const NO_TEXT: &str = "Unable to decode input as UTF8";
const TOO_BIG: &str = "frame size too big";
const CUT_OFF: &str = "bytes remaining on stream";

async fn spawn(actions: &[&str]) -> ProcessHandle {
    let command = helper(actions).stdout(Fd::stream());
    command.spawn(NoProtocol).await.unwrap()
}

/// Holds what a decoder makes of `text` against `wanted`. The child writes it at once, one byte at
/// a time, and in two parts with the border at many places: nothing may hang on where a read ends.
async fn assert_decoded<D>(
    text: &[u8],
    decoder: impl Fn() -> D,
    wanted: &[Result<impl AsRef<[u8]>, &str>],
) where
    D: Decoder<Item: AsRef<[u8]> + Debug, Error: ToString + Debug>,
{
    let mut ways: Vec<(String, Command)> = ["put", "dribble"]
        .map(|action| (action.to_owned(), helper([action, "1", &hex(text)])))
        .into();
    for border in (1..text.len()).step_by(1 + text.len() / 9) {
        let (begin, end) = text.split_at(border);
        ways.push((format!("two parts at {border}"), two_parts(begin, end)));
    }
    for (way, command) in ways {
        let command = command.stdout(Fd::stream()).stderr(Fd::stream());
        let process = command.spawn(NoProtocol).await.unwrap();
        let stream = process.take_stream(1).unwrap().decode(decoder());
        let mut told = process.take_stream(2).unwrap();
        let items = rest(stream);
        let go = async {
            // The first part was written: it is read by now, or will be with the other.
            if next(&mut told).await.is_some() {
                actix_rt::task::yield_now().await;
                let _ = process.write("x");
            }
        };
        let (items, ()) = futures::join!(items, go);
        let items: Vec<Result<Vec<u8>, String>> = items
            .into_iter()
            .map(|item| match item {
                Ok(item) => Ok(item.as_ref().to_vec()),
                Err(error) => Err(error.to_string()),
            })
            .collect();
        let wanted: Vec<Result<Vec<u8>, String>> = wanted
            .iter()
            .map(|item| match item {
                Ok(item) => Ok(item.as_ref().to_vec()),
                Err(error) => Err((*error).to_owned()),
            })
            .collect();
        assert_eq!(items, wanted, "written by {way}");
        process.ended().await;
    }
}

/// What the child writes, and what shall come of it.
type Case<T> = (&'static [u8], &'static [Result<&'static T, &'static str>]);

async fn assert_lines(text: &[u8], max_length: usize, wanted: &[Result<&str, &str>]) {
    let codec = || LinesCodec::new_with_max_length(max_length);
    assert_decoded(text, codec, wanted).await;
}

#[test]
fn lines_come_without_their_ends_and_the_last_one_needs_none() {
    run(async {
        let cases: [Case<str>; 9] = [
            (b"", &[]),
            (b"\n", &[Ok("")]),
            (b"one", &[Ok("one")]),
            (b"one\n", &[Ok("one")]),
            (b"one\r\ntwo\nthree", &[Ok("one"), Ok("two"), Ok("three")]),
            (
                b"\n\r\n\none\n\n",
                &[Ok(""), Ok(""), Ok(""), Ok("one"), Ok("")],
            ),
            (b"a\rb\r\r\nc\r", &[Ok("a\rb\r"), Ok("c")]),
            (b"one\n\r", &[Ok("one")]),
            (
                "gr\u{fc}n\r\n\u{4e00}\n".as_bytes(),
                &[Ok("gr\u{fc}n"), Ok("\u{4e00}")],
            ),
        ];
        for (text, wanted) in cases {
            assert_lines(text, 100, wanted).await;
        }
    });
}

#[test]
fn an_over_long_line_is_an_error_and_all_lines_after_it_follow() {
    run(async {
        let cases: [Case<str>; 6] = [
            (
                b"12345678\n123456789\nafter\n",
                &[Ok("12345678"), Err(TOO_LONG), Ok("after")],
            ),
            (
                b"123456789012345678901234567890\n\nafter",
                &[Err(TOO_LONG), Ok(""), Ok("after")],
            ),
            // Several, one right after the other and with a line between.
            (
                b"123456789\n1234567890\nok\n12345678901234567890\n\nend\n",
                &[
                    Err(TOO_LONG),
                    Err(TOO_LONG),
                    Ok("ok"),
                    Err(TOO_LONG),
                    Ok(""),
                    Ok("end"),
                ],
            ),
            // The last line, without an end and with one.
            (b"before\n1234567890123", &[Ok("before"), Err(TOO_LONG)]),
            (b"before\n1234567890123\n", &[Ok("before"), Err(TOO_LONG)]),
            (b"123456789", &[Err(TOO_LONG)]),
        ];
        for (text, wanted) in cases {
            assert_lines(text, 8, wanted).await;
        }
        // The CR of CR LF counts.
        assert_lines(
            b"1234567\r\n12345678\r\nx\r\n",
            8,
            &[Ok("1234567"), Err(TOO_LONG), Ok("x")],
        )
        .await;
    });
}

#[test]
fn an_over_long_line_is_a_typed_error_and_takes_no_memory() {
    isolated(|| {
        run(async {
            let script = "echo before; head -c $1 /dev/zero; echo; echo after";
            let command = |size: &str| {
                let command = Command::new("sh").args(["-c", script, "sh", size]);
                command.stdout(Fd::stream())
            };
            for (size, used_before) in [("5000000", None), ("60000000", Some(max_rss()))] {
                let process = command(size).spawn(NoProtocol).await.unwrap();
                let mut lines = process.take_stream(1).unwrap().lines(1000);
                assert_eq!(next(&mut lines).await.unwrap().unwrap(), "before");
                let error = next(&mut lines).await.unwrap().unwrap_err();
                assert!(matches!(error, LinesCodecError::MaxLineLengthExceeded));
                assert_eq!(next(&mut lines).await.unwrap().unwrap(), "after");
                assert!(next(&mut lines).await.is_none());
                if let Some(before) = used_before {
                    let more = max_rss().saturating_sub(before);
                    assert!(more < 16 << 20, "{more} bytes");
                }
            }
        });
    });
}

#[test]
fn a_line_that_is_no_utf8_is_an_error_and_the_lines_after_it_follow() {
    run(async {
        let cases: [Case<str>; 3] = [
            (b"a\n\xff\xfe\nb\n", &[Ok("a"), Err(NO_TEXT), Ok("b")]),
            (
                b"\xff\n\xff\nx\n\xc3",
                &[Err(NO_TEXT), Err(NO_TEXT), Ok("x"), Err(NO_TEXT)],
            ),
            (
                b"1234567890123\n\xff\n1234567890123\nend",
                &[Err(TOO_LONG), Err(NO_TEXT), Err(TOO_LONG), Ok("end")],
            ),
        ];
        for (text, wanted) in cases {
            assert_lines(text, 8, wanted).await;
        }
    });
}

#[test]
fn any_line_of_bytes_goes_by_the_delimiter_codec() {
    run(async {
        let codec = || AnyDelimiterCodec::new_with_max_length(b"\n;".to_vec(), b";".to_vec(), 8);
        let cases: [Case<[u8]>; 3] = [
            (
                b"\xff\n\x00;;last",
                &[Ok(b"\xff"), Ok(b"\x00"), Ok(b""), Ok(b"last")],
            ),
            (
                b"123456789;after\n",
                &[Err("max chunk length exceeded"), Ok(b"after")],
            ),
            (
                b"x;1234567890123",
                &[Ok(b"x"), Err("max chunk length exceeded")],
            ),
        ];
        for (text, wanted) in cases {
            assert_decoded(text, codec, wanted).await;
        }
    });
}

/// Frames, each after its length in four bytes.
fn framed(frames: &[&[u8]]) -> Vec<u8> {
    let frame = |frame: &&[u8]| [&(frame.len() as u32).to_be_bytes(), *frame].concat();
    frames.iter().flat_map(frame).collect()
}

#[test]
fn frames_come_whole_and_empty_ones_too() {
    run(async {
        let frames: [&[u8]; 5] = [b"one", b"", b"\x00\x00\x00\x00", b"", b"two"];
        let wanted = frames.map(Ok);
        assert_decoded(&framed(&frames), LengthDelimitedCodec::new, &wanted).await;
    });
}

#[test]
fn a_frame_larger_than_any_read_and_the_window_comes_whole() {
    run(async {
        let large = pattern(1_000_000);
        let head = hex((large.len() as u32).to_be_bytes());
        let tail = hex(framed(&[b"after"]));
        let command = helper(["put", "1", &head, "spam", "1000000", "put", "1", &tail]);
        let command = command.stdout(Fd::stream().window(10_000));
        let process = command.spawn(NoProtocol).await.unwrap();
        let stream = process.take_stream(1).unwrap();
        let items = rest(stream.decode(LengthDelimitedCodec::new())).await;
        let items: Vec<_> = items.into_iter().map(Result::unwrap).collect();
        assert!(items == [large.as_slice(), b"after"]);
    });
}

#[test]
fn a_frame_that_is_too_big_ends_the_stream_after_one_error() {
    run(async {
        let codec = || {
            LengthDelimitedCodec::builder()
                .max_frame_length(8)
                .new_codec()
        };
        let text = framed(&[b"fits", b"fits not", b"does not fit", b"never seen"]);
        let wanted: [Result<&[u8], _>; 3] = [Ok(b"fits"), Ok(b"fits not"), Err(TOO_BIG)];
        assert_decoded(&text, codec, &wanted).await;
    });
}

#[test]
fn a_frame_that_is_cut_off_is_an_error_at_the_end() {
    run(async {
        let whole = framed(&[b"one", b"two"]);
        for left_out in [1, 2] {
            let text = &whole[..whole.len() - left_out];
            let wanted: [Result<&[u8], _>; 2] = [Ok(b"one"), Err(CUT_OFF)];
            assert_decoded(text, LengthDelimitedCodec::new, &wanted).await;
        }
        // In the middle of a length.
        let wanted: [Result<&[u8], _>; 2] = [Ok(b"one"), Err(CUT_OFF)];
        assert_decoded(&whole[..9], LengthDelimitedCodec::new, &wanted).await;
    });
}

#[test]
fn a_decoder_is_asked_again_only_for_more() {
    run(async {
        let process = spawn(&["spam", "300000"]).await;
        let stream = process.take_stream(1).unwrap().decode(BytesCodec::new());
        let items = rest(stream).await;
        let all: Vec<_> = items.into_iter().map(Result::unwrap).collect();
        assert!(all.iter().all(|piece| !piece.is_empty()));
        assert!(all.concat() == pattern(300_000));
    });
}

#[test]
fn lines_of_a_child_that_never_stops_end_when_they_are_dropped() {
    run(async {
        let process = spawn(&["chatter"]).await;
        let mut lines = process.take_stream(1).unwrap().lines(100);
        for _ in 0..10 {
            assert_eq!(next(&mut lines).await.unwrap().unwrap(), "and so on");
        }
        drop(lines);
        let status = process.ended().await;
        assert_eq!(status.signal(), Some(Signal::PIPE));
    });
}

/// An actor that gets the lines of its child's two outputs.
#[derive(Default)]
struct Reader {
    lines: Vec<String>,
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl ProcessProtocol for Reader {
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Context<Self>) {
        for fd in [1, 2] {
            ctx.add_stream(process.take_stream(fd).unwrap().lines(80));
        }
    }
}
process_protocol!(Reader);

impl StreamHandler<Result<String, LinesCodecError>> for Reader {
    fn handle(&mut self, line: Result<String, LinesCodecError>, _: &mut Context<Self>) {
        self.lines.push(line.unwrap());
    }

    fn finished(&mut self, _: &mut Context<Self>) {
        // By default the first stream that ends stops the actor.
    }
}

#[derive(Message)]
#[rtype(result = "Vec<String>")]
struct Lines;

impl Handler<Lines> for Reader {
    type Result = Vec<String>;

    fn handle(&mut self, _: Lines, _: &mut Context<Self>) -> Vec<String> {
        self.lines.clone()
    }
}

#[test]
fn an_actor_is_told_line_by_line() {
    run(async {
        let reader = Reader::default().start();
        let command = helper(["say", "one", "tell", "2", "two", "put", "1", &hex("last")]);
        let command = command.stdout(Fd::stream()).stderr(Fd::stream());
        let process = command.spawn(&reader).await.unwrap();
        process.ended().await;
        let mut lines = Vec::new();
        for _ in 0..1000 {
            lines = reader.send(Lines).await.unwrap();
            if lines.len() == 3 {
                break;
            }
            actix_rt::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        lines.sort();
        assert_eq!(lines, ["last", "one", "two"]);
    });
}
