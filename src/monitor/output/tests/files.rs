//! The file of a service: real files, full devices, and pipes that nobody reads.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::super::{FileNews, OutputSource, OutputSpec, ServiceOutput};

const SOON: Duration = Duration::from_secs(20);

fn with_file(path: &Path) -> (ServiceOutput, mpsc::Receiver<FileNews>) {
    let spec = OutputSpec {
        file: Some(path.to_owned()),
        ..OutputSpec::default()
    };
    let (tell, told) = mpsc::channel();
    let news = move |news| tell.send(news).unwrap_or_default();
    let output = ServiceOutput::new(
        &spec,
        OutputSource::new(&spec),
        Arc::from("web"),
        Some(Arc::new(news)),
    );
    (output, told)
}

#[test]
fn the_file_gets_whole_lines_of_both_outputs_behind_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "before\n").unwrap();
    let (mut output, told) = with_file(&path);
    output.data(1, b"one\nha");
    output.data(2, b"err\n");
    output.data(1, b"lf\nlast");
    output.ended();
    block_on(output.flushed());
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "before\none\nerr\nhalf\nlast\n"
    );
    assert!(told.try_recv().is_err());
}

#[test]
fn a_file_that_was_renamed_is_made_anew_by_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let (mut output, _told) = with_file(&path);
    output.data(1, b"one\n");
    block_on(output.flushed());
    fs::rename(&path, &old).unwrap();
    output.data(1, b"two\n");
    block_on(output.flushed());
    assert!(!path.exists());
    output.reopen();
    block_on(output.flushed());
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    output.data(1, b"three\n");
    output.close();
    block_on(output.flushed());
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");
}

#[test]
fn a_flood_is_in_the_file_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (mut output, _told) = with_file(&path);
    let mut wanted = String::new();
    for round in 0..200 {
        let lines: String = (0..1000).map(|line| format!("{round}.{line}\n")).collect();
        output.data(1, lines.as_bytes());
        wanted += &lines;
        // Before its queue is full.
        if round % 50 == 0 {
            block_on(output.flushed());
        }
    }
    block_on(output.flushed());
    let lost = output.counters().file_lost as usize;
    let there = fs::read_to_string(&path).unwrap();
    assert_eq!(there.len() + lost, wanted.len());
    if lost == 0 {
        assert!(there == wanted, "the file has something else");
    }
}

#[test]
fn a_full_device_is_told_once_and_its_recovery_with_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (mut output, told) = with_file(&path);
    for _ in 0..3 {
        output.data(1, b"line\n");
        block_on(output.flushed());
    }
    match told.recv_timeout(SOON) {
        Ok(FileNews::Failing(error)) => assert_eq!(error.raw_os_error(), Some(28), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(told.try_recv().is_err(), "told again");
    // More than the queue holds.
    let flood = b"0123456789abcde\n".repeat(128 * 1024);
    output.data(1, &flood);
    block_on(output.flushed());
    let lost = output.counters().file_lost;
    assert!(lost >= flood.len() as u64 - 1024 * 1024, "{lost}");
    assert_eq!(output.counters().lines, 3 + 128 * 1024);
    fs::remove_file(&path).unwrap();
    output.reopen();
    block_on(output.flushed());
    match told.recv_timeout(SOON) {
        Ok(FileNews::Recovered { lost: told }) => assert_eq!(told, lost),
        other => panic!("{other:?}"),
    }
    let there = fs::read(&path).unwrap();
    assert_eq!(there.len() as u64 + lost, flood.len() as u64 + 15);
    let mut lines = there.split_inclusive(|byte| *byte == b'\n');
    assert!(lines.all(|line| line == b"0123456789abcde\n" || line == b"line\n"));
}

#[test]
fn what_cannot_be_written_at_the_close_is_counted() {
    let (mut output, told) = with_file(Path::new("/dev/full"));
    output.data(1, b"line\n");
    output.close();
    block_on(output.flushed());
    assert!(matches!(told.recv_timeout(SOON), Ok(FileNews::Failing(_))));
    let begin = Instant::now();
    while output.counters().file_lost != 5 {
        assert!(begin.elapsed() < SOON, "{output:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_tried_again_with_the_next_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later/log");
    let (mut output, told) = with_file(&path);
    output.data(1, b"one\n");
    assert!(matches!(told.recv_timeout(SOON), Ok(FileNews::Failing(_))));
    fs::create_dir(folder.path().join("later")).unwrap();
    output.data(1, b"two\n");
    assert!(matches!(
        told.recv_timeout(SOON),
        Ok(FileNews::Recovered { lost: 0 })
    ));
    block_on(output.flushed());
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let (mut output, told) = with_file(&path);
    output.data(1, b"nobody has it open\n");
    // ENXIO in place of a thread that waits for ever.
    match told.recv_timeout(SOON) {
        Ok(FileNews::Failing(error)) => assert_eq!(error.raw_os_error(), Some(6), "{error}"),
        other => panic!("{other:?}"),
    }
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let reader = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(&path)
        .unwrap();
    // Thirty times what the queue holds, and nobody reads.
    let chunk = b"0123456789abcde\n".repeat(4096);
    for _ in 0..512 {
        output.data(1, &chunk);
    }
    assert_eq!(output.counters().lines, 1 + 512 * 4096);
    assert!(output.counters().file_lost > 30 * 1024 * 1024);
    // The writer's thread ends with the reader.
    output.close();
    drop(reader);
    block_on(output.flushed());
}

fn has_room(pipe: &fs::File) -> bool {
    let mut ends = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ends, PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn a_reopen_during_a_write_that_fails_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let mut options = fs::OpenOptions::new();
    options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut reader = options.read(true).open(&path).unwrap();
    let mut filler = options.read(false).write(true).open(&path).unwrap();
    // It has room for one page.
    let mut page = [b'x'; 4096];
    while filler.write(&page).is_ok() {}
    reader.read_exact(&mut page).unwrap();
    assert!(has_room(&filler));
    let (mut output, told) = with_file(&path);
    // More than a page: when that is full, the writer waits in its write.
    let line = "y".repeat(7999) + "\n";
    output.data(1, line.as_bytes());
    let begin = Instant::now();
    while has_room(&filler) {
        assert!(begin.elapsed() < SOON, "nothing is written");
        std::thread::yield_now();
    }
    fs::rename(&path, &old).unwrap();
    output.reopen();
    drop(reader);
    match told.recv_timeout(SOON) {
        Ok(FileNews::Failing(error)) => assert_eq!(error.raw_os_error(), Some(32), "{error}"),
        other => panic!("{other:?}"),
    }
    block_on(output.flushed());
    let there = fs::read(&path).map(|there| there.len());
    assert_eq!(there.ok(), Some(8000 - 4096), "it was not opened anew");
    assert!(matches!(
        told.recv_timeout(SOON),
        Ok(FileNews::Recovered { lost: 0 })
    ));
}

#[test]
fn the_thread_and_the_file_are_gone_soon_after_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (mut output, _told) = with_file(&path);
    output.data(1, b"line\n");
    block_on(output.flushed());
    let is_open = || {
        let fds = fs::read_dir("/proc/self/fd").unwrap();
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == path))
    };
    assert!(is_open());
    output.close();
    let begin = Instant::now();
    while is_open() {
        assert!(begin.elapsed() < SOON, "the file is open");
        std::thread::yield_now();
    }
}
