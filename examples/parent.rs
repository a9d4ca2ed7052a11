//! Keeps a worker program: sends it lines of text while it reads and logs the answers.
//!
//! `cargo build --examples && cargo run --example parent`: with the example `word_counter`.
//! `cargo run --example parent -- cat`: with any program. `RUST_LOG` says how much to log.

use std::time::Duration;

use actix::prelude::*;
use actix_process::{
    CloseReason, Command, ExitStatus, Fd, Line, ProcessHandle, ProcessProtocol, process_protocol,
};

const TEXT: &str = "\
    The kettle sings before the sun is up,
    and somebody is counting, cup by cup:

    one for the miller, one for the mill,
    one for the cat on the window sill.";

/// A longer line comes in pieces.
const MOST_OF_A_LINE: usize = 4096;

struct Parent {
    lines: std::str::Lines<'static>,
}

impl Parent {
    /// Sends one line now and the next a little later; answers come in between.
    fn send_line(&mut self, process: ProcessHandle, ctx: &mut Context<Self>) {
        let Some(line) = self.lines.next() else {
            log::info!("that was the text");
            return process.close_stdin();
        };
        log::info!("sent {:?}", line.trim());
        if let Err(error) = process.write(format!("{line}\n")) {
            return log::warn!("the worker takes no more: {error}");
        }
        ctx.run_later(Duration::from_millis(20), |parent, ctx| {
            parent.send_line(process, ctx);
        });
    }
}

impl Actor for Parent {
    type Context = Context<Self>;
}

impl ProcessProtocol for Parent {
    fn connection_made(&mut self, process: &ProcessHandle, ctx: &mut Context<Self>) {
        log::info!("the worker runs: {}", process.program());
        self.send_line(process.clone(), ctx);
    }

    fn line_received(&mut self, _: &ProcessHandle, fd: i32, line: Line, _: &mut Context<Self>) {
        let text = line.to_string_lossy();
        match fd {
            1 => log::info!("answer: {}", text.trim()),
            _ => log::warn!("the worker says: {}", text.trim()),
        }
    }

    fn in_connection_lost(&mut self, _: &ProcessHandle, why: CloseReason, _: &mut Context<Self>) {
        log::info!("the worker's input is closed: {why:?}");
    }

    fn process_exited(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        log::info!("the worker has exited: {status}");
    }

    fn process_ended(&mut self, _: &ProcessHandle, status: ExitStatus, _: &mut Context<Self>) {
        log::info!("the worker has ended: {status}");
        System::current().stop_with_code(if status.success() { 0 } else { 1 });
    }
}
process_protocol!(Parent);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init_from_env(env_logger::Env::default().default_filter_or("info"));
    let worker = match std::env::args_os().nth(1) {
        Some(program) => program.into(),
        None => std::env::current_exe()?.with_file_name("word_counter"),
    };
    let parent = Parent {
        lines: TEXT.lines(),
    };
    let lines = || Fd::lines(MOST_OF_A_LINE);
    let worker = Command::new(worker).stdout(lines()).stderr(lines());
    let system = System::new();
    system
        .block_on(async { worker.spawn(parent.start()).await })
        .map_err(|error| format!("{error} (the worker comes from `cargo build --examples`)"))?;
    system.run()?;
    Ok(())
}
