//! Workers that speak lines of JSON.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::said::Said;
use crate::Bytes;
use crate::pool::core::JobNumber;
use crate::pool::framing::Noise;

/// What an answer has besides its JSON: `{"id":18446744073709551615,"chunk":}`.
const FRAME: usize = 64;

/// Cuts what a worker writes into lines, and reads them.
pub(super) struct JsonLines {
    buffer: BytesMut,
    /// So many bytes of the buffer have no newline.
    looked: usize,
    max: usize,
    noise: Noise,
}

impl JsonLines {
    pub(super) fn new(max: usize, noise: Noise) -> Self {
        Self {
            buffer: BytesMut::new(),
            looked: 0,
            max,
            noise,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// What the next whole line says.
    pub(super) fn next_said(&mut self) -> Result<Option<Said>, Arc<str>> {
        let rest = self.buffer.get(self.looked..).unwrap_or_default();
        let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
            self.looked = self.buffer.len();
            if self.looked > self.max.saturating_add(FRAME) {
                return Err(format!("a line of more than {} bytes", self.max).into());
            }
            return Ok(None);
        };
        let line = self.buffer.split_to(self.looked + at + 1).freeze();
        self.looked = 0;
        self.read(line).map(Some)
    }

    fn read(&self, line: Bytes) -> Result<Said, Arc<str>> {
        let text = line.trim_ascii();
        // An array would do as well for serde.
        let object = Some(text).filter(|text| text.starts_with(b"{"));
        let answer: Option<AnswerLine<'_>> =
            object.and_then(|text| serde_json::from_slice(text).ok());
        let part = |json: &RawValue| line.slice_ref(json.get().as_bytes());
        match answer {
            Some(AnswerLine {
                id: Some(id),
                ok: Some(answer),
                chunk: None,
                error: None,
            }) => Ok(Said::End(id, part(answer))),
            Some(AnswerLine {
                id: Some(id),
                ok: None,
                chunk: Some(chunk),
                error: None,
            }) => Ok(Said::Chunk(id, part(chunk))),
            Some(AnswerLine {
                id: Some(id),
                ok: None,
                chunk: None,
                error: Some(error),
            }) => Ok(Said::Error(id, part(error))),
            // Some programs log in JSON.
            _ if self.noise == Noise::Log && !begins_as_answer(text) => Ok(Said::Noise(line)),
            _ => Err("a line that is no answer".into()),
        }
    }
}

/// Whether the id is the first thing in it.
fn begins_as_answer(text: &[u8]) -> bool {
    let within = text.strip_prefix(b"{").unwrap_or_default();
    within.trim_ascii_start().starts_with(b"\"id\"")
}

/// An answer, as it is written.
#[derive(Deserialize)]
struct AnswerLine<'a> {
    id: Option<JobNumber>,
    #[serde(borrow, default, deserialize_with = "there")]
    ok: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    chunk: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    error: Option<&'a RawValue>,
}

/// A `null` is a value here.
fn there<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

/// The line of a job, which is JSON: it has no newline outside of its strings that means anything, and none in them.
pub(super) fn job_line(id: JobNumber, body: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(body.len() + FRAME);
    line.put_slice(format!("{{\"id\":{id},\"job\":").as_bytes());
    line.extend(body.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
    line.put_slice(b"}\n");
    line.freeze()
}

/// Whether this is one JSON value.
pub(in crate::pool) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(body).is_ok()
}
