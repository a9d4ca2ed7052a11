//! A bash on a terminal, its viewers, and the last that it has shown. It outlives its viewers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actix_process::{Command, Ladder, Opened, PtySize, Signal};
use actix_ws::{CloseCode, Message};
use futures::StreamExt;
use futures::channel::mpsc;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until, timeout};

/// A new viewer is shown so many of the last bytes.
const KEPT: usize = 256 * 1024;
/// Bash waits while a viewer has more than this to show. What is read at once still fits in `KEPT` then, so that no viewer
/// misses a byte.
const BEHIND: usize = KEPT / 2;

/// What a viewer does.
pub(crate) enum Act {
    Join(actix_ws::Session),
    /// Binary: keys. Text: "shown", or the rows and columns of the window.
    Say(Message),
    Leave,
    /// The server ends.
    Stop,
}

struct Viewer {
    socket: actix_ws::Session,
    size: Option<PtySize>,
    /// How many of all bytes it was sent, and when, and how many of them it has shown.
    sent: usize,
    sent_at: Instant,
    shown: usize,
}

impl Viewer {
    fn new(socket: actix_ws::Session) -> Self {
        Self {
            socket,
            size: None,
            sent: 0,
            sent_at: Instant::now(),
            shown: 0,
        }
    }

    /// Sends what it has not got. While bash lives, one message at a time, so that nothing piles up in the browser.
    async fn send(&mut self, last: &VecDeque<u8>, end: usize, patience: Duration) {
        if self.sent < end {
            let start = last.len().saturating_sub(end - self.sent);
            let more: Vec<u8> = last.range(start..).copied().collect();
            (self.sent, self.sent_at) = (end, Instant::now());
            // Fails when it is leaving.
            let _ = timeout(patience, self.socket.binary(more)).await;
        }
    }

    fn heed(&mut self, said: &str) {
        let size = said
            .split_once(' ')
            .map(|(rows, cols)| (rows.parse(), cols.parse()));
        match size {
            Some((Ok(rows), Ok(cols))) => self.size = Some(PtySize::new(rows, cols)),
            _ => self.shown = self.sent,
        }
    }
}

/// Begins with the first viewer. Ends when bash does, when nobody has viewed it for a while, or by [`Act::Stop`].
pub(crate) async fn session(mut acts: Receiver<(usize, Act)>) {
    let Some((first, Act::Join(socket))) = acts.recv().await else {
        return;
    };
    let mut viewers = HashMap::from([(first, Viewer::new(socket))]);
    // A job in the background may hold the terminal when bash has exited.
    let bash = Command::new("bash").ended_timeout(Duration::from_secs(1));
    let bash = bash.env("TERM", "xterm-256color").pty(PtySize::new(24, 80));
    let why = match bash.open().await {
        Ok(bash) => run(bash, &mut acts, &mut viewers).await,
        Err(error) => error.to_string(),
    };
    for viewer in viewers.into_values() {
        let reason = (CloseCode::Normal, why.as_str()).into();
        let _ = viewer.socket.close(Some(reason)).await;
    }
}

async fn run(
    mut bash: Opened,
    acts: &mut Receiver<(usize, Act)>,
    viewers: &mut HashMap<usize, Viewer>,
) -> String {
    let (idle, patience) = (seconds("IDLE", 600), seconds("PATIENCE", 10));
    // Bash may have to write before it reads a key. What is typed when this is full is lost.
    let (mut keys, typed) = mpsc::channel(64);
    tokio::spawn(typed.map(Ok).forward(bash.stdin));
    let (mut last, mut end) = (VecDeque::new(), 0);
    let mut alone_since = Instant::now();
    loop {
        for viewer in viewers.values_mut() {
            if viewer.shown == viewer.sent {
                viewer.send(&last, end, patience).await;
            }
        }
        let slowest = viewers.iter().min_by_key(|(_, viewer)| viewer.shown);
        let slowest = slowest.map(|(id, viewer)| (*id, viewer.shown, viewer.sent_at + patience));
        let waits = slowest.is_some_and(|(_, shown, _)| end - shown > BEHIND);
        let deadline = slowest.map_or(alone_since + idle, |(.., deadline)| deadline);
        tokio::select! {
            piece = bash.stdout.next(), if !waits => {
                let Some(piece) = piece else { break };
                end += piece.len();
                last.extend(piece);
                last.drain(..last.len().saturating_sub(KEPT));
            }
            Some((id, act)) = acts.recv() => {
                match (act, viewers.get_mut(&id)) {
                    (Act::Join(socket), _) => drop(viewers.insert(id, Viewer::new(socket))),
                    (Act::Say(Message::Binary(typed)), Some(_)) => drop(keys.try_send(typed)),
                    (Act::Say(Message::Text(said)), Some(viewer)) => viewer.heed(&said),
                    (Act::Leave | Act::Say(Message::Close(_)), _) => drop(viewers.remove(&id)),
                    (Act::Stop, _) => break,
                    _ => {}
                }
                alone_since = Instant::now();
                // Bash is seen whole in each window.
                let sizes = viewers.values().filter_map(|viewer| viewer.size);
                let size = sizes.reduce(|a, b| PtySize::new(a.rows.min(b.rows), a.cols.min(b.cols)));
                size.map(|size| bash.process.resize(size));
            }
            () = sleep_until(deadline), if waits || slowest.is_none() => {
                let Some((hung, ..)) = slowest else { break };
                viewers.remove(&hung);
            }
        }
    }
    // Who comes from here on begins another session.
    acts.close();
    for viewer in viewers.values_mut() {
        viewer.send(&last, end, patience).await;
    }
    // Bash passes the hang-up on to its jobs.
    let hang_up = Ladder::new().signal(Signal::HUP, Duration::from_secs(2));
    match bash.process.stop(hang_up.kill()).await {
        Ok(stopped) => format!("bash ended: {}", stopped.status),
        Err(error) => error.to_string(),
    }
}

fn seconds(name: &str, usual: u64) -> Duration {
    let set = std::env::var(name).ok().and_then(|set| set.parse().ok());
    Duration::from_secs(set.unwrap_or(usual))
}
