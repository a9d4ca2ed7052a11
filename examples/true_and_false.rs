//! Runs two programs one after the other and prints their exit codes.
//!
//! `cargo run --example true_and_false`

use actix_process::{CollectError, Command};

#[actix::main]
async fn main() -> Result<(), CollectError> {
    for program in ["true", "false"] {
        let status = Command::new(program).status().await?;
        match status.code() {
            Some(code) => println!("{program}: exit code {code}"),
            None => println!("{program}: {status}"),
        }
    }
    Ok(())
}
