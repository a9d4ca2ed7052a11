//! A network between clients and a server: it may stand still, lose what clients publish or what the server sends, or break.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Takes connections to a server, on a port of its own.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Default)]
struct Rules {
    /// Nothing passes, in either direction.
    stands_still: bool,
    /// What is published to a subject with this in it is lost.
    loses: Option<&'static str>,
    /// How many messages were lost.
    lost: usize,
    /// What the server sends is lost.
    swallows: bool,
    swallowed: Vec<u8>,
    /// Both ends of each connection that was made.
    connections: Vec<TcpStream>,
}

impl Proxy {
    pub(crate) fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        // It ends with the process, as those of the connections do.
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                // A server that is down refuses: so does this.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) {
                    pass(client, server, &shared);
                }
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn stand_still(&self, stands_still: bool) {
        self.state.rules.lock().unwrap().stands_still = stands_still;
        self.state.changed.notify_all();
    }

    /// Loses what clients publish to subjects with this in them, from now on, or nothing more.
    pub(crate) fn lose(&self, subjects: Option<&'static str>) {
        self.state.rules.lock().unwrap().loses = subjects;
    }

    /// How many messages were lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.rules.lock().unwrap().lost
    }

    /// Loses what the server sends until the connections [break](Self::cut).
    pub(crate) fn swallow(&self) {
        self.state.rules.lock().unwrap().swallows = true;
    }

    /// What the server has sent and nobody has got.
    pub(crate) fn swallowed(&self) -> String {
        String::from_utf8_lossy(&self.state.rules.lock().unwrap().swallowed).into_owned()
    }

    /// Breaks all connections. New ones lose nothing.
    pub(crate) fn cut(&self) {
        let mut rules = self.state.rules.lock().unwrap();
        for connection in rules.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        rules.swallows = false;
    }
}

fn pass(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
    state.rules.lock().unwrap().connections.extend(ends);
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let shared = Arc::clone(state);
    thread::spawn(move || {
        let _ = to_the_server(from_client, &to_server, &shared);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let shared = Arc::clone(state);
    thread::spawn(move || {
        let _ = to_the_client(server, &client, &shared);
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// Line by line, with the payload of what is published.
fn to_the_server(from: TcpStream, mut to: &TcpStream, state: &State) -> io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut message = Vec::new();
        if from.read_until(b'\n', &mut message)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&message).into_owned();
        let mut words = line.split_whitespace();
        let mut subject = None;
        if let Some("PUB" | "HPUB") = words.next() {
            subject = words.next().map(str::to_owned);
            // All of it, and the end of the line.
            let size: usize = words.last().and_then(|size| size.parse().ok()).unwrap();
            let mut payload = vec![0; size + 2];
            from.read_exact(&mut payload)?;
            message.extend(payload);
        }
        if state.lets_pass(subject.as_deref()) {
            to.write_all(&message)?;
        }
    }
}

fn to_the_client(mut from: TcpStream, mut to: &TcpStream, state: &State) -> io::Result<()> {
    let mut buffer = [0; 1 << 16];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        state.lets_pass(None);
        if !state.swallows(&buffer[..count]) {
            to.write_all(&buffer[..count])?;
        }
    }
}

impl State {
    /// Waits until something passes. `false` if this does not.
    fn lets_pass(&self, subject: Option<&str>) -> bool {
        let mut rules = self.rules.lock().unwrap();
        while rules.stands_still {
            rules = self.changed.wait(rules).unwrap();
        }
        let is_lost = subject
            .zip(rules.loses)
            .is_some_and(|(subject, lost)| subject.contains(lost));
        rules.lost += usize::from(is_lost);
        !is_lost
    }

    /// Whether what the server sends is lost.
    fn swallows(&self, sent: &[u8]) -> bool {
        let mut rules = self.rules.lock().unwrap();
        if rules.swallows {
            rules.swallowed.extend(sent);
        }
        rules.swallows
    }
}
