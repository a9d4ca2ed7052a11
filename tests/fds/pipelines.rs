//! Children joined to each other, and to files and sockets, without passing through the parent.

use crate::common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_process::{Command, Fd, FdMap, NoProtocol, ProcessHandle, Signal, SpawnError, SpawnStep};
use common::helper::{helper, pattern};
use common::isolated::isolated;
use common::streams::bytes;
use common::trace::{Trace, spawned};
use common::{DEADLINE, run, start_all_threads};

async fn spawn(command: Command) -> ProcessHandle {
    command.spawn(NoProtocol).await.unwrap()
}

async fn ended(process: ProcessHandle) -> actix_process::ExitStatus {
    let end = actix_rt::time::timeout(DEADLINE, process.ended());
    let end = end.await;
    end.unwrap_or_else(|_| panic!("{process:?} does not end"))
}

#[test]
fn yes_dies_of_sigpipe_when_head_has_had_enough() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let (trace, protocol) = Trace::start();
        let yes = Command::new("yes").stdout(writer).stdin(Fd::null());
        let yes = yes.spawn(&protocol).await.unwrap();
        let head = Command::new("head").args(["-n", "1000"]).stdin(reader);
        let head = head.spawn(&protocol).await.unwrap();
        let (yes, head) = (trace.ended(&yes).await, trace.ended(&head).await);
        assert_eq!(yes.status().signal(), Some(Signal::PIPE));
        yes.assert_rules(&[2]);
        assert!(head.status().success());
        head.assert_rules(&[1, 2]);
        assert_eq!(head.text(1), "y\n".repeat(1000));
    });
}

#[test]
fn the_reader_may_be_spawned_first_and_sees_the_end() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let wc = Command::new("wc")
            .arg("-l")
            .stdin(reader)
            .stdout(Fd::stream());
        let wc = spawn(wc).await;
        let head = Command::new("head")
            .args(["-c", "8", "/dev/zero"])
            .stdout(writer);
        assert!(ended(spawn(head).await).await.success());
        assert_eq!(bytes(wc.take_stream(1).unwrap()).await, b"0\n");
        assert!(ended(wc).await.success());
    });
}

#[test]
fn three_children_pass_everything_on() {
    run(async {
        const SIZE: usize = 3_000_000;
        let (second_in, first_out) = Fd::pipe().unwrap();
        let (third_in, second_out) = Fd::pipe().unwrap();
        let first = helper(["spam", &SIZE.to_string()]).stdout(first_out);
        let second = Command::new("cat").stdin(second_in).stdout(second_out);
        let third = helper(["cat"]).stdin(third_in).stdout(Fd::stream());
        let (first, second, third) = futures::join!(spawn(first), spawn(second), spawn(third));
        let came = bytes(third.take_stream(1).unwrap()).await;
        assert!(came == pattern(SIZE), "{} bytes", came.len());
        for process in [first, second, third] {
            assert!(ended(process).await.success());
        }
    });
}

#[test]
fn both_ends_may_go_to_one_child_and_to_any_number() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let actions = ["tell", "200", "to myself", "close", "200", "copy", "7", "1"];
        let child = helper(actions).fd(7, reader).fd(200, writer);
        assert_eq!(child.output().await.unwrap().stdout, b"to myself\n");
    });
}

#[test]
fn a_child_writes_into_a_file_where_the_parent_stood_in_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"parent\n").unwrap();
        let child = helper(["say", "child", "spam", "100000"]).stdout(file);
        assert!(ended(spawn(child).await).await.success());
        let wanted = [b"parent\nchild\n".to_vec(), pattern(100_000)].concat();
        assert!(fs::read(&path).unwrap() == wanted);

        let file = File::open(&path).unwrap();
        let child = Command::new("cat").stdin(file);
        assert!(child.output().await.unwrap().stdout == wanted);
    });
}

#[test]
fn a_child_talks_over_a_unix_socket() {
    run(async {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let input = Fd::from(theirs.try_clone().unwrap());
        let child = spawn(Command::new("cat").stdin(input).stdout(theirs)).await;
        ours.set_read_timeout(Some(DEADLINE)).unwrap();
        ours.write_all(b"to and fro").unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        // Ends only if the parent holds none of the other side.
        ours.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "to and fro");
        assert!(ended(child).await.success());
    });
}

#[test]
fn a_child_serves_a_tcp_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        let child = helper(["take", "0", "4", "spam", "100000"]);
        let input = Fd::from(connection.try_clone().unwrap());
        let child = spawn(child.stdin(input).stdout(connection)).await;
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.write_all(b"go!\n").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer == pattern(100_000), "{} bytes", answer.len());
        assert!(ended(child).await.success());
    });
}

#[test]
fn the_ends_of_stds_pipes_become_a_childs_too() {
    run(async {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (mut answers, answer) = std::io::pipe().unwrap();
        let child = Command::new("cat").stdin(reader).stdout(answer);
        let child = spawn(child).await;
        writer.write_all(b"hello").unwrap();
        drop(writer);
        let mut text = String::new();
        answers.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert!(ended(child).await.success());
    });
}

#[test]
fn what_is_shared_serves_many_spawns_and_has_no_end_before_all_let_go() {
    run(async {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let shared = Arc::new(writer.into());
        let command = helper(["say", "hello"]).stdout(Fd::share(Arc::clone(&shared)));
        for child in [command.clone(), command.clone(), command.clone()] {
            assert!(ended(spawn(child).await).await.success());
        }
        drop(shared);
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            let _ = tell.send(());
            text
        });
        let told = actix_rt::time::timeout(Duration::from_millis(50), told).await;
        assert!(told.is_err(), "it ended, though the command holds it");
        assert!(ended(spawn(command.clone()).await).await.success());
        drop(command);
        assert_eq!(thread.join().unwrap(), "hello\n".repeat(4));
    });
}

