//! Counts the lines, words and bytes of files, by the real wc.
//!
//! `cargo run --example wc -- README.md`

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
use futures::channel::oneshot;

struct Wc {
    file: String,
    text: Vec<u8>,
    output: Vec<u8>,
    done: Option<oneshot::Sender<()>>,
}

impl Actor for Wc {
    type Context = Context<Self>;
}

impl ProcessProtocol for Wc {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        // Refused only if wc closed its input already; its status tells then.
        let _ = process.write(std::mem::take(&mut self.text));
        process.close_stdin();
    }

    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.output.extend_from_slice(&data);
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        let output = String::from_utf8_lossy(&self.output);
        match output.split_whitespace().collect::<Vec<_>>()[..] {
            [lines, words, bytes] if status.success() => {
                println!("{}: {lines} lines, {words} words, {bytes} bytes", self.file);
            }
            _ => eprintln!("{}: wc ended with {status}", self.file),
        }
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
    }
}
process_protocol!(Wc);

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let text = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
        let (done, ended) = oneshot::channel();
        let wc = Wc {
            file,
            text,
            output: Vec::new(),
            done: Some(done),
        };
        Command::new("wc").spawn(wc.start()).await?;
        ended.await?;
    }
    Ok(())
}
