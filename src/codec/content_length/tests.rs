//! What comes out of bytes, however they are cut.

use proptest::prelude::*;

use super::*;

/// An item, as what comes out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Out {
    Body(Vec<u8>),
    Noise(Vec<u8>, u64),
    TooLong(u64),
    Cut(usize, usize),
}

const MAX: usize = 100;
const HEADER: usize = 80;

fn codec() -> ContentLength {
    ContentLength::new(MAX).max_header(HEADER)
}

fn out(item: Result<Bytes, ContentLengthError>) -> Out {
    match item {
        Ok(body) => Out::Body(body.to_vec()),
        Err(ContentLengthError::Noise { bytes, left_out }) => Out::Noise(bytes.to_vec(), left_out),
        Err(ContentLengthError::TooLong { length, .. }) => Out::TooLong(length),
        Err(ContentLengthError::Cut { received, length }) => Out::Cut(received, length),
        Err(ContentLengthError::Io(error)) => panic!("{error}"),
    }
}

/// All that comes of `pieces`. Never more calls than there are bytes, and one for each piece, twice.
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Out> {
    let (mut codec, mut src, mut found) = (codec(), BytesMut::new(), Vec::new());
    let mut calls = 0_usize;
    let mut bytes = 0_usize;
    let mut take = |src: &mut BytesMut, at_end: bool| {
        loop {
            calls += 1;
            let item = match at_end {
                false => codec.decode(src),
                true => codec.decode_eof(src),
            };
            match item.transpose() {
                Some(item) => found.push(out(item)),
                None => break,
            }
        }
        // An unfinished header, or body, and nothing else is kept.
        assert!(src.len() <= MAX.max(HEADER), "{} bytes wait", src.len());
        calls
    };
    let mut pieces_seen = 0;
    for piece in pieces {
        src.extend_from_slice(piece);
        bytes += piece.len();
        pieces_seen += 1;
        let calls = take(&mut src, false);
        assert!(calls <= 2 * (bytes + pieces_seen), "{calls} calls");
    }
    take(&mut src, true);
    assert!(src.is_empty(), "left at the end: {src:?}");
    found
}

fn body(text: &str) -> Out {
    Out::Body(text.into())
}

fn noise(text: impl AsRef<[u8]>) -> Out {
    Out::Noise(text.as_ref().to_vec(), 0)
}

