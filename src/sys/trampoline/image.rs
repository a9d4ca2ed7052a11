//! The trampoline's program: an ELF header, the code, the table of calls, and what they point to.

use nix::libc;

use super::memfds::F_SEAL_FUTURE_WRITE;
use super::{Files, PAGE, SHARED};
use crate::sys::child::telling;
use crate::sys::handshake::Failed;
use crate::sys::step::{Call, Steps};
use crate::sys::strings::Strings;

/// Where the file begins in the trampoline's memory.
pub(super) const BASE: usize = 0x1000_0000;
/// Offsets in the file: the table's address, the ranks of errnos, the robust list, the code.
pub(super) const TABLE_AT: usize = 0xc0;
pub(super) const RANKS_AT: usize = 0x100;
pub(super) const RANKS: usize = 134;
const ROBUST_AT: usize = 0x190;
const CODE_AT: usize = 0x200;

/// One entry of the table.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// The call, or [`EXEC`].
    number: i64,
    args: [i64; 6],
    kind: i64,
    /// What the call must answer, if its kind is [`EQUAL`].
    answer: i64,
    /// The code of its failure; 0: there is nowhere to write it yet.
    code: i64,
}

pub(super) const EXEC: i64 = -1;
/// Fails by an errno.
const CALL: i64 = 0;
/// Fails with ESRCH if it gives another answer.
pub(super) const EQUAL: i64 = 1;
/// The futex is held from here on.
pub(super) const ATTACH: i64 = 2;
/// EPERM is no failure.
pub(super) const OPTIONAL: i64 = 3;
/// Nothing is a failure.
pub(super) const TRIED: i64 = 4;

/// What the trampoline does, in its table.
pub(in crate::sys) struct Course<'a> {
    pub(in crate::sys) steps: &'a Steps,
    /// The steps before were done.
    pub(in crate::sys) from: usize,
    pub(in crate::sys) candidates: &'a Strings,
    pub(in crate::sys) parent: libc::pid_t,
    /// The numbers of the trampoline's files in the child.
    pub(in crate::sys) files: Files,
}

/// The whole program.
pub(super) fn image(code: &[u8], course: &Course<'_>) -> Option<Vec<u8>> {
    let mut image = Vec::with_capacity(PAGE);
    image.resize(CODE_AT, 0);
    image.extend_from_slice(code);
    for errno in 0..RANKS {
        let rank = telling(errno as i32).map_or(0, |rank| rank + 1);
        *image.get_mut(RANKS_AT + errno)? = rank;
    }
    for (index, word) in robust_list().into_iter().enumerate() {
        let place = ROBUST_AT + index * 8;
        image
            .get_mut(place..place + 8)?
            .copy_from_slice(&word.to_le_bytes());
    }
    let mut table = arrival(course.files);
    for (index, call) in course.steps.calls(course.from)?.into_iter().enumerate() {
        let mut args = [0; 6];
        for ((place, arg), memory) in args.iter_mut().zip(call.args).zip(call.memory) {
            *place = match memory {
                Some(memory) => add(&mut image, memory)?,
                None => arg,
            };
        }
        table.push(Entry {
            number: call.number,
            args,
            kind: match call {
                Call {
                    checks_parent: true,
                    ..
                } => EQUAL,
                Call { optional: true, .. } => OPTIONAL,
                Call { .. } => CALL,
            },
            answer: course.parent.into(),
            code: Failed::Step(course.from + index).code().into(),
        });
    }
    let mask = add(&mut image, &[0; 8])?;
    let set = libc::SIG_SETMASK.into();
    table.push(Entry {
        number: libc::SYS_rt_sigprocmask,
        args: [set, mask, 0, 8, 0, 0],
        code: Failed::Trampoline.code().into(),
        ..Entry::default()
    });
    let mut candidates = Vec::new();
    for candidate in course.candidates.iter() {
        let address = add(&mut image, candidate.to_bytes_with_nul())?;
        candidates.extend_from_slice(&address.to_le_bytes());
    }
    candidates.extend_from_slice(&[0; 8]);
    let candidates = add(&mut image, &candidates)?;
    table.push(Entry {
        number: EXEC,
        args: [candidates, 0, 0, 0, 0, 0],
        code: Failed::Exec.code().into(),
        ..Entry::default()
    });
    let table: Vec<u8> = table.iter().flat_map(Entry::bytes).collect();
    let table = add(&mut image, &table)?;
    image
        .get_mut(TABLE_AT..TABLE_AT + 8)?
        .copy_from_slice(&table.to_le_bytes());
    let header = header(image.len());
    image.get_mut(..header.len())?.copy_from_slice(&header);
    Some(image)
}

