//! A worker over pipes, with this test as its pool.

mod cancels;

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::pool::wire::FrameDecoder;

/// Reached only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

/// The pool's side of one worker, which runs on a thread.
struct Host {
    jobs: Option<PipeWriter>,
    answers: mpsc::Receiver<Frame>,
    /// What `serve` returned.
    served: mpsc::Receiver<io::Result<()>>,
}

fn frames_of(mut answers: PipeReader) -> mpsc::Receiver<Frame> {
    let (sender, frames) = mpsc::channel();
    thread::spawn(move || {
        let (mut bytes, mut space) = (BytesMut::new(), [0; 4096]);
        let decoder = FrameDecoder::from_worker(MAX_BODY);
        loop {
            while let Some(frame) = decoder.decode(&mut bytes).unwrap() {
                let _ = sender.send(frame);
            }
            match answers.read(&mut space).unwrap() {
                0 => return decoder.check_end(&bytes).unwrap(),
                count => bytes.extend_from_slice(&space[..count]),
            }
        }
    });
    frames
}

/// Serves on a thread.
fn serving<F, R, E>(worker: Worker, answer: F) -> mpsc::Receiver<io::Result<()>>
where
    F: FnMut(&WorkerJob) -> Result<R, E> + Send + 'static,
    R: Into<Bytes>,
    E: Display,
{
    let (sender, served) = mpsc::channel();
    thread::spawn(move || sender.send(worker.serve(answer)));
    served
}

fn end_of(served: &mpsc::Receiver<io::Result<()>>) -> io::Result<()> {
    served.recv_timeout(DEADLINE).expect("the worker goes on")
}

impl Host {
    fn of<F, R, E>(change: fn(Worker) -> Worker, answer: F) -> Self
    where
        F: FnMut(&WorkerJob) -> Result<R, E> + Send + 'static,
        R: Into<Bytes>,
        E: Display,
    {
        let ((reader, jobs), (answers, writer)) = (pipe().unwrap(), pipe().unwrap());
        let worker = change(Worker::over(reader.into(), writer.into()));
        let served = serving(worker, answer);
        let host = Self {
            jobs: Some(jobs),
            answers: frames_of(answers),
            served,
        };
        assert_eq!(host.next().kind, FrameKind::Ready);
        host
    }

    fn send(&self, kind: FrameKind, id: u64, body: &str) {
        let mut bytes = BytesMut::new();
        let frame = Frame::new(kind, id, body.to_owned());
        frame.encode(&mut bytes).unwrap();
        self.jobs.as_ref().unwrap().write_all(&bytes).unwrap();
    }

    fn next(&self) -> Frame {
        self.answers.recv_timeout(DEADLINE).expect("no frame came")
    }

    fn expect(&self, kind: FrameKind, id: u64, body: &str) {
        assert_eq!(self.next(), Frame::new(kind, id, body.to_owned()));
    }

    /// Closes the jobs, and gives what `serve` returned.
    fn end(mut self) -> io::Result<()> {
        self.jobs = None;
        let result = end_of(&self.served);
        assert_eq!(self.answers.recv_timeout(DEADLINE).ok(), None);
        result
    }
}

fn text(job: &WorkerJob) -> String {
    String::from_utf8(job.body().to_vec()).unwrap()
}

#[test]
fn jobs_are_answered_in_turn_until_the_descriptor_closes() {
    let host = Host::of(
        |worker| worker,
        |job| match text(job).as_str() {
            "bad" => Err("not so"),
            text => Ok(text.to_uppercase()),
        },
    );
    for id in 1..200 {
        host.send(FrameKind::Job, id, "one");
        host.expect(FrameKind::End, id, "ONE");
    }
    host.send(FrameKind::Job, 200, "bad");
    host.expect(FrameKind::Error, 200, "not so");
    host.send(FrameKind::Job, 201, "");
    host.expect(FrameKind::End, 201, "");
    host.end().unwrap();
}

#[test]
fn chunks_and_progress_come_before_the_end() {
    let host = Host::of(
        |worker| worker,
        |job| {
            job.chunk("a")?;
            job.progress("half")?;
            job.chunk("b")?;
            Ok::<_, Cancelled>("c")
        },
    );
    host.send(FrameKind::Job, 7, "");
    host.expect(FrameKind::Chunk, 7, "a");
    host.expect(FrameKind::Progress, 7, "half");
    host.expect(FrameKind::Chunk, 7, "b");
    host.expect(FrameKind::End, 7, "c");
    host.end().unwrap();
}

#[test]
fn a_panic_is_the_jobs_error_and_the_worker_goes_on() {
    let host = Host::of(
        |worker| worker,
        |job| match text(job).as_str() {
            "panic" => panic!("on purpose, {}", job.body().len()),
            text => Ok::<_, Infallible>(text.to_owned()),
        },
    );
    host.send(FrameKind::Job, 1, "panic");
    host.expect(FrameKind::Error, 1, "panicked: on purpose, 5");
    host.send(FrameKind::Job, 2, "fine");
    host.expect(FrameKind::End, 2, "fine");
    host.end().unwrap();
}

