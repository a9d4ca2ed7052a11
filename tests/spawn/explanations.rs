//! What an error of an exec explains: only what was looked at, and without ever being held up.

use crate::common;

use std::ffi::CString;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_process::{Command, NoProtocol, SpawnError, SpawnStep};
use common::isolated::{isolated, skipped};
use common::{amount, run, write_executable};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, geteuid, mkfifo};
use tempfile::TempDir;

/// The error of a spawn that must fail at its exec.
async fn failure(command: &Command) -> SpawnError {
    let spawned = actix_rt::time::timeout(Duration::from_secs(20), command.spawn(NoProtocol)).await;
    let error = spawned
        .expect("the spawn hangs")
        .expect_err("it was spawned");
    assert_eq!(error.step(), SpawnStep::Exec, "{error}");
    error
}

/// A directory with executable files.
fn files<const N: usize>(contents: [(&str, &str); N]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in contents {
        write_executable(&dir.path().join(name), content);
    }
    dir
}

/// What is explained of `./a` in a directory with these files.
fn explanation<const N: usize>(contents: [(&str, &str); N]) -> String {
    let dir = files(contents);
    run(async {
        let error = failure(&Command::new("./a").current_dir(dir.path())).await;
        assert!(error.to_string().contains(error.detail()), "{error}");
        let detail = error.detail().to_owned();
        detail.replace(&format!("{}/./", dir.path().display()), "")
    })
}

