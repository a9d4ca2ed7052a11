//! Ways to read a process's memory or environment, without a right to.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::libc;

use crate::common::helper::hex;

/// What a variable in the environment of the process has.
pub const SECRET_VALUE: &str = "in the environment";

/// One process's attempts at another's secret.
pub struct Attack {
    pub host: i32,

    /// Where the host has the secret.
    pub address: usize,
    /// In hexadecimal.
    pub secret: String,
    /// Processes that were looked at.
    pub fresh: usize,
    /// Attempts.
    pub tried: usize,
    /// Attempts that gave the secret.
    pub read: usize,
}

/// What an attempt tells.
#[derive(PartialEq, Eq)]
enum Told {
    /// The process may not be looked at, yet.
    Refused,
    /// It is gone, or its memory is not the host's.
    Nothing,
    Secret,
}

impl Attack {
    /// Goes on until stdin is at its end.
    pub fn run(&mut self) {
        let last_pid = File::open("/proc/loadavg").unwrap();
        let last_pid = || {
            let mut text = [0; 64];
            let length = last_pid.read_at(&mut text, 0).unwrap();
            let text = str::from_utf8(&text[..length]).unwrap();
            text.trim_end()
                .rsplit(' ')
                .next()
                .unwrap()
                .parse::<i32>()
                .unwrap()
        };
        let mut targets: Vec<(i32, usize)> = Vec::new();
        let mut last = last_pid();
        // What hangs already.
        targets.extend((self.host..=last).map(|pid| (pid, 0)));
        for round in 0_usize.. {
            let newest = last_pid();
            if newest < last || newest > last + 1000 {
                last = newest - 1;
            }
            targets.extend((last + 1..=newest).map(|pid| (pid, 0)));
            last = newest;
            // Who is about to be.
            for pid in newest + 1..newest + 4 {
                if self.attempt(pid, 0) == Told::Secret {
                    self.found(pid, 0);
                }
            }
            let mut left = Vec::with_capacity(targets.len());
            for (pid, attempts) in targets {
                if attempts == 0 {
                    self.fresh += 1;
                }
                match self.attempt(pid, attempts) {
                    Told::Secret => self.found(pid, attempts),
                    // A stranger is left in peace.
                    Told::Refused if attempts == 200 && !self.is_childs(pid) => {}
                    Told::Refused => left.push((pid, attempts + 1)),
                    Told::Nothing => {}
                }
            }
            targets = left;
            if round.is_multiple_of(64) && is_at_end(0) {
                return;
            }
        }
    }

    fn found(&mut self, pid: i32, attempts: usize) {
        self.read += 1;
        if self.read < 20 {
            println!("{pid}: the secret, by way {}", attempts % WAYS);
        }
    }

    fn is_childs(&self, pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        parent.is_some_and(|parent| parent == self.host.to_string())
    }

    /// The quickest way most of the time, each of the others now and then.
    fn attempt(&mut self, pid: i32, attempts: usize) -> Told {
        self.tried += 1;
        match attempts % WAYS {
            3 => self.by_mem(pid),
            7 => self.by_file(pid, "environ", SECRET_VALUE),
            11 => self.by_maps(pid),
            15 => self.by_trace(pid),
            19 => self.when_stopped(pid),
            _ => self.by_readv(pid),
        }
    }

    fn told(&self, got: isize, memory: &[u8]) -> Told {
        match std::io::Error::last_os_error().raw_os_error() {
            _ if got > 0 => self.is_secret(memory),
            Some(libc::EPERM | libc::EACCES) => Told::Refused,
            _ => Told::Nothing,
        }
    }

    fn is_secret(&self, memory: &[u8]) -> Told {
        if hex(memory) == self.secret {
            Told::Secret
        } else {
            Told::Nothing
        }
    }

    fn by_readv(&self, pid: i32) -> Told {
        let mut memory = [0_u8; 32];
        let local = libc::iovec {
            iov_base: memory.as_mut_ptr().cast(),
            iov_len: memory.len(),
        };
        let remote = libc::iovec {
            iov_base: self.address as *mut libc::c_void,
            iov_len: memory.len(),
        };
        // SAFETY: the kernel writes at most 32 bytes into the local.
        let got =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        self.told(got, &memory)
    }

    fn by_mem(&self, pid: i32) -> Told {
        let file = match File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Told::Refused;
            }
            Err(_) => return Told::Nothing,
        };
        let mut memory = [0_u8; 32];
        match file.read_at(&mut memory, self.address as u64) {
            Ok(1..) => self.is_secret(&memory),
            _ => Told::Nothing,
        }
    }

    fn by_file(&self, pid: i32, name: &str, wanted: &str) -> Told {
        match fs::read(format!("/proc/{pid}/{name}")) {
            Ok(text) if String::from_utf8_lossy(&text).contains(wanted) => Told::Secret,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Told::Refused,
            _ => Told::Nothing,
        }
    }

    /// Whether the process has the host's mappings: something is where the secret is.
    fn by_maps(&self, pid: i32) -> Told {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/maps")) else {
            return Told::Refused;
        };
        let covers = |line: &str| -> Option<bool> {
            let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some((number(begin)?..number(end)?).contains(&self.address))
        };
        match text.lines().any(|line| covers(line) == Some(true)) {
            true => Told::Secret,
            false if text.is_empty() => Told::Refused,
            false => Told::Nothing,
        }
    }

    fn by_trace(&self, pid: i32) -> Told {
        // SAFETY: integers; a process that was seized is let go of again.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) != 0 {
                return self.told(-1, &[]);
            }
            let told = self.by_readv(pid);
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            let mut status = 0;
            libc::waitpid(pid, &raw mut status, libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
            told
        }
    }

    /// A process of the user's can be stopped where it is, and looked at in peace.
    fn when_stopped(&self, pid: i32) -> Told {
        if !self.is_childs(pid) {
            return Told::Refused;
        }
        // SAFETY: integers.
        if unsafe { libc::kill(pid, libc::SIGSTOP) } != 0 {
            return self.by_readv(pid);
        }
        let begun = Instant::now();
        let mut told = Told::Refused;
        while told == Told::Refused && begun.elapsed() < Duration::from_millis(3) {
            told = self.by_readv(pid);
            if told == Told::Refused {
                told = self.by_mem(pid);
            }
        }
        // SAFETY: integers.
        unsafe { libc::kill(pid, libc::SIGCONT) };
        told
    }
}

/// Attempts at one process until all ways were tried once.
const WAYS: usize = 20;

fn is_at_end(fd: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}