/// The head of the list: its one element, the futex seen from there, none pending. Then the element:
/// back to the head. The futex is the first word of the shared page.
fn robust_list() -> [usize; 4] {
    let head = BASE + ROBUST_AT;
    let element = head + 24;
    [element, SHARED - element, 0, head]
}

/// The trampoline's first calls: to map the shared page, and seal it against later maps for writing; to close
/// the files; to hold the futex.
fn arrival(files: Files) -> Vec<Entry> {
    let Files { program, report } = files;
    let rights = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let flags = i64::from(libc::MAP_SHARED | libc::MAP_FIXED);
    let map = [SHARED as i64, PAGE as i64, rights, flags, report.into(), 0];
    let seals = (F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL).into();
    let seal = [report.into(), libc::F_ADD_SEALS.into(), seals, 0, 0, 0];
    let head = [(BASE + ROBUST_AT) as i64, 24, 0, 0, 0, 0];
    let entry = |number, args, kind, code: u32| Entry {
        number,
        args,
        kind,
        answer: 0,
        code: code.into(),
    };
    let close = |file: i32, code| {
        let file = [file.into(), 0, 0, 0, 0, 0];
        entry(libc::SYS_close, file, CALL, code)
    };
    let failed = Failed::Trampoline.code();
    vec![
        entry(libc::SYS_mmap, map, CALL, 0),
        entry(libc::SYS_fcntl, seal, TRIED, failed),
        close(report, failed),
        close(program, failed),
        entry(libc::SYS_set_robust_list, head, ATTACH, failed),
    ]
}

/// Adds data, aligned; gives its address in the trampoline.
fn add(image: &mut Vec<u8>, data: &[u8]) -> Option<i64> {
    image.resize(image.len().next_multiple_of(16), 0);
    let address = BASE + image.len();
    image.extend_from_slice(data);
    i64::try_from(address).ok()
}

impl Entry {
    fn bytes(&self) -> Vec<u8> {
        let Self {
            number,
            args: [a, b, c, d, e, f],
            kind,
            answer,
            code,
        } = *self;
        let words = [number, a, b, c, d, e, f, kind, answer, code];
        words.into_iter().flat_map(i64::to_le_bytes).collect()
    }
}

/// An ELF header with two program headers: the file, to be read and executed; and a stack that is not
/// executable.
fn header(length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(TABLE_AT);
    header.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |header: &mut Vec<u8>, value: u16| header.extend_from_slice(&value.to_le_bytes());
    let word = |header: &mut Vec<u8>, value: u32| header.extend_from_slice(&value.to_le_bytes());
    let long = |header: &mut Vec<u8>, value: usize| {
        header.extend_from_slice(&(value as u64).to_le_bytes());
    };
    half(&mut header, 2); // An executable at fixed addresses,
    half(&mut header, 62); // for x86_64.
    word(&mut header, 1);
    long(&mut header, BASE + CODE_AT);
    long(&mut header, 64); // The program headers follow.
    long(&mut header, 0);
    word(&mut header, 0);
    for value in [64, 56, 2, 0, 0, 0] {
        half(&mut header, value);
    }
    let (load, stack) = (1, 0x6474_e551);
    let (execute, write, read) = (1, 2, 4);
    for (kind, rights, address, length) in [
        (load, read | execute, BASE, length),
        (stack, read | write, 0, 0),
    ] {
        word(&mut header, kind);
        word(&mut header, rights);
        long(&mut header, 0);
        long(&mut header, address);
        long(&mut header, address);
        long(&mut header, length);
        long(&mut header, length);
        long(&mut header, PAGE);
    }
    header
}