/// The input, and what comes of it.
fn cases() -> Vec<(&'static str, Vec<Out>)> {
    vec![
        ("", vec![]),
        ("Content-Length: 5\r\n\r\nhello", vec![body("hello")]),
        ("content-LENGTH:5\r\n\r\nhello", vec![body("hello")]),
        ("Content-Length:\t 5 \r\n\r\nhello", vec![body("hello")]),
        ("Content-Length: 0\r\n\r\n", vec![body("")]),
        (
            "Content-Type: x\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nab",
            vec![body("ab")],
        ),
        (
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            vec![body("ab")],
        ),
        // A body is no header, whatever it holds.
        (
            "Content-Length: 8\r\n\r\nlog\r\n\r\nxContent-Length: 1\r\n\r\ny",
            vec![body("log\r\n\r\nx"), body("y")],
        ),
        // Noise in lines, and in the middle of one.
        (
            "INFO: up\nContent-Length: 1\r\n\r\na\nb\r\n\nContent-Length: 1\r\n\r\nc",
            vec![
                noise("INFO: up\n"),
                body("a"),
                noise("\n"),
                noise("b\r\n"),
                noise("\n"),
                body("c"),
            ],
        ),
        (
            "50%... Content-Length: 1\r\n\r\naWARN: Content-Length: 1\r\n\r\nb",
            vec![noise("50%... "), body("a"), noise("WARN: "), body("b")],
        ),
        (
            "doneContent-Length: 1\r\n\r\na",
            vec![noise("done"), body("a")],
        ),
        (
            "Content-Length: 9 Content-Length: 1\r\n\r\na",
            vec![noise("Content-Length: 9 "), body("a")],
        ),
        // Between headers: what is before it is no message's.
        (
            "Content-Length: 1\r\nlog\nContent-Length: 2\r\n\r\nab",
            vec![noise("Content-Length: 1\r\n"), noise("log\n"), body("ab")],
        ),
        // Numbers that are none, lines that end otherwise, and headers without a length.
        (
            "Content-Length: x\r\nContent-Length: -1\r\nContent-Length: \r\nContent-Length: 1\r\n\r\na",
            vec![
                noise("Content-Length: x\r\n"),
                noise("Content-Length: -1\r\n"),
                noise("Content-Length: \r\n"),
                body("a"),
            ],
        ),
        (
            "Content-Length: 99999999999999999999\r\nContent-Length: 1\r\n\r\na",
            vec![noise("Content-Length: 99999999999999999999\r\n"), body("a")],
        ),
        (
            "Content-Length: 1\n\nContent-Length: 1\r\n\r\na",
            vec![noise("Content-Length: 1\n"), noise("\n"), body("a")],
        ),
        (
            "Content-Type: x\r\n\r\nContent-Length: 1\r\n\r\na",
            vec![noise("Content-Type: x\r\n\r\n"), body("a")],
        ),
        (
            ": x\r\nA B: y\r\n",
            vec![noise(": x\r\n"), noise("A B: y\r\n")],
        ),
        // Too long: skipped, and told once.
        (
            "Content-Length: 101\r\n\r\n00000000001111111111222222222233333333334444444444\
             55555555556666666666777777777788888888889999999999!Content-Length: 1\r\n\r\na",
            vec![Out::TooLong(101), body("a")],
        ),
        (
            "Content-Length: 18446744073709551615\r\n\r\nabc",
            vec![Out::TooLong(u64::MAX)],
        ),
        // The end.
        ("Content-Length: 5\r\n\r\nhel", vec![Out::Cut(3, 5)]),
        ("Content-Length: 5\r\n\r\n", vec![Out::Cut(0, 5)]),
        (
            "Content-Length: 5\r\n",
            vec![noise("Content-Length: 5\r\n")],
        ),
        ("Killed", vec![noise("Killed")]),
    ]
}

#[test]
fn each_input_gives_the_same_however_it_is_cut() {
    for (input, expected) in cases() {
        let bytes = input.as_bytes();
        assert_eq!(decoded([bytes]), expected, "{input:?}");
        assert_eq!(decoded(bytes.chunks(1)), expected, "{input:?} by bytes");
        for first in 0..=bytes.len() {
            let (one, rest) = bytes.split_at(first);
            for second in 0..=rest.len() {
                let (two, three) = rest.split_at(second);
                assert_eq!(decoded([one, two, three]), expected, "{one:?} {two:?}");
            }
        }
    }
}

#[test]
fn headers_above_their_maximum_are_noise_and_what_follows_is_read() {
    let long = format!("X: {}\r\n", "y".repeat(90));
    let many = "X: y\r\n".repeat(20);
    let message = "Content-Length: 1\r\n\r\na";
    for (input, expected) in [
        (format!("{long}{message}"), vec![noise(&long), body("a")]),
        // 13 of them are within the maximum; with the rest comes the message.
        (
            format!("{many}{message}"),
            vec![noise("X: y\r\n".repeat(13)), body("a")],
        ),
        (
            format!("{}{message}", "z".repeat(200)),
            vec![noise("z".repeat(200)), body("a")],
        ),
        (
            format!("{}{message}", "z".repeat(5000)),
            vec![Out::Noise(vec![b'z'; 1024], 3976), body("a")],
        ),
    ] {
        let bytes = input.as_bytes();
        assert_eq!(decoded([bytes]), expected);
        assert_eq!(decoded(bytes.chunks(1)), expected);
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(decoded([one, two]), expected, "cut at {cut}");
        }
    }
}

