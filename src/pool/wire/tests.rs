//! What comes of bytes, however they are cut and whatever they are.

mod document;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

const MAX: usize = 1000;

/// All that comes of `pieces`, and why it ended there. No more waits than a frame of the most bytes.
fn decoded<'a>(
    decoder: &FrameDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<(), WireError>) {
    let (mut bytes, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            // The two ways are the same.
            let copied = decoder.decode_copied(&bytes);
            let before = bytes.len();
            let decoded = decoder.decode(&mut bytes);
            let taken = before - bytes.len();
            let also = decoded.clone().map(|frame| Some((frame?, taken)));
            assert_eq!(copied, also);
            match decoded {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut bytes), Err(error), "it is not stable");
                    return (frames, Err(error));
                }
            }
        }
        assert!(bytes.len() < HEAD + MAX, "{} bytes wait", bytes.len());
    }
    (frames, decoder.check_end(&bytes))
}

fn encoded(frames: &[Frame]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.encode(&mut bytes).unwrap();
    }
    bytes
}

fn an_answer() -> Vec<Frame> {
    vec![
        Frame::new(FrameKind::Progress, 0, "loading"),
        Frame::ready("model").unwrap(),
        Frame::new(FrameKind::Chunk, 7, "one"),
        Frame::new(FrameKind::Progress, 7, vec![0; MAX]),
        Frame::new(FrameKind::Ping, 0, ""),
        Frame::new(FrameKind::Pong, u64::MAX, "x"),
        Frame::new(FrameKind::End, 7, ""),
        Frame::new(FrameKind::Error, 8, "no"),
    ]
}

/// The error that these bytes give, and after how many of them.
fn refused(decoder: &FrameDecoder, bytes: &[u8]) -> (WireError, usize) {
    for length in 0..=bytes.len() {
        if let (_, Err(error)) = decoded(decoder, [&bytes[..length]])
            && !matches!(error, WireError::Cut { .. })
        {
            return (error, length);
        }
    }
    panic!("{bytes:?} is not refused");
}

fn head(length: u32, kind: u8, id: u64) -> Vec<u8> {
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes()].concat()
}

fn worker() -> FrameDecoder {
    FrameDecoder::from_worker(MAX)
}

#[test]
fn frames_come_out_as_they_went_in_at_every_cut() {
    let frames = an_answer();
    let bytes = encoded(&frames);
    for first in 0..=bytes.len() {
        let (left, right) = bytes.split_at(first);
        assert_eq!(decoded(&worker(), [left, right]), (frames.clone(), Ok(())));
    }
    assert_eq!(decoded(&worker(), bytes.chunks(1)), (frames, Ok(())));
}

#[test]
fn what_ends_in_the_middle_of_a_frame_is_cut() {
    let bytes = encoded(&an_answer());
    let mut whole = vec![0];
    let lengths = an_answer().into_iter().map(|frame| HEAD + frame.body.len());
    whole.extend(lengths.scan(0, |sum, length| {
        *sum += length;
        Some(*sum)
    }));
    for end in 0..bytes.len() {
        let (frames, result) = decoded(&worker(), [&bytes[..end]]);
        let begun = whole.iter().rfind(|place| **place <= end).unwrap();
        let expected = match end - begun {
            0 => Ok(()),
            received => Err(WireError::Cut { received }),
        };
        assert_eq!(result, expected, "after {end}, {} frames", frames.len());
    }
}

#[test]
fn a_length_above_the_maximum_is_refused_by_its_four_bytes() {
    let long = u32::try_from(MAX).unwrap() + 10;
    let error = |length| WireError::TooLong { length, max: MAX };
    assert_eq!(refused(&worker(), &head(long, 3, 1)), (error(MAX + 1), 4));
    let most = error(u32::MAX as usize - 9);
    assert_eq!(refused(&worker(), &head(u32::MAX, 3, 1)), (most, 4));
    let (frames, result) = decoded(&worker(), [&head(long - 1, 3, 1)[..]]);
    assert_eq!(
        (frames.len(), result),
        (0, Err(WireError::Cut { received: 13 }))
    );
}

#[test]
fn a_length_below_nine_is_refused_by_its_four_bytes() {
    for length in 0..9 {
        let expected = (WireError::TooShort { length }, 4);
        assert_eq!(refused(&worker(), &head(length, 3, 1)), expected);
    }
}