fn assert_invalid(error: &SpawnError, subject: &str) {
    assert_eq!(error.step(), SpawnStep::Invalid, "{error}");
    assert_eq!(error.subject(), subject, "{error}");
}

#[test]
fn an_end_is_spawned_once() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let writing = helper(["say", "once"]).stdout(writer.clone());
        let reading = helper(["copy", "7", "1"])
            .fd(7, reader.clone())
            .stdout(Fd::stream());
        let child = spawn(reading.clone()).await;
        assert!(ended(spawn(writing.clone()).await).await.success());
        assert_eq!(bytes(child.take_stream(1).unwrap()).await, b"once\n");
        let again = writing.spawn(NoProtocol).await.unwrap_err();
        assert_invalid(&again, "fd 1");
        let again = reading.spawn(NoProtocol).await.unwrap_err();
        assert_invalid(&again, "fd 7");
        let elsewhere = helper(["drain", "0"]).stdin(reader).stdout(writer);
        assert_invalid(&elsewhere.spawn(NoProtocol).await.unwrap_err(), "fd 0");
    });
}

#[test]
fn one_end_may_have_several_numbers_in_one_child() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let map = FdMap::from([(5, writer.clone()), (1, Fd::null()), (6, writer)]);
        let child = helper(["tell", "6", "six", "tell", "5", "five"]).fds(map);
        assert!(ended(spawn(child.clone()).await).await.success());
        // Neither is left.
        let cat = Command::new("cat").stdin(reader).output().await;
        assert_eq!(cat.unwrap().stdout, b"six\nfive\n");
        // One spawn is not two.
        assert_invalid(&child.spawn(NoProtocol).await.unwrap_err(), "fd 5");
    });
}

#[test]
fn a_failed_spawn_closes_its_end_for_the_other_to_see() {
    run(async {
        let missing = || Command::new("/no/such/program");
        let invalid = || helper(["pause"]).stderr(Fd::write().window(1));
        let nowhere = || helper(["pause"]).current_dir("/no/such/directory");
        for fails in [missing(), invalid(), nowhere()] {
            let (reader, writer) = Fd::pipe().unwrap();
            let cat = spawn(Command::new("cat").stdin(reader)).await;
            fails
                .clone()
                .stdout(writer)
                .spawn(NoProtocol)
                .await
                .unwrap_err();
            assert!(ended(cat).await.success());

            let (reader, writer) = Fd::pipe().unwrap();
            let yes = spawn(Command::new("yes").stdout(writer)).await;
            fails.stdin(reader).spawn(NoProtocol).await.unwrap_err();
            assert_eq!(ended(yes).await.signal(), Some(Signal::PIPE));
        }
    });
}

#[test]
fn a_spawn_that_was_dropped_closes_its_end_sooner_or_later() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let cat = spawn(Command::new("cat").stdin(reader)).await;
        let mut spawning = helper(["drip"]).stdout(writer).spawn(NoProtocol);
        assert!(futures::poll!(&mut spawning).is_pending());
        // Cancelled and killed; or committed: then it lives as long as the other end.
        drop(spawning);
        cat.lose_connection();
        let status = ended(cat).await;
        assert!(
            status.success() || status.signal() == Some(Signal::PIPE),
            "{status}"
        );

        let (reader, writer) = Fd::pipe().unwrap();
        let cat = spawn(Command::new("cat").stdin(reader)).await;
        drop(helper(["drip"]).stdout(writer).spawn(NoProtocol));
        assert!(ended(cat).await.success());
    });
}

#[test]
fn pipelines_leave_the_parent_as_it_was() {
    isolated(|| {
        run(async {
            let before = start_all_threads().await;
            for _ in 0..10 {
                let (reader, writer) = Fd::pipe().unwrap();
                let yes = spawn(Command::new("yes").stdout(writer)).await;
                let head = Command::new("head").arg("-n1").stdin(reader);
                assert_eq!(head.output().await.unwrap().stdout, b"y\n");
                ended(yes).await;

                let (reader, writer) = Fd::pipe().unwrap();
                let failed = Command::new("/no/such/program").stdin(reader);
                failed.spawn(NoProtocol).await.unwrap_err();
                drop((failed, writer));

                // Never begun.
                drop(
                    helper(["cat"])
                        .stdin(Fd::pipe().unwrap().0)
                        .spawn(NoProtocol),
                );
            }
            before.assert_restored_but_spawners().await;
        });
    });
}

#[test]
fn joined_children_may_have_protocols_on_different_arbiters() {
    run(async {
        let (reader, writer) = Fd::pipe().unwrap();
        let arbiter = Arbiter::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn(async move {
            let (trace, process) = spawned(helper(["cat"]).stdout(writer)).await;
            process.write(pattern(1_000_000)).unwrap();
            process.close_stdin();
            trace.ended(&process).await.assert_rules(&[0, 2]);
            let _ = tell.send(());
        });
        let cat = Command::new("cat").stdin(reader).output().await.unwrap();
        assert!(cat.stdout == pattern(1_000_000));
        told.await.unwrap();
        arbiter.stop();
        arbiter.join().unwrap();
    });
}
