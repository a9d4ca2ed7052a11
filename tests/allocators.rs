//! A child gets what its command says under an allocator without headers too (mimalloc and jemalloc
//! are such): there one value begins where another one ends.
//!
//! A program of its own: an allocator is the whole program's.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

use actix_process::{Command, Resource};
use common::report::may_change_ids;
use common::run;

const NOBODY: u32 = 65534;
const CLASSES: usize = 16;
const STEP: usize = 16;
const CHUNK: usize = 64 * 1024;

/// Blocks of one size side by side, from each thread's own chunks.
struct SideBySide;

#[derive(Clone, Copy)]
struct Class {
    free: *mut u8,
    next: *mut u8,
    rest: usize,
}

const EMPTY: Class = Class {
    free: ptr::null_mut(),
    next: ptr::null_mut(),
    rest: 0,
};

thread_local! {
    static HEAP: [Cell<Class>; CLASSES] = const { [const { Cell::new(EMPTY) }; CLASSES] };
}

/// The class of a block, and its size.
fn class_of(layout: Layout) -> Option<(usize, usize)> {
    let class = layout.size().max(1).div_ceil(STEP);
    (class <= CLASSES && layout.align() <= STEP).then_some((class - 1, class * STEP))
}

// SAFETY: a block is in use once, or in one list of free ones; blocks of a chunk do not overlap, are
// aligned to 16 as chunks are, and chunks are never given back.
unsafe impl GlobalAlloc for SideBySide {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, size)) = class_of(layout) else {
            // SAFETY: the caller's layout.
            return unsafe { System.alloc(layout) };
        };
        HEAP.with(|heap| {
            let mut state = heap[class].get();
            let block = if state.free.is_null() {
                if state.rest < size {
                    // SAFETY: a layout of some size.
                    state.next =
                        unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, STEP)) };
                    if state.next.is_null() {
                        return ptr::null_mut();
                    }
                    state.rest = CHUNK;
                }
                let block = state.next;
                state.next = block.wrapping_add(size);
                state.rest -= size;
                block
            } else {
                let block = state.free;
                // SAFETY: a free block, which holds the address of the next.
                state.free = unsafe { block.cast::<*mut u8>().read() };
                block
            };
            heap[class].set(state);
            block
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((class, _)) = class_of(layout) else {
            // SAFETY: it came from there.
            return unsafe { System.dealloc(block, layout) };
        };
        HEAP.with(|heap| {
            let mut state = heap[class].get();
            // SAFETY: a block of ours that nobody uses any more, of 16 bytes at least.
            unsafe { block.cast::<*mut u8>().write(state.free) };
            state.free = block;
            heap[class].set(state);
        });
    }
}

#[global_allocator]
static ALLOCATOR: SideBySide = SideBySide;

/// So many spawns, each with other blocks in use than the one before.
const SPAWNS: usize = 40;

async fn says(command: Command, expected: &str) {
    let mut held = Vec::new();
    for spawn in 0..SPAWNS {
        held.push(vec![0_u8; STEP * (spawn % 4 + 1)]);
        let output = command.clone().output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected);
    }
}

/// A child of another user with as many limits before its groups as there are.
fn limited(program: &str) -> Command {
    let command = Command::new(program).uid(NOBODY).gid(NOBODY);
    [Resource::Core, Resource::MessageQueues]
        .into_iter()
        .fold(command, |command, resource| command.rlimit(resource, 0, 0))
}

#[test]
fn a_child_gets_the_groups_of_its_command_under_any_allocator() {
    if !may_change_ids() {
        return;
    }
    run(async {
        for (groups, told) in [
            (vec![1], "65534 1"),
            (vec![1, 2, 3, 4], "65534 1 2 3 4"),
            ((1..9).collect(), "65534 1 2 3 4 5 6 7 8"),
        ] {
            let id = limited("/usr/bin/id").arg("-G").current_dir("/");
            says(id.groups(groups), told).await;
        }
    });
}

#[test]
fn a_child_gets_the_directory_of_its_command_under_any_allocator() {
    if !may_change_ids() {
        return;
    }
    run(async {
        for dir in [
            "/",
            "/usr/share",
            "/usr/lib/x86_64-linux-gnu",
            "/proc/sys/kernel/random",
        ] {
            if std::fs::canonicalize(dir).is_ok_and(|real| real == std::path::Path::new(dir)) {
                let pwd = limited("/bin/pwd").groups([]).current_dir(dir);
                says(pwd, dir).await;
            }
        }
    });
}
