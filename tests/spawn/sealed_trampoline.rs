//! What changes a child's ids is a program in a file, made for one spawn. A fork of the host that is made
//! in that moment has the file, may become anybody, and can change nothing.

use crate::common;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use common::forked::{assert_held, in_a_copy};
use common::hanging_exec::HangingExec;
use common::isolated::{isolated, skipped};
use common::report::{has_trampoline, may_change_ids};
use common::trace::Trace;
use common::{eventually, in_time, run};
use nix::libc;

const NOBODY: u32 = 65534;

/// The files of all trampolines that this process has.
fn files() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries
        .filter(|entry| {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            target.to_string_lossy().starts_with("/memfd:spawn")
        })
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

/// Every way to change a file; which of them are not refused.
fn ways_to_change(fd: RawFd) -> Vec<String> {
    // SAFETY: integers, a live byte, and mappings that nobody looks at.
    let tried = unsafe {
        let byte = [0_u8];
        let map = |rights| libc::mmap(ptr::null_mut(), 1, rights, libc::MAP_SHARED, fd, 0);
        let writable = map(libc::PROT_READ | libc::PROT_WRITE);
        let later = libc::mprotect(map(libc::PROT_READ), 1, libc::PROT_READ | libc::PROT_WRITE);
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        [
            ("write", libc::pwrite(fd, byte.as_ptr().cast(), 1, 0) >= 0),
            ("map", writable != libc::MAP_FAILED),
            ("map and make writable", later == 0),
            ("punch a hole", libc::fallocate(fd, hole, 0, 4096) == 0),
            ("make shorter", libc::ftruncate(fd, 0) == 0),
            ("make longer", libc::ftruncate(fd, 1 << 20) == 0),
            (
                "seal",
                libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE) == 0,
            ),
        ]
    };
    let done = tried.into_iter().filter(|(_, done)| *done);
    done.map(|(way, _)| format!("{way} {fd}")).collect()
}

fn assert_unchangeable(fds: &[RawFd]) {
    let done: Vec<String> = fds.iter().flat_map(|fd| ways_to_change(*fd)).collect();
    assert!(done.is_empty(), "{done:?}");
}

#[test]
fn a_copy_of_a_trampolines_descriptor_can_change_nothing() {
    isolated(|| {
        if !may_change_ids() {
            return;
        }
        if !has_trampoline() {
            return skipped("a child is forked here");
        }
        run(async {
            let mut hung = HangingExec::new();
            let (trace, protocol) = Trace::start();
            let child = hung.helper(["exit", "7"]).uid(NOBODY).gid(NOBODY);
            let spawn = actix_rt::spawn(child.spawn(&protocol));
            let pid = hung.until_child_beside(&[]).await;
            // Its trampoline runs, and is in the exec that hangs.
            let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let is_nobody = || {
                status()
                    .contains("Uid:\t65534\t65534\t65534\t65534")
                    .then_some(())
            };
            eventually("the child's change of ids", is_nobody, status).await;

            let files = files();
            assert_eq!(files.len(), 2, "the program and the report");
            assert_held(in_a_copy(|| {
                // SAFETY: integers. The copy gives up its rights.
                assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
                assert_unchangeable(&files);
            }));
            for file in files {
                let again = File::options()
                    .read(true)
                    .write(true)
                    .open(format!("/proc/self/fd/{file}"));
                match again {
                    Ok(again) => assert_unchangeable(&[again.as_raw_fd()]),
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::ETXTBSY), "{error}")
                    }
                }
            }

            hung.release();
            let process = in_time(spawn).await.unwrap().unwrap();
            assert_eq!(trace.ended(&process).await.status().code(), Some(7));
        });
    });
}
