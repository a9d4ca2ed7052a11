//! Counts the lines, words and bytes of files, by the real wc.
//!
//! `cargo run --example wc -- README.md`

use actix::prelude::*;
use actix_process::{Bytes, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};

struct Wc {
    file: String,
    output: Vec<u8>,
}

impl Actor for Wc {
    type Context = Context<Self>;
}

impl ProcessProtocol for Wc {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Self::Context) {
        match std::fs::read(&self.file) {
            Ok(text) => drop(process.write(text)),
            Err(error) => eprintln!("{}: {error}", self.file),
        }
        process.close_stdin();
    }

    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Self::Context) {
        self.output.extend_from_slice(&data);
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Self::Context) {
        let output = String::from_utf8_lossy(&self.output);
        match output.split_whitespace().collect::<Vec<_>>()[..] {
            [lines, words, bytes] if status.success() => {
                println!("{}: {lines} lines, {words} words, {bytes} bytes", self.file);
            }
            _ => eprintln!("{}: wc ended with {status}", self.file),
        }
    }
}
process_protocol!(Wc);

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let output = Vec::new();
        let process = Command::new("wc")
            .spawn(Wc { file, output }.start())
            .await?;
        process.ended().await?;
    }
    Ok(())
}
