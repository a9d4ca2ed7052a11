//! A session with a language server for Python: opens a document, asks what is at a place in it, and what could be
//! written there. Messages have a `Content-Length`; what the server logs between them ends nothing.
//!
//! `cargo run --example lsp`: talks with `pylsp`, which must be in PATH (`pip install python-lsp-server`).
//! `cargo run --example lsp -- /venv/bin/pylsp`: with this program.
//! `cargo run --example lsp -- pylsp --kill`: the server is killed while it owes an answer.

use std::process::ExitCode;
use std::time::Duration;

use actix_process::codec::ContentLength;
use actix_process::{Command, Decoded, Encoded, Fd, Ladder, ProcessHandle, Signal};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

const TEXT: &str = "import math\n\nmath.sqrt(2)\n";

/// A server, which is killed with all that it started when this is dropped.
struct Server {
    process: ProcessHandle,
    requests: Encoded<ContentLength>,
    answers: Decoded<ContentLength>,
    last_id: u64,
}

impl Server {
    async fn start(program: &str) -> Result<Self, Error> {
        let child = Command::new(program).stderr(Fd::tail(4096)).open().await?;
        let codec = ContentLength::new(8 << 20);
        Ok(Self {
            process: child.process,
            requests: child.stdin.encode(codec.clone()),
            answers: child.stdout.decode(codec),
            last_id: 0,
        })
    }

    async fn send(&mut self, message: Value) -> Result<(), Error> {
        let sent = self.requests.send(message.to_string()).await;
        match sent {
            Ok(()) => Ok(()),
            Err(_) => Err(self.gone().await),
        }
    }

    async fn notify(&mut self, method: &str, params: Value) -> Result<(), Error> {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await
    }

    /// The answer, or why there is none.
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, Error> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        while let Some(message) = self.answers.next().await {
            let body = match message {
                Ok(body) => body,
                Err(noise) => {
                    eprintln!("the server: {noise}");
                    continue;
                }
            };
            let mut message: Value = serde_json::from_slice(&body)?;
            // Others are the server's own requests and notifications.
            if message["id"] == id && message.get("method").is_none() {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}").into()),
                    None => Ok(message["result"].take()),
                };
            }
        }
        Err(self.gone().await)
    }

    /// Why the server answers no more. One that only has closed its output is killed.
    async fn gone(&self) -> Error {
        let ladder = Ladder::eof(Duration::from_secs(5)).kill();
        if let Err(unkillable) = self.process.stop(ladder).await {
            return unkillable.into();
        }
        self.process.ended().await;
        let failure = self.process.failure();
        failure.map_or_else(|| "the server has ended".into(), Error::from)
    }
}

async fn run(program: &str, kill: bool) -> Result<(), Error> {
    let mut server = Server::start(program).await?;
    let parent = std::process::id();
    let who = json!({"processId": parent, "rootUri": null, "capabilities": {}});
    let answer = server.request("initialize", who).await?;
    println!("the server: {}", answer["serverInfo"]["name"]);
    server.notify("initialized", json!({})).await?;

    let document = "file:///nowhere/example.py";
    let opened = json!({"uri": document, "languageId": "python", "version": 1, "text": TEXT});
    let opened = json!({"textDocument": opened});
    server.notify("textDocument/didOpen", opened).await?;
    let place = json!({"textDocument": {"uri": document}, "position": {"line": 2, "character": 7}});

    let process = server.process.clone();
    if kill {
        // It reads nothing from here on, so it cannot answer before it is killed.
        process.signal_group(Signal::STOP)?;
        let hover = server.request("textDocument/hover", place);
        let (answer, ()) = futures::join!(hover, async { assert!(process.kill()) });
        return answer.map(drop);
    }
    let hover = server.request("textDocument/hover", place.clone()).await?;
    let text = hover["contents"]["value"].as_str().unwrap_or_default();
    println!("hover: {}", text.lines().last().unwrap_or_default());
    // A server that is still busy with the document may know of none yet.
    for _ in 0..10 {
        let completion = server
            .request("textDocument/completion", place.clone())
            .await?;
        // A list, or an object with one.
        let items = completion.get("items").unwrap_or(&completion).as_array();
        let items = items.filter(|items| !items.is_empty());
        for item in items.into_iter().flatten() {
            println!("completion: {}", item["label"]);
        }
        if items.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.request("shutdown", Value::Null).await?;
    server.notify("exit", Value::Null).await?;
    println!("the end: {}", process.ended().await);
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let count = words.len();
    words.retain(|word| word != "--kill");
    let program = words.first().map_or("pylsp", String::as_str);
    match run(program, words.len() < count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
