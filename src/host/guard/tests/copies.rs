//! Copies of the host, by fork, and a host without standard descriptors.

use std::os::fd::AsFd;
use std::{fs, io};

use nix::errno::Errno;
use nix::unistd::{close, dup2_stderr, dup2_stdin, dup2_stdout, write};

use super::super::new_mark;
use super::{Family, all_gone, guard, guard_gone, in_a_system, runs_alone};
use crate::sys::copy::tests::is_done_in_a_copy;

#[test]
fn a_copy_takes_nothing_from_the_list_of_its_host() {
    let test = "a_copy_takes_nothing_from_the_list_of_its_host";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        assert!(is_done_in_a_copy(|| guard.remove(1)));
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}

#[test]
fn a_copy_does_not_end_the_guard_of_its_host() {
    let test = "a_copy_does_not_end_the_guard_of_its_host";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        let mut guard = Some(guard);
        assert!(is_done_in_a_copy(|| drop(
            guard.take().map(|guard| guard.end())
        )));
        // The guard hears of this after whatever the copy has told it.
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}

#[test]
fn two_copies_have_marks_of_their_own() {
    let test = "two_copies_have_marks_of_their_own";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    // The generator of this thread is used, so that both copies have it as it is.
    let folder = tempfile::tempdir().unwrap();
    let marks = ["one", "two"].map(|copy| {
        let file = folder.path().join(copy);
        assert!(is_done_in_a_copy(|| fs::write(&file, new_mark()).unwrap()));
        fs::read_to_string(file).unwrap()
    });
    assert!(marks[0].len() > 40 && marks[0] != marks[1], "{marks:?}");
}

/// A daemon that has closed its standard descriptors, and logs all the same.
#[test]
fn nothing_that_a_host_writes_to_a_closed_standard_descriptor_gets_into_the_list() {
    let test = "nothing_that_a_host_writes_to_a_closed_standard_descriptor_gets_into_the_list";
    if runs_alone(module_path!(), test, &[]) {
        return;
    }
    in_a_system(async {
        // What is made once for all is there.
        drop(Family::spawn().await);
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let standard = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let [in_before, out_before, err_before] =
            standard.map(|fd| fd.try_clone_to_owned().unwrap());
        for number in 0..3 {
            close(number).unwrap();
        }
        let (guard, _told, pid) = guard().await;
        let family = Family::spawn().await;
        guard.add(1, &family.process);
        let text =
            "[WARN] a request was late, 3 of 5 tries are over; that was all of them for now\n";
        let written = standard.map(|fd| write(fd, text.as_bytes()));
        dup2_stdin(in_before).unwrap();
        dup2_stdout(out_before).unwrap();
        dup2_stderr(err_before).unwrap();
        assert_eq!(written, [Err(Errno::EBADF); 3]);
        drop(guard);
        guard_gone(pid).await;
        all_gone(family.group).await;
    });
}
