//! Decrypts a message with gpg. The passphrase goes in on descriptor 3, the message on 0; the text
//! comes out on 1, what gpg says of its work on 4, line by line, and 2 is this program's own.
//!
//! `cargo run --example gpg`: makes a message with gpg, and reads it.
//! `cargo run --example gpg -- wrong`: reads it with another passphrase, which fails.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use actix_process::{Command, ExitStatus, Fd, NoProtocol};
use futures::StreamExt;
use futures::future::try_join;

type Error = Box<dyn std::error::Error>;

const TEXT: &str = "The spare key is under the blue flower pot.";
const PASSPHRASE: &str = "seven small kettles";

/// What came of one run of gpg.
struct Done {
    output: Vec<u8>,
    said: Vec<String>,
    status: ExitStatus,
}

async fn gpg(
    home: &Path,
    passphrase: &str,
    action: &[&str],
    input: Vec<u8>,
) -> Result<Done, Error> {
    let process = Command::new("gpg")
        // It asks nobody, starts no agent and remembers nothing.
        .args(["--batch", "--pinentry-mode", "loopback"])
        .args(["--no-autostart", "--no-symkey-cache"])
        .args(["--passphrase-fd", "3", "--status-fd", "4"])
        .args(action)
        .env("GNUPGHOME", home)
        .stdout(Fd::stream())
        .stderr(Fd::inherit(2))
        .fd(3, Fd::write())
        .fd(4, Fd::stream())
        .spawn(NoProtocol)
        .await?;
    // Refused only if gpg closed them already; its status tells then.
    let _ = process.write_to_child(3, format!("{passphrase}\n"));
    process.close_child_fd(3);
    let _ = process.write(input);
    process.close_stdin();

    let output = process.stdout()?.map(Vec::from).concat();
    let mut lines = process.take_stream(4)?.lines(4096);
    let listen = async {
        let mut said = Vec::new();
        while let Some(line) = lines.next().await {
            let line = line?.trim_start_matches("[GNUPG:] ").to_owned();
            println!("gpg says: {line}");
            said.push(line);
        }
        Ok::<_, Error>(said)
    };
    // Both at once: gpg waits while nobody takes what it writes.
    let (output, said) = try_join(async { Ok(output.await) }, listen).await?;
    Ok(Done {
        output,
        said,
        status: process.ended().await,
    })
}

async fn encrypt(home: &Path, text: &str) -> Result<Vec<u8>, Error> {
    // With a count of its own gpg does not ask its agent for one.
    let action = ["--s2k-count", "65011712", "--symmetric"];
    let done = gpg(home, PASSPHRASE, &action, text.into()).await?;
    if !done.status.success() {
        return Err(format!("gpg failed ({})", done.status).into());
    }
    Ok(done.output)
}

async fn decrypt(home: &Path, passphrase: &str, message: Vec<u8>) -> Result<String, Error> {
    let done = gpg(home, passphrase, &["--decrypt"], message).await?;
    let said = |keyword| done.said.iter().any(|line| line == keyword);
    if said("DECRYPTION_FAILED") {
        return Err("wrong passphrase, or a damaged message".into());
    }
    // Text that came before gpg found an error is nobody's text.
    if !done.status.success() || !said("DECRYPTION_OKAY") {
        return Err(format!("gpg failed ({})", done.status).into());
    }
    Ok(String::from_utf8(done.output)?)
}

async fn run(passphrase: &str) -> Result<(), Error> {
    let home = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|error| format!("making a home for gpg: {error}"))?;
    let message = encrypt(home.path(), TEXT)
        .await
        .map_err(|error| format!("making the message: {error}"))?;
    println!("the message: {} bytes", message.len());
    let text = decrypt(home.path(), passphrase, message)
        .await
        .map_err(|error| format!("reading the message: {error}"))?;
    println!("the text: {text}");
    Ok(())
}

#[actix::main]
async fn main() -> ExitCode {
    let passphrase = std::env::args().nth(1);
    match run(passphrase.as_deref().unwrap_or(PASSPHRASE)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
