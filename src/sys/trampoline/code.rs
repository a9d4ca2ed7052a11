//! The trampoline's code, which runs its table of calls and then tries the candidates by the rules of
//! [`child`](crate::sys::child). It is position-fixed, for x86_64, and needs nobody's library.

#[cfg(target_arch = "x86_64")]
use nix::libc;

#[cfg(target_arch = "x86_64")]
use super::image::{ATTACH, BASE, EQUAL, EXEC, Entry, OPTIONAL, RANKS, RANKS_AT, TABLE_AT, TRIED};
#[cfg(target_arch = "x86_64")]
use super::{SHARED, Shared};
#[cfg(target_arch = "x86_64")]
use crate::sys::child::{FIRST_WAIT, MOST_WAITS};

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn code() -> &'static [u8] {
    &[]
}

// It needs no stack of its own but for a timespec: rsp is what the kernel left, at argc. A call keeps all
// registers but rax, rcx and r11. r15 argv, r14 envp, rbx the entry, r13 the next candidate, r12 the best
// rank and ebp its errno, r8 how often it has waited.
//
// It has local labels only: names would clash where a program has two versions of this crate.
#[cfg(target_arch = "x86_64")]
pub(super) fn code() -> &'static [u8] {
    let (begin, end): (*const u8, *const u8);
    // SAFETY: executed here are the two instructions after the section's end, which load addresses.
    unsafe {
        std::arch::asm!(
        ".pushsection .rodata.actix_process_trampoline, \"a\"",
        ".balign 16",
        "92:",
        "mov rax, [rsp]",
        "lea r15, [rsp + 8]",
        "lea r14, [r15 + rax * 8 + 8]",
        "mov rbx, [{table}]",
        // Each entry of the table.
        "20:",
        "mov rax, [rbx]",
        "cmp rax, {exec}",
        "je 50f",
        "mov rdi, [rbx + 8]",
        "mov rsi, [rbx + 16]",
        "mov rdx, [rbx + 24]",
        "mov r10, [rbx + 32]",
        "mov r8, [rbx + 40]",
        "mov r9, [rbx + 48]",
        "syscall",
        "cmp qword ptr [rbx + 56], {equal}",
        "je 30f",
        "cmp rax, -4095",
        "jae 77f",
        "cmp qword ptr [rbx + 56], {attach}",
        "jne 40f",
        "mov dword ptr [{attached}], 1",
        "jmp 40f",
        "30:",
        "cmp rax, [rbx + 64]",
        "je 40f",
        "mov eax, -{esrch}",
        "jmp 80f",
        "40:",
        "add rbx, {entry}",
        "jmp 20b",
        // The candidates.
        "50:",
        "mov r13, [rbx + 8]",
        "xor r12d, r12d",
        "mov ebp, {enoent}",
        "xor r8d, r8d",
        "60:",
        "mov rdi, [r13]",
        "test rdi, rdi",
        "jz 75f",
        "add r13, 8",
        "65:",
        "mov rdi, [r13 - 8]",
        "mov rsi, r15",
        "mov rdx, r14",
        "mov eax, {execve}",
        "syscall",
        "neg eax",
        "cmp eax, {etxtbsy}",
        "jne 70f",
        "cmp r8d, {most_waits}",
        "je 85f",
        "mov ecx, r8d",
        "mov eax, {first_wait}",
        "shl rax, cl",
        "sub rsp, 16",
        "mov qword ptr [rsp], 0",
        "mov [rsp + 8], rax",
        "mov rdi, rsp",
        "xor esi, esi",
        "mov eax, {nanosleep}",
        "syscall",
        "add rsp, 16",
        "inc r8d",
        "jmp 65b",
        "70:",
        "cmp eax, {ranks}",
        "jae 85f",
        "movzx ecx, byte ptr [rax + {rank}]",
        "test ecx, ecx",
        "jz 85f",
        "cmp ecx, r12d",
        "jb 60b",
        "mov r12d, ecx",
        "mov ebp, eax",
        "jmp 60b",
        "75:",
        "mov eax, ebp",
        "jmp 85f",
        // It failed: minus the errno is in rax, or from 85 on the errno.
        "77:",
        "cmp qword ptr [rbx + 56], {tried}",
        "je 40b",
        "cmp qword ptr [rbx + 56], {optional}",
        "jne 80f",
        "cmp rax, -{eperm}",
        "je 40b",
        "80:",
        "neg eax",
        "85:",
        "mov ecx, [rbx + 72]",
        "test ecx, ecx",
        "jz 90f",
        "mov [{errno}], eax",
        "mov [{failed}], ecx",
        "90:",
        "mov edi, 127",
        "mov eax, {exit_group}",
        "syscall",
        "jmp 90b",
        "93:",
        ".popsection",
        "lea {begin}, [rip + 92b]",
        "lea {end}, [rip + 93b]",
        begin = out(reg) begin,
        end = out(reg) end,
        table = const BASE + TABLE_AT,
        exec = const EXEC,
        equal = const EQUAL,
        attach = const ATTACH,
        attached = const SHARED + std::mem::offset_of!(Shared, attached),
        errno = const SHARED + std::mem::offset_of!(Shared, errno),
        failed = const SHARED + std::mem::offset_of!(Shared, failed),
        optional = const OPTIONAL,
        tried = const TRIED,
        eperm = const libc::EPERM,
        esrch = const libc::ESRCH,
        enoent = const libc::ENOENT,
        etxtbsy = const libc::ETXTBSY,
        entry = const size_of::<Entry>(),
        execve = const libc::SYS_execve,
        nanosleep = const libc::SYS_nanosleep,
        exit_group = const libc::SYS_exit_group,
        most_waits = const MOST_WAITS,
        first_wait = const FIRST_WAIT,
        ranks = const RANKS,
        rank = const BASE + RANKS_AT,
        options(pure, nomem, nostack, preserves_flags),
            );
        // Labels around bytes that are never written to.
        std::slice::from_raw_parts(begin, end.addr() - begin.addr())
    }
}
