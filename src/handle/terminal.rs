//! The modes of a child's terminal, and the wait for them.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::handle::ProcessHandle;
use crate::terminal_modes::{TerminalModes, TerminalModesError};
use crate::threads::deadline::Deadline;

/// The time between two looks at the modes of a terminal that a caller waits for. The kernel has no event for their change (see
/// ARCHITECTURE.md). It is short for a human who types, and costs fifty looks a second, of a microsecond each.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl ProcessHandle {
    /// The present modes of the child's [terminal](crate::Command::pty).
    ///
    /// # Errors
    ///
    /// [`TerminalModesError::NoTerminal`] without a `pty`, [`TerminalModesError::Closed`] once the child
    /// has exited or the terminal is closed (and always for a [`TestProcess`](crate::testing::TestProcess)),
    /// [`TerminalModesError::Failed`] if the kernel refuses to tell.
    pub fn terminal_modes(&self) -> Result<TerminalModes, TerminalModesError> {
        // Both halves have the same master.
        let half = self.child().port(0);
        let modes = half
            .ok_or(TerminalModesError::NoTerminal)?
            .terminal_modes()?;
        if self.child().progress.has_exited() {
            return Err(TerminalModesError::Closed);
        }
        Ok(modes)
    }

    /// Resolves when `wanted` is true of the modes of the child's [terminal](crate::Command::pty): at once if it
    /// is already. Use it before a password is typed: a program (`ssh`, `sudo`, `gpg`) switches the echo off before it reads
    /// a password, and shows or throws away what is typed earlier.
    ///
    /// Linux has no event for a change of a terminal's modes, so the future looks at them every 20 ms while it
    /// is polled. It may miss modes that last for a shorter time. It works in any runtime, or none. `timeout`
    /// begins with this call, and bounds the looks; dropping the future ends them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use actix_process::{Command, NoProtocol, Pty, PtySize};
    /// use futures::StreamExt;
    ///
    /// # actix::System::new().block_on(async {
    /// let asks = "stty -echo; printf 'Password: '; read word; stty echo; echo; echo got $word";
    /// let terminal = Pty::new(PtySize::new(24, 80)).stream();
    /// let process = Command::new("sh").args(["-c", asks]).pty(terminal).spawn(NoProtocol).await?;
    ///
    /// let time = Duration::from_secs(10);
    /// process.wait_for_terminal_modes(|modes| !modes.echo, time).await?;
    /// process.write("secret\n")?;
    ///
    /// let shown: Vec<_> = process.stdout()?.collect().await;
    /// assert_eq!(shown.concat(), b"Password: \r\ngot secret\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`TerminalModesError::TimedOut`], with the modes of the last look, after `timeout`; otherwise as
    /// [`terminal_modes`](Self::terminal_modes).
    pub fn wait_for_terminal_modes<F>(
        &self,
        mut wanted: F,
        timeout: Duration,
    ) -> impl Future<Output = Result<TerminalModes, TerminalModesError>> + Send + use<F>
    where
        F: FnMut(&TerminalModes) -> bool + Send,
    {
        let process = self.clone();
        let begun = Instant::now();
        async move {
            loop {
                let left = timeout.saturating_sub(begun.elapsed());
                let modes = process.terminal_modes()?;
                if wanted(&modes) {
                    return Ok(modes);
                }
                if left.is_zero() {
                    return Err(TerminalModesError::TimedOut { modes });
                }
                Deadline::after(left.min(LOOK_EVERY)).await;
            }
        }
    }
}