#[test]
fn an_unknown_type_or_one_that_goes_the_other_way_is_refused_by_its_byte() {
    let pool = FrameDecoder::from_pool(MAX);
    for byte in (0..=u8::MAX).filter(|byte| FrameKind::of(*byte).is_none()) {
        for decoder in [&worker(), &pool] {
            let expected = (WireError::UnknownKind(byte), 5);
            assert_eq!(refused(decoder, &head(9, byte, 1)), expected);
        }
    }
    for kind in FrameKind::ALL {
        let (to, from) = (kind.is_to_worker(), kind.is_from_worker());
        assert!(to || from);
        let bytes = head(9, kind as u8, 1);
        let wrong = (WireError::WrongWay(kind), 5);
        if !to {
            assert_eq!(refused(&pool, &bytes), wrong);
        }
        if !from {
            assert_eq!(refused(&worker(), &bytes), wrong);
        }
    }
    let both = FrameKind::ALL.into_iter();
    let both: Vec<_> = both
        .filter(|kind| kind.is_to_worker() && kind.is_from_worker())
        .collect();
    assert_eq!(both, [FrameKind::Ping, FrameKind::Pong]);
}

#[test]
fn an_id_that_does_not_fit_its_type_is_refused() {
    for kind in FrameKind::ALL {
        let wrong_id = match kind {
            FrameKind::Ready => 1,
            FrameKind::Progress | FrameKind::Ping | FrameKind::Pong => continue,
            _ => 0,
        };
        let decoder = match kind.is_from_worker() {
            true => worker(),
            false => FrameDecoder::from_pool(MAX),
        };
        let expected = WireError::WrongId { kind, id: wrong_id };
        let found = refused(&decoder, &head(10, kind as u8, wrong_id));
        assert_eq!(found, (expected, HEAD));
    }
}

#[test]
fn a_body_that_does_not_fit_its_type_is_refused_before_it_comes() {
    let length_of = |decoder: &FrameDecoder, kind: FrameKind, id, length: usize| {
        let counted = u32::try_from(length + 9).unwrap();
        match refused(decoder, &head(counted, kind as u8, id)) {
            (
                WireError::WrongBody {
                    kind: of, length, ..
                },
                HEAD,
            ) if of == kind => length,
            other => panic!("{other:?}"),
        }
    };
    let pool = FrameDecoder::from_pool(MAX);
    assert_eq!(length_of(&pool, FrameKind::Cancel, 1, 1), 1);
    assert_eq!(length_of(&worker(), FrameKind::Ready, 0, 0), 0);
    assert_eq!(length_of(&worker(), FrameKind::Ready, 0, 130), 130);
    assert_eq!(length_of(&worker(), FrameKind::Progress, 0, 257), 257);
}

#[test]
fn a_greeting_has_a_version_and_a_name() {
    let of = |body: &[u8]| Greeting::parse(body).map(|greeting| greeting.name);
    let ahead = |body: &[u8]| Greeting::parse(body).unwrap().takes_ahead;
    assert_eq!(of(b"\x01model"), Ok("model".to_owned()));
    assert_eq!(of(b"\x01"), Ok(String::new()));
    assert_eq!(of(b"\x02model"), Ok("model".to_owned()));
    assert!(ahead(b"\x02model") && !ahead(b"\x01model"));
    assert_eq!(of(b"\x03model"), Err(WireError::UnknownVersion(3)));
    assert_eq!(of(b"\x00"), Err(WireError::UnknownVersion(0)));
    assert_eq!(of(b"\x01\xff"), Err(WireError::NameNotUtf8));
    assert!(matches!(of(b""), Err(WireError::WrongBody { .. })));
    let longest = "n".repeat(MAX_NAME);
    let ready = Frame::ready(&longest).unwrap();
    assert_eq!(of(&ready.body), Ok(longest.clone()));
    assert!(matches!(
        Frame::ready(&(longest + "n")),
        Err(WireError::WrongBody { .. })
    ));
}

