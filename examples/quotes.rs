//! A TCP server that answers each connection with a quote: the output of a command.
//!
//! `cargo run --example quotes` if `fortune` is installed, or with any command that prints one:
//! `cargo run --example quotes -- echo hello`. Then `nc 127.0.0.1 PORT`, with the port that it
//! prints; the environment variable PORT chooses one.

use std::time::Duration;

use actix_process::Command;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

async fn quote(command: &Command) -> Vec<u8> {
    match command.output().timeout(Duration::from_secs(10)).await {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => format!("no quote: {}\n", output.status).into_bytes(),
        Err(error) => format!("no quote: {error}\n").into_bytes(),
    }
}

async fn answer(mut client: TcpStream, command: Command) {
    let quote = quote(&command).await;
    if let Err(error) = client.write_all(&quote).await {
        eprintln!("a client left early: {error}");
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let command = match args.next() {
        Some(program) => Command::new(program).args(args),
        None => {
            let fortune = Command::new("fortune");
            if let Err(error) = fortune.status().await {
                return Err(format!("{error}; name a command that prints a quote").into());
            }
            fortune
        }
    };
    let port = match std::env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(actix::spawn(answer(client, command.clone()))),
            Err(error) => {
                eprintln!("accept: {error}");
                // Out of descriptors, for one: others may be done soon.
                actix_rt::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
