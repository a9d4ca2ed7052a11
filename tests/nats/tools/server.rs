//! A real nats-server for a test: on a port and in a directory of its own, killed by the drop.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::common::DEADLINE;
use crate::common::isolated::skipped;

/// Below those that the kernel gives to clients, so that no client has it while the server is down.
const PORTS: std::ops::Range<u16> = 12_000..30_000;

/// A server that a test may kill and start again.
pub(crate) struct Server {
    child: Child,
    port: u16,
    address: String,
    /// The network namespace that it is in, if it is not the test's own.
    namespace: Option<String>,
    directory: TempDir,
    /// How often it has become ready.
    readied: usize,
}

/// The lines of a configuration that are JetStream.
pub(crate) const JETSTREAM: &str =
    "jetstream { store_dir: \"STORE\", max_memory_store: 64MB, max_file_store: 1GB }";

impl Server {
    /// With JetStream, for anybody. `None`, and the test is told as skipped, where there is no nats-server.
    pub(crate) fn start() -> Option<Self> {
        Self::with(JETSTREAM)
    }

    /// With JetStream, and these lines of configuration as well.
    pub(crate) fn start_with(lines: &str) -> Option<Self> {
        Self::with(&format!("{JETSTREAM}\n{lines}"))
    }

    /// With these lines of configuration. `STORE` in them is a directory of its own.
    pub(crate) fn with(lines: &str) -> Option<Self> {
        Self::at("127.0.0.1", None, lines)
    }

    /// At an address of a network namespace.
    pub(crate) fn at(address: &str, namespace: Option<&str>, lines: &str) -> Option<Self> {
        let program = Path::new("/usr/sbin/nats-server");
        let in_path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&in_path).any(|dir| dir.join("nats-server").exists());
        if !program.exists() && !in_path {
            skipped("there is no nats-server: Debian's package of this name has it");
            return None;
        }
        let begun = Instant::now();
        loop {
            let directory = tempfile::tempdir().unwrap();
            let port = free_port();
            let store = directory.path().join("store");
            let lines = lines.replace("STORE", store.to_str().unwrap());
            let config = format!("listen: \"{address}:{port}\"\n{lines}\n");
            fs::write(directory.path().join("server.conf"), config).unwrap();
            let namespace = namespace.map(str::to_owned);
            let mut server = Self {
                child: spawn(namespace.as_deref(), directory.path()),
                port,
                address: address.to_owned(),
                namespace,
                directory,
                readied: 0,
            };
            if server.listens() {
                return Some(server);
            }
            // Somebody else has the port since then.
            assert!(begun.elapsed() < DEADLINE, "{}", server.log());
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}:{}", self.address, self.port)
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with what is in its directory.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.namespace.as_deref(), self.directory.path());
        assert!(self.listens(), "{}", self.log());
    }

    /// Removes what it has stored, after [`kill`](Self::kill): as of a machine that is replaced by another.
    pub(crate) fn wipe(&mut self) {
        fs::remove_dir_all(self.directory.path().join("store")).unwrap();
    }

    /// A client that notices within a second or two when the server is gone, and when it is there again.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// Waits until it takes connections. `false` if it has ended.
    fn listens(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            // A connection may be to another test's server: it has got the port before this one.
            let listens = self.log().matches("Server is ready").count() > self.readied;
            if listens {
                self.readied += 1;
                return true;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "it does not listen: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The options of the clients of these tests.
pub(crate) fn options() -> ConnectOptions {
    ConnectOptions::new()
        .ping_interval(Duration::from_secs(1))
        .connection_timeout(Duration::from_secs(1))
        .reconnect_delay_callback(|_| Duration::from_millis(50))
}

/// A client of the server at this URL.
pub(crate) async fn connect(url: &str) -> Client {
    connect_with(options(), url).await
}

/// With options of its own.
pub(crate) async fn connect_with(options: ConnectOptions, url: &str) -> Client {
    let connected = options.connect(url).await;
    connected.unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(namespace: Option<&str>, directory: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"));
    let log = log.unwrap();
    let config = directory.join("server.conf");
    let mut command = match namespace {
        // It executes what it is given, so the child is the server.
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, "nats-server"]);
            command
        }
        None => Command::new("nats-server"),
    };
    command
        .arg("-c")
        .arg(config)
        .env(
            "PATH",
            "/usr/sbin:/usr/local/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // It ends with the thread of its test, also where no drop does that.
    // SAFETY: one system call with integers, which allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
    command.spawn().unwrap()
}