#[test]
fn what_is_written_is_read_and_a_body_above_the_maximum_is_not_written() {
    let (mut codec, mut written) = (codec(), BytesMut::new());
    codec.encode("hello", &mut written).unwrap();
    codec.encode(vec![0; MAX], &mut written).unwrap();
    let length = written.len();
    let refused = codec.encode(vec![0; MAX + 1], &mut written).unwrap_err();
    let expected = "a body of 101 bytes, which is more than 100";
    assert_eq!(refused.to_string(), expected);
    assert_eq!(written.len(), length);
    assert!(written.starts_with(b"Content-Length: 5\r\n\r\nhello"));
    let expected = [body("hello"), Out::Body(vec![0; MAX])];
    assert_eq!(decoded([&written[..]]), expected);
}

#[test]
fn an_error_shows_its_noise_escaped_and_how_much_is_left_out() {
    let noise = format!("\x1b[31m\"oops\"\u{202e}{}\n", "x".repeat(2000));
    let mut src = BytesMut::from(noise.as_str());
    // The line is longer than headers may be, so it is taken in pieces.
    let error = codec().decode(&mut src).unwrap_err().to_string();
    assert!(
        error.starts_with(r#"noise in place of a header: \u{1b}[31m"oops"\u{202e}x"#),
        "{error}"
    );
    assert!(error.ends_with("x .. and 991 bytes more"), "{error}");
    assert!(error.len() < 1200, "{}", error.len());
    let mut src = BytesMut::from("Content-Length: 7\r\n\r\nhe");
    let error = codec().decode_eof(&mut src).unwrap_err().to_string();
    assert_eq!(error, "the end after 2 of a body's 7 bytes");
}

/// A message, or something that a program says meanwhile.
#[derive(Debug, Clone)]
enum Said {
    Message(Vec<u8>, bool),
    Line(Vec<u8>),
    Unfinished(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    let body = proptest::collection::vec(any::<u8>(), 0..=MAX);
    // No header is in it: a letter of the name is missing.
    let text = proptest::collection::vec(any::<u8>(), 1..300).prop_map(|mut bytes| {
        let is_harmless = |byte: &u8| !matches!(byte.to_ascii_lowercase(), b'g' | b'\r' | b'\n');
        bytes.retain(is_harmless);
        bytes
    });
    prop_oneof![
        (body, any::<bool>()).prop_map(|(body, typed)| Said::Message(body, typed)),
        text.clone().prop_map(|mut line| {
            line.push(b'\n');
            Said::Line(line)
        }),
        text.prop_map(Said::Unfinished),
    ]
}

proptest! {
    #[test]
    fn every_message_comes_and_all_noise_is_told(
        all in proptest::collection::vec(said(), 0..12),
        cuts in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        let (mut input, mut bodies, mut noise) = (Vec::new(), Vec::new(), Vec::new());
        for said in &all {
            match said {
                Said::Message(body, typed) => {
                    input.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
                    if *typed {
                        input.extend_from_slice(b"Content-Type: text\r\n");
                    }
                    input.extend_from_slice(b"\r\n");
                    input.extend_from_slice(body);
                    bodies.push(body.clone());
                }
                Said::Line(text) | Said::Unfinished(text) => {
                    input.extend_from_slice(text);
                    noise.extend_from_slice(text);
                }
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let found = decoded(pieces);
        prop_assert_eq!(&found, &decoded([&input[..]]));
        let (mut found_bodies, mut found_noise, mut left_out) = (Vec::new(), Vec::new(), 0);
        for item in found {
            match item {
                Out::Body(body) => found_bodies.push(body),
                Out::Noise(bytes, more) => {
                    found_noise.extend_from_slice(&bytes);
                    left_out += more;
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(found_bodies, bodies);
        if left_out == 0 {
            prop_assert_eq!(found_noise, noise);
        } else {
            prop_assert_eq!(found_noise.len() as u64 + left_out, noise.len() as u64);
        }
    }

    #[test]
    fn nothing_makes_it_panic_or_loop(
        input in proptest::collection::vec(
            prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                Just(b"Content-Length: ".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"\r\n\r\n".to_vec()),
                Just(b"A: b\r\n".to_vec()),
                (0_u64..200).prop_map(|number| number.to_string().into_bytes()),
            ],
            0..80,
        ).prop_map(|parts| parts.concat()),
        cut in 1_usize..20,
    ) {
        prop_assert_eq!(decoded(input.chunks(cut)), decoded([&input[..]]));
    }
}
