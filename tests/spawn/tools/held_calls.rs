//! Holds one thread of this program at a system call. For tests in a process of their own, as root.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::libc;

/// What the kernel calls a spawner thread.
const SPAWNER: &str = "actix-process-s";

/// A spawner thread's next call of one kind is held.
pub struct HeldCall {
    armed: Arc<AtomicBool>,
    held: Receiver<()>,
    go: Sender<()>,
}

impl HeldCall {
    /// From now on calls of `number` by this thread and those that it starts pass another thread first, where
    /// their third argument is null.
    pub fn with_third_null(number: libc::c_long) -> Self {
        let armed = Arc::new(AtomicBool::new(false));
        let (tell, held) = channel();
        let (go, wait) = channel();
        let (give, given) = channel();
        let is_armed = Arc::clone(&armed);
        // Before there is a filter, so that its own calls pass.
        std::thread::spawn(move || {
            let listener = given.recv().unwrap();
            while let Ok(call) = receive(&listener) {
                if name(call.pid) == SPAWNER && is_armed.swap(false, Ordering::SeqCst) {
                    tell.send(()).unwrap();
                    let _ = wait.recv();
                }
                let_go(&listener, call.id);
            }
        });
        give.send(listen(number)).unwrap();
        Self { armed, held, go }
    }

    /// The next one will be held.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether it is.
    pub fn is_held(&self) -> bool {
        self.held.try_recv().is_ok()
    }

    pub fn let_go(&self) {
        self.go.send(()).unwrap();
    }
}

fn name(thread: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
    name.unwrap_or_default().trim_end().to_owned()
}

/// A filter of this thread's, and where its calls are told. Without `no_new_privs`.
fn listen(number: libc::c_long) -> OwnedFd {
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let unless =
        |value, skipped| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skipped, value);
    let answer = |answer| instruction(libc::BPF_RET | libc::BPF_K, 0, answer);
    let third = (std::mem::offset_of!(libc::seccomp_data, args) + 16) as u32;
    let mut program = [
        load(std::mem::offset_of!(libc::seccomp_data, nr) as u32),
        unless(number as u32, 5),
        load(third),
        unless(0, 3),
        load(third + 4),
        unless(0, 1),
        answer(libc::SECCOMP_RET_USER_NOTIF),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let (mode, flags) = (
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
    );
    // SAFETY: integers and a live program. The kernel makes the descriptor that it answers.
    unsafe {
        let fd = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
        assert!(fd >= 0, "no listener: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    }
}

fn receive(listener: &OwnedFd) -> io::Result<libc::seccomp_notif> {
    let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
    loop {
        // SAFETY: integers, zeroed as the kernel demands, which it writes to.
        let (got, call) = unsafe {
            let mut call: libc::seccomp_notif = std::mem::zeroed();
            (
                libc::ioctl(listener.as_raw_fd(), request, &raw mut call),
                call,
            )
        };
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            _ if got == 0 => return Ok(call),
            // Whoever it was is gone.
            Some(libc::ENOENT | libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

/// The thread makes its call.
fn let_go(listener: &OwnedFd, id: u64) {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
    // SAFETY: a live answer. It fails if the thread is gone.
    unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut answer) };
}

/// One that skips if it compares, and does not find it so.
fn instruction(code: u32, skipped: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skipped,
        k: value,
    }
}
