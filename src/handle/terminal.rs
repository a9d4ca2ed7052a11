//! What a child's terminal is set to, and the wait for that.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::handle::ProcessHandle;
use crate::terminal_modes::{TerminalModes, TerminalModesError};
use crate::threads::janitor;

/// Who waits for modes looks so often. The kernel has no event for their change (see ARCHITECTURE.md): short
/// enough for whoever types, and fifty looks a second, of a microsecond each, for as long as somebody waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl ProcessHandle {
    /// What the child's [terminal](crate::Command::pty) is set to now.
    ///
    /// # Errors
    ///
    /// [`TerminalModesError::NoTerminal`] without a `pty`, [`TerminalModesError::Closed`] once the child
    /// has exited or the terminal is closed (and of a [`TestProcess`](crate::testing::TestProcess)'s),
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

    /// Resolves when the child's [terminal](crate::Command::pty) is set to what is `wanted`: at once if it
    /// is already. For a password: a program (`ssh`, `sudo`, `gpg`) switches the echo off before it reads
    /// one, and what is typed earlier is shown, or thrown away.
    ///
    /// Linux tells nobody when the modes of a terminal change, so they are looked at every 20 ms, by whoever
    /// polls the future: modes that last for less may be missed. For any runtime, or none. `timeout` begins
    /// with this call, and bounds the looks; dropping the future ends them.
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
                pause(left.min(LOOK_EVERY)).await;
            }
        }
    }
}

/// Without a runtime.
async fn pause(time: Duration) {
    let (tell, told) = oneshot::channel();
    let timer = janitor::after(time, move || {
        let _ = tell.send(());
    });
    let _ = told.await;
    drop(timer);
}
