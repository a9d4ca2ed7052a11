//! Runs a program on a terminal of its own, inside of yours: keys, output and the window's size
//! are passed on, as `script` and `ssh` do it.
//!
//! `cargo run --example terminal -- python3 -q`, or `top`, `bash`, `vi`: any program. Its exit code
//! is this one's.

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, PtySize, Signal, process_protocol,
};
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use futures::{SinkExt, Stream, StreamExt, stream};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

type Error = Box<dyn std::error::Error>;

/// Your terminal passes every key on as it is, until this is dropped: at the end, at an error, at a
/// signal that is waited for, and in a panic.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn set() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Fails if the terminal is gone, and then nothing is left to be put right.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Prints what the program writes.
struct Screen {
    ended: Option<oneshot::Sender<io::Result<ExitStatus>>>,
    failed: Option<io::Error>,
}

impl Actor for Screen {
    type Context = Context<Self>;
}

impl ProcessProtocol for Screen {
    fn out_received(&mut self, process: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(&data).and_then(|()| stdout.flush()) {
            // Nobody can see it any more: the program is told as if its window were closed.
            self.failed.get_or_insert(error);
            process.lose_connection();
        }
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(self.failed.take().map_or(Ok(status), Err));
        }
    }
}
process_protocol!(Screen);

/// Types what you type. Reading blocks, so a thread does it; it is left behind at the end.
fn type_keys(process: &ProcessHandle) {
    let Ok(mut keyboard) = process.stdin() else {
        return;
    };
    let mut keys = [0; 4096];
    while let Ok(count @ 1..) = io::stdin().read(&mut keys) {
        let typed = Bytes::copy_from_slice(&keys[..count]);
        // Waits while the program reads nothing; fails when it has closed its terminal.
        if block_on(keyboard.send(typed)).is_err() {
            return;
        }
    }
    // Your terminal is gone, and so is the program's.
    process.lose_connection();
}

/// Those signals, as they come.
fn signals<const N: usize>(of: [Signal; N]) -> io::Result<impl Stream<Item = Signal> + Unpin> {
    let streams = of.into_iter().map(|kind| {
        let mut came = signal(SignalKind::from_raw(kind.number()))?;
        Ok(stream::poll_fn(move |cx| came.poll_recv(cx)).map(move |()| kind))
    });
    Ok(stream::select_all(streams.collect::<io::Result<Vec<_>>>()?))
}

async fn run() -> Result<u8, Error> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().ok_or("usage: terminal PROGRAM [ARGUMENT]...")?;
    let command = Command::new(program).args(args);
    if !io::stdin().is_terminal() {
        return Err("standard input is no terminal".into());
    }
    // Before the size is asked for, so that no change of it is missed.
    let heeded = [
        Signal::WINCH,
        Signal::TERM,
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
    ];
    let mut signals = signals(heeded)?;
    let _raw = RawMode::set().map_err(|error| format!("standard input: {error}"))?;
    let (ended, mut end) = oneshot::channel();
    // It waits while your terminal takes no output, and must not hold up the signals meanwhile.
    let screen = Screen::start_in_arbiter(&Arbiter::new().handle(), |_| Screen {
        ended: Some(ended),
        failed: None,
    });
    let size = PtySize::of(io::stdin())?;
    let process = command.pty(size).spawn(screen).await?;
    let typist = process.clone();
    std::thread::Builder::new().spawn(move || type_keys(&typist))?;
    loop {
        match select(&mut end, signals.next()).await {
            Either::Left((ended, _)) => {
                let ended = ended.map_err(|_| "printing the output failed")?;
                let status = ended.map_err(|error| format!("standard output: {error}"))?;
                let code = status.code().and_then(|code| code.try_into().ok());
                return Ok(code.ok_or_else(|| format!("the program ended with {status}"))?);
            }
            Either::Right((Some(Signal::WINCH), _)) => {
                // Refused only when the program has closed its terminal.
                let _ = process.resize(PtySize::of(io::stdin())?);
            }
            Either::Right((signal, _)) => {
                // It may tidy up its screen; what lives on then is killed with this program.
                let _ = process.signal(Signal::HUP);
                let _ = actix_rt::time::timeout(Duration::from_secs(2), &mut end).await;
                return Err(format!("ended by {}", signal.unwrap_or(Signal::HUP)).into());
            }
        }
    }
}

#[actix::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        // Your terminal is as it was again, so the message looks right.
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
