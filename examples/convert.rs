//! Converts the files of a folder by real programs, a process for each file, and says what became of each, in order.
//!
//! `cargo run --example convert -- FOLDER` puts the converted files into `FOLDER/converted`. Without FOLDER it makes one with
//! texts, a picture, one file that kills its converter and one that makes it hang. Texts are compressed by gzip; documents become HTML where pandoc
//! is installed, and pictures thumbnails where ImageMagick is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};

type Error = Box<dyn std::error::Error>;

/// Some conversions: their pool, and how the name of a file ends that comes of them.
struct Converter {
    pool: PoolHandle,
    ending: &'static str,
}

impl Converter {
    /// At most two processes at a time, of three seconds each.
    fn start(name: &str, command: Command, ending: &'static str) -> Result<Self, Error> {
        let pool = Pool::one_shot(command).name(name).workers(1..=2);
        let pool = pool.job_timeout(Duration::from_secs(3)).start()?;
        Ok(Self { pool, ending })
    }
}

/// The programs that are here.
struct Converters {
    text: Converter,
    document: Option<Converter>,
    picture: Option<Converter>,
}

impl Converters {
    fn start() -> Result<Self, Error> {
        // Two texts stand for what a converter meets in the wild.
        let script = r#"read -r first; case "$first" in
            *poison*) kill -SEGV $$ ;;
            *hang*) exec sleep 1000 ;;
        esac
        { printf '%s\n' "$first"; cat; } | gzip"#;
        let picture = ["magick", "convert"]
            .into_iter()
            .find(|program| is_here(program));
        let picture = picture
            .map(|program| Command::new(program).args(["-", "-thumbnail", "64x64", "png:-"]));
        let document = is_here("pandoc")
            .then(|| Command::new("pandoc").args(["-f", "markdown", "-t", "html"]));
        Ok(Self {
            text: Converter::start("gzip", Command::new("sh").args(["-c", script]), "gz")?,
            document: document
                .map(|command| Converter::start("pandoc", command, "html"))
                .transpose()?,
            picture: picture
                .map(|command| Converter::start("magick", command, "png"))
                .transpose()?,
        })
    }

    fn of(&self, file: &Path) -> &Converter {
        let ending = file.extension().and_then(|ending| ending.to_str());
        let own = match ending {
            Some("md") => self.document.as_ref(),
            Some("jpg" | "png" | "gif" | "ppm") => self.picture.as_ref(),
            _ => None,
        };
        own.unwrap_or(&self.text)
    }

    async fn drain(self) {
        for converter in [Some(self.text), self.document, self.picture]
            .into_iter()
            .flatten()
        {
            converter.pool.drain(Duration::from_secs(10)).await;
        }
    }
}

fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What became of a file.
async fn converted(file: &Path, converter: &Converter, folder: &Path) -> String {
    let job = match fs::read(file) {
        Ok(content) => Job::new(content),
        Err(error) => return format!("cannot be read: {error}"),
    };
    match converter.pool.submit(job).await {
        Ok(answer) => {
            let name = file.file_name().unwrap_or_default();
            let mut to = folder.join(name).into_os_string();
            to.push(".");
            to.push(converter.ending);
            match fs::write(&to, &answer) {
                Ok(()) => format!("{} bytes of {}", answer.len(), converter.ending),
                Err(error) => format!("cannot be written: {error}"),
            }
        }
        Err(JobError::Timeout { .. }) => "hangs: its converter was stopped".to_owned(),
        Err(JobError::WorkerLost {
            status: Some(status),
            ..
        }) => format!("kills its converter: {status}"),
        Err(JobError::Failed { status, tail, .. }) => {
            let complaint = String::from_utf8_lossy(&tail);
            format!(
                "not converted: {status}: {}",
                complaint.lines().last().unwrap_or_default()
            )
        }
        Err(error) => format!("not converted: {error}"),
    }
}

fn sample(folder: &Path) -> std::io::Result<()> {
    for number in 1..=6 {
        fs::write(
            folder.join(format!("{number}.txt")),
            format!("text {number}\n").repeat(1000 * number),
        )?;
    }
    fs::write(folder.join("7-poison.txt"), "a poisoned text\n")?;
    fs::write(folder.join("8-hang.txt"), "a text that makes it hang\n")?;
    fs::write(folder.join("9.md"), "# A document\n\nwith *words*.\n")?;
    // A picture of four dots.
    fs::write(
        folder.join("a.ppm"),
        "P3 2 2 255 255 0 0 0 255 0 0 0 255 255 255 255\n",
    )
}

async fn run() -> Result<(), Error> {
    let made = tempfile::tempdir()?;
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            sample(made.path())?;
            made.path().to_owned()
        }
    };
    let files = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<std::io::Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    let into = folder.join("converted");
    fs::create_dir_all(&into)?;
    let converters = Converters::start()?;
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len}")?.progress_chars("=> ");
    let bar = ProgressBar::new(files.len() as u64).with_style(style);
    // Four at a time are submitted, and told in the order of their names.
    let jobs = stream::iter(&files).map(|file| converted(file, converters.of(file), &into));
    let ends = stream::iter(&files).zip(jobs.buffered(4));
    ends.for_each(async |(file, end)| {
        bar.suspend(|| println!("{}: {end}", file.file_name().unwrap_or_default().display()));
        bar.inc(1);
    })
    .await;
    bar.finish_and_clear();
    converters.drain().await;
    if folder != made.path() {
        println!("they are in {}", into.display());
    }
    Ok(())
}

#[actix::main]
async fn main() -> Result<(), Error> {
    run().await
}