#[test]
fn a_head_counts_the_body_and_no_more_than_fits() {
    let head = encode_head(FrameKind::Job, 0x0102_0304_0506_0708, 5).unwrap();
    assert_eq!(head, [0, 0, 0, 14, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    let most = u32::MAX as usize - 9;
    assert!(encode_head(FrameKind::Job, 1, most).is_ok());
    for length in [most + 1, usize::MAX] {
        let error = WireError::TooLong { length, max: most };
        assert_eq!(encode_head(FrameKind::Job, 1, length), Err(error));
    }
}

#[test]
fn a_large_body_is_split_off_without_a_copy_and_a_small_one_holds_on_to_nothing() {
    let decoder = FrameDecoder::from_worker(MAX_BODY);
    let is_shared = |size: usize| {
        let frame = Frame::new(FrameKind::Chunk, 1, vec![7; size]);
        let mut bytes = encoded(std::slice::from_ref(&frame));
        let place = bytes[HEAD..].as_ptr();
        let decoded = decoder.decode(&mut bytes).unwrap().unwrap();
        assert_eq!((&decoded, bytes.len()), (&frame, 0));
        decoded.body.as_ptr() == place
    };
    assert!(is_shared(64 * 1024));
    assert!(!is_shared(1024));
}

#[test]
fn a_promised_length_reserves_nothing() {
    let decoder = FrameDecoder::from_worker(1 << 30);
    let mut bytes = BytesMut::from(&head(1 << 30, 2, 1)[..]);
    let capacity = bytes.capacity();
    assert_eq!(decoder.decode(&mut bytes), Ok(None));
    assert_eq!(bytes.capacity(), capacity);
}

#[test]
fn each_error_is_one_line_and_says_no_byte_of_a_body() {
    let errors = [
        (
            WireError::TooShort { length: 8 },
            "a frame's length is 8: it is at least 9",
        ),
        (
            WireError::TooLong { length: 9, max: 8 },
            "a frame's body has 9 bytes, and at most 8 are taken",
        ),
        (
            WireError::UnknownKind(10),
            "a frame has the unknown type 10",
        ),
        (
            WireError::WrongWay(FrameKind::Job),
            "a frame `job` goes the other way",
        ),
        (
            FrameKind::Chunk.check(0, 0).unwrap_err(),
            "a frame `chunk` has the id 0: 0 is no job's",
        ),
        (
            FrameKind::Ready.check(3, 1).unwrap_err(),
            "a frame `ready` has the id 3: its id is 0",
        ),
        (
            FrameKind::Cancel.check(1, 2).unwrap_err(),
            "a frame `cancel` has a body of 2 bytes, and none is allowed",
        ),
        (
            WireError::UnknownVersion(3),
            "the worker speaks version 3 of the format, not 1 or 2",
        ),
        (WireError::NameNotUtf8, "the worker's name is not UTF-8"),
        (
            WireError::Cut { received: 3 },
            "the frames end in the middle of one, after 3 of its bytes",
        ),
    ];
    for (error, text) in errors {
        assert_eq!(error.to_string(), text);
    }
    let frame = Frame::new(FrameKind::Job, 1, "secret");
    let printed = format!("{frame:?}");
    assert_eq!(printed, "Frame { kind: Job, id: 1, body: 6 bytes }");
}

/// A frame that a worker may send.
fn any_frame() -> impl Strategy<Value = Frame> {
    let kind = prop::sample::select(vec![2_u8, 3, 4, 7, 8, 9]);
    let body = prop::collection::vec(any::<u8>(), 0..=MAX);
    (kind, 1_u64.., body)
        .prop_map(|(kind, id, body)| Frame::new(FrameKind::of(kind).unwrap(), id, body))
}

proptest! {
    #[test]
    fn any_frames_come_out_whatever_the_cuts(
        frames in prop::collection::vec(any_frame(), 0..8),
        cuts in prop::collection::vec(1_usize..300, 1..40),
    ) {
        let bytes = encoded(&frames);
        let (mut rest, mut pieces) = (&bytes[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(decoded(&worker(), pieces), (frames, Ok(())));
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        frames in prop::collection::vec(any_frame(), 0..3),
        cut in 1_usize..200,
    ) {
        let bytes = [&encoded(&frames)[..], &noise].concat();
        let (found, result) = decoded(&worker(), bytes.chunks(cut));
        prop_assert_eq!(&found[..frames.len()], &frames[..]);
        let used: usize = found.iter().map(|frame| HEAD + frame.body.len()).sum();
        prop_assert!(used == bytes.len() || result.is_err());
    }

    /// Lengths that may be, and the rest at random: what gets past the first four bytes.
    #[test]
    fn any_heads_are_frames_or_an_error(
        heads in prop::collection::vec((0_u32..40, 0_u8..12, 0_u64..3), 0..20),
    ) {
        let mut bytes = Vec::new();
        for (length, kind, id) in heads {
            bytes.extend(head(length, kind, id));
            bytes.resize(bytes.len() + (length as usize).saturating_sub(9), 1);
        }
        for decoder in [worker(), FrameDecoder::from_pool(MAX)] {
            let at_once = decoded(&decoder, [&bytes[..]]);
            let one_by_one = decoded(&decoder, bytes.chunks(1));
            prop_assert_eq!(at_once, one_by_one);
        }
    }
}

#[test]
fn a_body_is_bytes_of_any_kind() {
    let frame = Frame::new(FrameKind::Job, 1, Bytes::from_static(b"x"));
    assert_eq!(&encoded(&[frame])[..], b"\0\0\0\x0a\x01\0\0\0\0\0\0\0\x01x");
}