#[test]
fn what_is_no_frame_ends_the_worker_with_an_error() {
    for (bytes, kind) in [
        (
            &b"\0\0\0\x09\x02\0\0\0\0\0\0\0\x01"[..],
            io::ErrorKind::InvalidData,
        ),
        (b"GET / HTTP/1.1\r\n\r\n", io::ErrorKind::InvalidData),
        (b"\0\0\0\x20", io::ErrorKind::InvalidData),
    ] {
        let mut host = Host::of(|worker| worker, |_| Ok::<_, Infallible>(""));
        host.jobs.as_ref().unwrap().write_all(bytes).unwrap();
        host.jobs = None;
        let error = end_of(&host.served).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn a_pool_that_reads_no_more_ends_the_worker_with_an_error() {
    let ((reader, _jobs), (answers, writer)) = (pipe().unwrap(), pipe().unwrap());
    drop(answers);
    let worker = Worker::over(reader.into(), writer.into());
    assert_eq!(
        worker.progress("x").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    let error = end_of(&serving(worker, |_| Ok::<_, Infallible>(""))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn an_answer_above_the_maximum_goes_in_parts_and_an_error_is_cut() {
    let host = Host::of(
        |worker| worker.max_body(4),
        |job| match text(job).as_str() {
            "part" => job
                .chunk("123456789")
                .map(|()| "")
                .map_err(|e| e.to_string()),
            "bad" => Err("äöü".to_owned()),
            _ => Ok("123456789"),
        },
    );
    host.send(FrameKind::Job, 1, "all");
    host.expect(FrameKind::Chunk, 1, "1234");
    host.expect(FrameKind::Chunk, 1, "5678");
    host.expect(FrameKind::End, 1, "9");
    host.send(FrameKind::Job, 2, "part");
    host.expect(FrameKind::Chunk, 2, "1234");
    host.expect(FrameKind::Chunk, 2, "5678");
    host.expect(FrameKind::Chunk, 2, "9");
    host.expect(FrameKind::End, 2, "");
    host.send(FrameKind::Job, 3, "bad");
    host.expect(FrameKind::Error, 3, "äö");
    host.send(FrameKind::Job, 4, "five!");
    let error = host.end().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_worker_that_loads_says_so_before_it_is_ready() {
    let ((reader, jobs), (answers, writer)) = (pipe().unwrap(), pipe().unwrap());
    drop(jobs);
    let worker = Worker::over(reader.into(), writer.into()).name("model");
    worker.progress("weights").unwrap();
    worker.progress("ä".repeat(200)).unwrap();
    end_of(&serving(worker, |_| Ok::<_, Infallible>(""))).unwrap();
    let frames: Vec<Frame> = frames_of(answers).iter().collect();
    let expected = [
        Frame::new(FrameKind::Progress, 0, "weights"),
        Frame::new(FrameKind::Progress, 0, "ä".repeat(128)),
        Frame::ready("model").unwrap(),
    ];
    assert_eq!(frames, expected);
}

#[test]
fn a_name_that_is_too_long_is_refused_before_a_byte_is_sent() {
    let ((reader, _jobs), (mut answers, writer)) = (pipe().unwrap(), pipe().unwrap());
    let worker = Worker::over(reader.into(), writer.into()).name("n".repeat(129));
    let error = end_of(&serving(worker, |_| Ok::<_, Infallible>(""))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let mut sent = Vec::new();
    answers.read_to_end(&mut sent).unwrap();
    assert_eq!(sent, b"");
}

#[test]
fn several_threads_of_a_job_send_whole_chunks() {
    let host = Host::of(
        |worker| worker,
        |job| {
            thread::scope(|threads| {
                for letter in ["a", "b"] {
                    threads.spawn(move || {
                        for _ in 0..50 {
                            job.chunk(letter.repeat(9000)).unwrap();
                        }
                    });
                }
            });
            Ok::<_, Cancelled>("")
        },
    );
    host.send(FrameKind::Job, 1, "");
    for _ in 0..100 {
        let frame = host.next();
        let first = frame.body[0];
        assert_eq!((frame.kind, frame.body.len()), (FrameKind::Chunk, 9000));
        assert!(frame.body.iter().all(|byte| *byte == first));
    }
    host.expect(FrameKind::End, 1, "");
    host.end().unwrap();
}

#[test]
fn the_function_may_keep_a_state() {
    let count = Cell::new(0);
    let host = Host::of(
        |worker| worker,
        move |_| {
            count.set(count.get() + 1);
            Ok::<_, Infallible>(count.get().to_string())
        },
    );
    for id in 1..4 {
        host.send(FrameKind::Job, id, "");
        host.expect(FrameKind::End, id, &id.to_string());
    }
    host.end().unwrap();
}
