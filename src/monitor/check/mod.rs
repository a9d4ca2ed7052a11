//! One look at a service from outside: a connection, a command, or a closure of the user's.

mod caught;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::CollectError;
use crate::Command;
use crate::Signal;

use super::one_line::one_line;
use super::start::{Start, StartError};
use caught::{Caught, call};

/// How much of each end of a command's outputs is kept for the text of its failure.
const KEPT: usize = 1024;

type ProbeAnswer = Pin<Box<dyn Future<Output = Result<(), StartError>>>>;

/// What is tried, once or again and again.
#[derive(Clone)]
pub(super) enum Check {
    /// A connection can be made to this address, which is parsed when it is needed.
    Tcp(Arc<str>),
    /// The same for the port that the start chose.
    Port,
    /// A command ends with exit code 0.
    Exec(Arc<Command>),
    /// A future of the user's says so.
    Probe(Arc<dyn Fn(Start) -> ProbeAnswer + Send + Sync>),
}

impl Check {
    pub(super) fn tcp(address: impl fmt::Display) -> Self {
        Self::Tcp(address.to_string().into())
    }

    pub(super) fn exec(command: Command) -> Self {
        Self::Exec(Arc::new(command))
    }

    pub(super) fn probe<F, A>(probe: F) -> Self
    where
        F: Fn(Start) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), StartError>> + 'static,
    {
        Self::Probe(Arc::new(move |start| Box::pin(probe(start))))
    }

    /// What is wrong with it, seen before anything runs.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Tcp(text) => parse(text).err(),
            Self::Exec(command) if command.get_program().is_empty() => {
                Some("the command of the probe has no program".to_owned())
            }
            Self::Port | Self::Exec(_) | Self::Probe(_) => None,
        }
    }

    /// Looks once, for `time` at most; the text says what is wrong. Dropping the future takes what it has begun with it: the connection,
    /// the command with its group, the user's future.
    pub(super) async fn once(&self, start: &Start, time: Duration) -> Result<(), String> {
        let late = || format!("no answer in {time:?}");
        match self {
            Self::Tcp(text) => {
                let connected = connect(parse(text)?);
                timeout(time, connected)
                    .await
                    .unwrap_or_else(|_| Err(late()))
            }
            Self::Port => {
                let port = start.port().ok_or("the start has chosen no port")?;
                let connected = connect((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into());
                timeout(time, connected)
                    .await
                    .unwrap_or_else(|_| Err(late()))
            }
            // No `timeout` of tokio's: the next try begins when this command's processes are gone.
            Self::Exec(command) => {
                // The host may be killed meanwhile.
                let command = Command::clone(command).parent_death_signal(Signal::KILL);
                let run = command.output().own_group().keep_ends(KEPT).checked();
                let run = run.timeout(time).grace(Duration::ZERO);
                run.await.map(drop).map_err(|error| match error {
                    CollectError::TimedOut(_) => late(),
                    error => one_line(&error.to_string()),
                })
            }
            Self::Probe(probe) => {
                let future = call(|| probe(start.clone()))?;
                timeout(time, Caught::new(future))
                    .await
                    .unwrap_or_else(|_| Err(late()))
            }
        }
    }
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    match text.parse() {
        Ok(address) if SocketAddr::port(&address) != 0 => Ok(address),
        _ => Err(format!("{text:?} is no IP address with a port")),
    }
}

async fn connect(address: SocketAddr) -> Result<(), String> {
    let text = |error: std::io::Error| format!("{address}: {error}");
    let stream = TcpStream::connect(address).await.map_err(text)?;
    if is_itself(&stream) {
        return Err(format!("{address}: nobody listens"));
    }
    Ok(())
}

/// Where nobody listens on a port that the kernel also gives to clients, a client that gets that port is connected to itself.
fn is_itself(stream: &TcpStream) -> bool {
    let peer = stream.peer_addr();
    stream
        .local_addr()
        .is_ok_and(|local| peer.is_ok_and(|peer| peer == local))
}

/// The instant when a time that begins now is over. A time that no clock can hold is over in some thirty years.
pub(super) fn instant_in(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now + time.min(FAR)
}

/// No argument of a command.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Port => f.write_str("port"),
            Self::Exec(command) => write!(f, "exec {:?}", command.get_program()),
            Self::Probe(_) => f.write_str("probe"),
        }
    }
}
