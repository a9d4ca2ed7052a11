//! Signal numbers with names, without anybody else's type.

use std::fmt;
use std::str::FromStr;

/// A signal of Linux: every number from 1 to 64.
///
/// ```
/// use actix_process::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!("HUP".parse(), Ok(Signal::HUP));
/// assert_eq!(Signal::new(15), Some(Signal::TERM));
/// assert_eq!(Signal::new(65), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

macro_rules! named_signals {
    ($($name:ident $text:ident $doc:literal;)*) => {
        impl Signal {
            $(
                #[doc = $doc]
                pub const $name: Self = Self(nix::libc::$text as u8);
            )*

            /// The name, `SIG` included. `None` for the real-time signals and for 32 and 33.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($text)),)*
                    _ => None,
                }
            }

            const NAMED: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

named_signals! {
    HUP SIGHUP "Hangup: the terminal or its owner is gone.";
    INT SIGINT "Interrupt, as by Ctrl-C.";
    QUIT SIGQUIT "Quit with a core dump, as by Ctrl-\\.";
    ILL SIGILL "Illegal instruction.";
    TRAP SIGTRAP "Trace or breakpoint trap.";
    ABRT SIGABRT "Abort.";
    BUS SIGBUS "Bus error.";
    FPE SIGFPE "Arithmetic error.";
    KILL SIGKILL "Kill: cannot be caught.";
    USR1 SIGUSR1 "User-defined.";
    SEGV SIGSEGV "Invalid memory access.";
    USR2 SIGUSR2 "User-defined.";
    PIPE SIGPIPE "Write to a pipe that nobody reads.";
    ALRM SIGALRM "Timer.";
    TERM SIGTERM "Please terminate.";
    STKFLT SIGSTKFLT "Stack fault (unused).";
    CHLD SIGCHLD "A child changed its state.";
    CONT SIGCONT "Continue if stopped.";
    STOP SIGSTOP "Stop: cannot be caught.";
    TSTP SIGTSTP "Stop, as by Ctrl-Z.";
    TTIN SIGTTIN "Read from the terminal in the background.";
    TTOU SIGTTOU "Write to the terminal in the background.";
    URG SIGURG "Urgent data on a socket.";
    XCPU SIGXCPU "CPU time limit exceeded.";
    XFSZ SIGXFSZ "File size limit exceeded.";
    VTALRM SIGVTALRM "Virtual timer.";
    PROF SIGPROF "Profiling timer.";
    WINCH SIGWINCH "The terminal's window changed its size.";
    IO SIGIO "I/O is possible.";
    PWR SIGPWR "Power failure.";
    SYS SIGSYS "Bad system call.";
}

impl Signal {
    /// The signal with this number, or `None` unless it is 1 to 64.
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        if number >= 1 && number <= 64 {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// The number, 1 to 64.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }
}

/// What a child does with the signals that this program ignores when it spawns.
///
/// A handler is never inherited: its signal is at its default in the child. Under either policy the child also
/// has the default of SIGPIPE (Rust ignores it in every program), of SIGCHLD, and of 32 and 33 (they are libc's
/// own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IgnoredSignals {
    /// The child ignores them too, as after any exec. So a program that runs under `nohup`, or in the
    /// background of a shell without job control, and its children, outlive a hangup or a Ctrl-C.
    #[default]
    Inherit,
    /// Every signal is at its default.
    Reset,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a signal's name nor a number from 1 to 64")]
pub struct ParseSignalError(());

impl FromStr for Signal {
    type Err = ParseSignalError;

    /// Takes `SIGTERM`, `TERM` and `15`.
    fn from_str(text: &str) -> Result<Self, ParseSignalError> {
        let wanted = text.strip_prefix("SIG").unwrap_or(text);
        Self::NAMED
            .iter()
            .copied()
            .find(|signal| signal.name().and_then(|name| name.strip_prefix("SIG")) == Some(wanted))
            .or_else(|| text.parse().ok().and_then(Self::new))
            .ok_or(ParseSignalError(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_from_1_to_64_prints_and_parses_back() {
        for number in 1..=64 {
            let signal = Signal::new(number).unwrap();
            assert_eq!(signal.number(), number);
            let text = signal.to_string();
            assert_eq!(
                text.strip_prefix("signal ").unwrap_or(&text).parse(),
                Ok(signal)
            );
        }
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(-1), None);
        assert_eq!("SIG".parse::<Signal>(), Err(ParseSignalError(())));
    }
}