/// Swaps two names, again and again, until dropped.
struct Swapping {
    done: &'static AtomicBool,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapping {
    fn of(one: PathBuf, other: PathBuf) -> Self {
        static DONE: AtomicBool = AtomicBool::new(false);
        let c_path = |path: PathBuf| CString::new(path.as_os_str().as_bytes()).unwrap();
        let (one, other) = (c_path(one), c_path(other));
        let thread = std::thread::spawn(move || {
            while !DONE.load(Ordering::SeqCst) {
                // SAFETY: two NUL-terminated strings that live on.
                let swapped = unsafe {
                    libc::renameat2(
                        libc::AT_FDCWD,
                        one.as_ptr(),
                        libc::AT_FDCWD,
                        other.as_ptr(),
                        libc::RENAME_EXCHANGE,
                    )
                };
                assert_eq!(swapped, 0, "{}", std::io::Error::last_os_error());
            }
        });
        Self {
            done: &DONE,
            thread: Some(thread),
        }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn a_fifo_that_takes_a_programs_place_holds_up_no_spawn() {
    isolated(|| {
        let dir = files([("program", "#!/no/such/interpreter\n")]);
        let (program, fifo) = (dir.path().join("program"), dir.path().join("fifo"));
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let _swapping = Swapping::of(program.clone(), fifo);
        run(async {
            let command = Command::new(&program);
            let (mut missing, mut refused) = (0, 0);
            while missing + refused < amount(3000, 1000) {
                match failure(&command).await.errno() {
                    Some(libc::ENOENT) => missing += 1,
                    Some(libc::EACCES) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert!(missing > 0 && refused > 0, "{missing}, {refused}");
        });
    });
}

#[test]
fn a_fifo_and_a_device_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    run(async {
        for special in [fifo.as_path(), Path::new("/dev/null")] {
            let error = failure(&Command::new(special)).await;
            assert_eq!(error.errno(), Some(libc::EACCES), "{error}");
            assert!(error.detail().ends_with("is no regular file"), "{error}");
        }
    });
}

#[test]
fn an_interpreter_is_named_as_the_kernel_reads_it() {
    for (first_line, name) in [
        ("#!/no/such\r\n", "/no/such\\r"),
        ("#!/bin/sh\r\n", "/bin/sh\\r"),
        ("#!\u{b}/bin/sh\n", "\\u{b}/bin/sh"),
        ("#! \t /no/such \t -x y\n", "/no/such"),
        ("#!/no/such\tx", "/no/such"),
    ] {
        assert_eq!(
            explanation([("a", first_line)]),
            format!("the interpreter of a, {name}, is missing")
        );
    }
}

#[test]
fn only_what_is_missing_is_called_so() {
    for (b, explained) in [
        (
            "#!/no/such\n",
            "the interpreter of ./b, /no/such, is missing",
        ),
        (
            "#!./nowhere\n",
            "the interpreter of ./b, ./nowhere, is missing",
        ),
    ] {
        assert_eq!(explanation([("a", "#!./b\n"), ("b", b)]), explained);
    }
    let formatless = explanation([("a", "#!./b\n"), ("b", "nothing known")]);
    assert_eq!(formatless, "the interpreter of a, ./b, has no known format");
}

#[test]
fn an_interpreter_that_may_not_be_executed_is_told_from_the_program() {
    for (interpreter, why) in [
        ("/dev/null", "is no regular file"),
        ("/etc", "is a directory"),
        ("/etc/passwd", "is not executable"),
    ] {
        assert_eq!(
            explanation([("a", &format!("#!{interpreter} -x\n"))]),
            format!("the interpreter of a, {interpreter}, {why}")
        );
    }
}

#[test]
fn a_name_with_control_characters_cannot_forge_a_line() {
    let dir = files([("a", "#!/no/\u{1b}[2J/such\n")]);
    run(async {
        for program in ["a\nERROR forged", "./a", "./\u{202e}b\u{7}"] {
            let error = failure(&Command::new(program).current_dir(dir.path())).await;
            for text in [error.to_string(), error.detail().to_owned()] {
                let plain = |c: char| !c.is_control() && c != '\u{202e}';
                assert!(text.chars().all(plain), "{text:?}");
            }
        }
        let plain = failure(&Command::new("./a 'b' \"ü\" \\c")).await;
        assert!(plain.to_string().contains("./a 'b' \"ü\" \\c"), "{plain}");
    });
}

#[test]
fn nothing_is_said_about_a_file_that_another_user_failed_to_execute() {
    if !geteuid().is_root() {
        return skipped("only root may change ids");
    }
    let dir = files([("a", "#!/no/such/interpreter\n")]);
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    run(async {
        let command = Command::new("./a").current_dir(dir.path());
        for command in [
            command.clone().uid(65534).gid(65534).groups([]),
            command.clone().gid(65534),
            command.clone().groups([1]),
            command.user("nobody"),
        ] {
            let error = failure(&command).await;
            assert_eq!(error.errno(), Some(libc::ENOENT), "{error}");
            assert_eq!(error.detail(), "", "{error}");
        }
        let nowhere = Command::new("missing").env("PATH", "/no/such").gid(65534);
        let error = failure(&nowhere).await;
        assert_eq!(error.detail(), "looked for in PATH (/no/such)", "{error}");
    });
}

#[test]
fn a_file_that_cannot_be_read_is_told_of_as_such() {
    isolated(|| {
        if !geteuid().is_root() {
            return skipped("only root may become somebody else");
        }
        let dir = files([("a", "#!/etc/passwd\n")]);
        for (path, mode) in [
            (dir.path().to_owned(), 0o755),
            (dir.path().join("a"), 0o711),
        ] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let (root, nobody) = (Uid::from_raw(0), Uid::from_raw(65534));
        nix::unistd::setresuid(nobody, nobody, root).unwrap();
        run(async {
            let error = failure(&Command::new("./a").current_dir(dir.path())).await;
            // To remove it.
            nix::unistd::setresuid(root, root, root).unwrap();
            assert_eq!(error.errno(), Some(libc::EACCES), "{error}");
            let told = "/./a or its interpreter may not be executed";
            assert!(error.detail().ends_with(told), "{error}");
        });
    });
}

#[test]
fn a_program_whose_loader_is_missing_is_not_called_missing() {
    let dir = tempfile::tempdir().unwrap();
    let program = std::fs::read("/bin/true").unwrap();
    let loader = b"/lib64/ld-linux";
    let Some(at) = program
        .windows(loader.len())
        .position(|part| part == loader)
    else {
        return skipped("/bin/true has no loader, or another");
    };
    let mut program = program;
    program[at..at + 4].copy_from_slice(b"/xxx");
    let (from, to) = (dir.path().join("from"), dir.path().join("a"));
    std::fs::write(&from, program).unwrap();
    let copy = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&from, &to])
        .status();
    assert!(copy.unwrap().success());
    run(async {
        let error = failure(&Command::new(&to)).await;
        assert_eq!(error.errno(), Some(libc::ENOENT), "{error}");
        let told = "/a is there, but its loader or interpreter may not be";
        assert!(error.detail().ends_with(told), "{error}");
    });
}

#[test]
fn a_search_names_the_element_of_path_that_is_concerned() {
    let dir = files([("plain", "nothing known")]);
    let (loops, here) = (dir.path().join("loops"), dir.path().display());
    std::os::unix::fs::symlink("loops", &loops).unwrap();
    let loops = loops.display();
    let long = format!("/{}", "a".repeat(4200));
    run(async {
        for (path, program, element, in_detail) in [
            (long.clone(), "true", 1, "/aaa"),
            (format!("/no/such:{loops}"), "true", 2, "/loops"),
            (format!("{loops}:/no/such"), "true", 1, "/loops"),
            (format!("/no/such::{here}"), "plain", 3, "/plain"),
        ] {
            let error = failure(&Command::new(program).env("PATH", path)).await;
            let element = format!("element {element} of PATH");
            assert!(error.to_string().contains(&element), "{error}");
            assert!(error.detail().contains(in_detail), "{}", error.detail());
            assert!(!error.to_string().contains(in_detail), "{error}");
            assert!(error.detail().len() < 1000, "{}", error.detail());
        }
    });
}

#[test]
fn the_value_of_path_is_in_the_detail_only() {
    run(async {
        let error = failure(&Command::new("missing").env("PATH", "/no/secret")).await;
        assert!(
            error.to_string().ends_with(": not found in PATH"),
            "{error}"
        );
        assert_eq!(error.detail(), "not found in PATH (/no/secret)");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    });
}
