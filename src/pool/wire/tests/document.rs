//! `docs/wire.md` says what the codec does.

use bytes::BytesMut;

use super::super::*;

const PAGE: &str = include_str!("../../../../docs/wire.md");

/// The lines of the worked example: whose they are, the bytes, and what is said of them.
fn conversation() -> Vec<(bool, Vec<u8>, &'static str)> {
    let mut lines = Vec::new();
    for line in PAGE.lines() {
        let (is_workers, rest) = match (
            line.strip_prefix("pool   > "),
            line.strip_prefix("worker > "),
        ) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => continue,
        };
        let (hex, said) = rest.split_once(';').unwrap();
        let bytes = hex.split_whitespace();
        let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap());
        lines.push((is_workers, bytes.collect(), said.trim()));
    }
    lines
}

#[test]
fn the_worked_example_is_what_the_codec_reads_and_writes() {
    let lines = conversation();
    let mut kinds = Vec::new();
    for (is_workers, bytes, said) in &lines {
        let decoder = match is_workers {
            true => FrameDecoder::from_worker(MAX_BODY),
            false => FrameDecoder::from_pool(MAX_BODY),
        };
        let mut buffer = BytesMut::from(&bytes[..]);
        let frame = decoder.decode(&mut buffer).unwrap().expect(said);
        assert!(buffer.is_empty(), "more than a frame: {said}");
        let mut again = BytesMut::new();
        frame.encode(&mut again).unwrap();
        assert_eq!(again, bytes);
        let name = format!("{} {}", frame.kind, frame.id);
        let text = str::from_utf8(&frame.body).unwrap();
        let expected = match frame.kind {
            FrameKind::Ready => {
                let version = frame.body.first().unwrap();
                let greeting = Greeting::parse(&frame.body).unwrap().name;
                format!("{name}: version {version}, {greeting:?}")
            }
            _ if text.is_empty() => name,
            _ => format!("{name}: {text:?}"),
        };
        assert_eq!(*said, expected);
        kinds.push(frame.kind);
    }
    for kind in FrameKind::ALL {
        assert!(kinds.contains(&kind), "{kind} is not in the example");
    }
}

#[test]
fn the_table_of_types_is_the_codecs() {
    for kind in FrameKind::ALL {
        let row = format!("| {} | `{kind}` | ", kind as u8);
        let mut rows = PAGE.lines().filter_map(|line| line.strip_prefix(&row));
        let way = rows.next().expect(&row).split(" |").next();
        let expected = match (kind.is_to_worker(), kind.is_from_worker()) {
            (true, true) => "both ways",
            (true, false) => "to the worker",
            (false, _) => "from the worker",
        };
        assert_eq!(way, Some(expected), "{kind}");
    }
}

#[test]
fn the_limits_of_the_page_are_the_codecs() {
    let says = |text: &str| assert!(PAGE.contains(text), "the page lacks: {text}");
    says(&format!("{} MiB", MAX_BODY >> 20));
    says(&format!("at most {MAX_NAME} bytes"));
    says(&format!("at most {MAX_LOADING} bytes"));
    says(&format!(
        "one byte, the version {VERSION} or {VERSION_AHEAD}"
    ));
    says("room for 4,096 bytes");
    assert_eq!(MAX_PACKET, 4_096);
    says(&format!("{HEAD} bytes"));
}
