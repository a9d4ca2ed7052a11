//! Runs a tool to its end, and reads a child line by line, under tokio: no System, no actor.
//!
//! `cargo run --example tokio_main`

use actix_process::{Command, Fd, NoProtocol};
use futures::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uname = Command::new("uname").output().await?;
    print!("{}", String::from_utf8_lossy(&uname.stdout));

    let seq = Command::new("seq").arg("3").stdout(Fd::stream());
    let process = seq.spawn(NoProtocol).await?;
    let mut lines = process.stdout()?.lines(1024);
    while let Some(line) = lines.next().await {
        println!("seq says {}", line?);
    }
    println!("{}", process.ended().await);
    Ok(())
}
