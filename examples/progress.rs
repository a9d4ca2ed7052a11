//! Archives a directory with tar and shows a progress bar, moved by tar's own status lines.
//!
//! `cargo run --example progress -- target /tmp/target.tar`, or any directory that takes a while.
//! The bar is there if standard error is a terminal. It needs GNU tar.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use actix_process::{Command, Fd, NoProtocol};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

type Error = Box<dyn std::error::Error>;

/// What tar writes at once, and counts in, in bytes.
const RECORD: u64 = 20 * 512;

fn tar(directory: &Path) -> Command {
    Command::new("tar")
        .env("LC_ALL", "C")
        .arg("--create")
        .arg("--directory")
        .arg(directory)
}

/// How long the archive will be. tar reads no files when it writes to /dev/null, so this is quick.
async fn length(directory: &Path) -> Result<u64, Error> {
    let dry = tar(directory).args(["--file=/dev/null", "--totals", "."]);
    let output = dry.output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said
        .lines()
        .find_map(|line| line.strip_prefix("Total bytes written: "))
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    match total {
        Some(total) if output.status.success() => Ok(total),
        _ => Err(format!("tar failed ({}):\n{}", output.status, said.trim_end()).into()),
    }
}

async fn archive(directory: &Path, archive: File, total: u64) -> Result<(), Error> {
    let template = "{percent:>3}% [{bar:30}] {bytes}/{total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(template)?.progress_chars("=> ");
    let bar = ProgressBar::new(total).with_style(style);
    // A line now and then, whatever the length.
    let records = (total / RECORD / 200).max(1);
    let process = tar(directory)
        .arg(format!("--checkpoint={records}"))
        .args(["--file=-", "."])
        .stdin(Fd::null())
        .stdout(Fd::from(archive))
        .stderr(Fd::stream())
        .spawn(NoProtocol)
        .await?;
    let mut lines = process.stderr()?.lines(8192);
    while let Some(line) = lines.next().await {
        let line = line?;
        let written = line.strip_prefix("tar: Write checkpoint ");
        match written.and_then(|records| records.parse::<u64>().ok()) {
            Some(records) => bar.set_position(records * RECORD),
            None => bar.suspend(|| eprintln!("{line}")),
        }
    }
    bar.finish_and_clear();
    let status = process.ended().await;
    if !status.success() {
        return Err(format!("tar failed ({status})").into());
    }
    Ok(())
}

async fn run(directory: &Path, name: &Path) -> Result<(), Error> {
    let total = length(directory)
        .await
        .map_err(|error| format!("asking for the length: {error}"))?;
    let place = name.display();
    let file = File::create(name).map_err(|error| format!("making {place}: {error}"))?;
    archive(directory, file, total)
        .await
        .map_err(|error| format!("writing {place}: {error}"))?;
    println!("{place}: {} bytes", std::fs::metadata(name)?.len());
    Ok(())
}

#[actix::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, name] = &args[..] else {
        eprintln!("usage: progress DIRECTORY ARCHIVE");
        return ExitCode::from(2);
    };
    match run(directory.as_ref(), name.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
