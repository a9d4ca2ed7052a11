//! Shows every callback of a child's life as it comes.
//!
//! `cargo run --example transcript`: ten verses into wc.
//! `cargo run --example transcript -- ls -l /`: any command, with nothing on its standard input.

use actix::prelude::*;
use actix_process::{
    Bytes, CloseReason, Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol,
};

struct Transcript {
    input: String,
}

impl Actor for Transcript {
    type Context = Context<Self>;
}

impl ProcessProtocol for Transcript {
    fn connection_made(&mut self, process: &ProcessHandle, _: &mut Context<Self>) {
        println!("connection_made: {}", process.program());
        // Refused only if the child closed its input already, which a callback will tell.
        let _ = process.write(std::mem::take(&mut self.input));
        process.close_stdin();
    }

    fn child_data_received(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        data: Bytes,
        _: &mut Context<Self>,
    ) {
        let text = String::from_utf8_lossy(&data);
        println!("child_data_received: fd {fd}, {text:?}");
    }

    fn child_connection_lost(
        &mut self,
        _: &ProcessHandle,
        fd: i32,
        reason: CloseReason,
        _: &mut Context<Self>,
    ) {
        println!("child_connection_lost: fd {fd}, {reason:?}");
    }

    fn process_exited(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        println!("process_exited: {status}");
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        println!("process_ended: {status}");
        System::current().stop();
    }
}
process_protocol!(Transcript);

fn verses() -> String {
    (1..=10)
        .rev()
        .map(|n| {
            format!(
                "{n} small pipes are leaking in the hall,\n\
                 {n} small pipes along the wall.\n\
                 A plumber came and closed a pipe with care:\n\
                 {} small pipes are dripping there.\n\n",
                n - 1
            )
        })
        .collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (command, input) = match args.next() {
        Some(program) => (Command::new(program).args(args), String::new()),
        None => (Command::new("wc"), verses()),
    };
    let system = System::new();
    system.block_on(async { command.spawn(Transcript { input }.start()).await })?;
    // Until process_ended stops it.
    system.run()?;
    Ok(())
}
