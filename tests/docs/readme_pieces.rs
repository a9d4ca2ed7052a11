//! The pieces of Rust of README.md and of the pages of `coming_from`, run: `readme.rs` finds them in this file.

use std::error::Error;

use futures::channel::oneshot;

use crate::common::run;

// What README.md says that its pieces leave out.
use std::time::Duration;

use actix::prelude::*;
use actix_process::monitor::*;
use actix_process::pool::*;
use actix_process::*;
use futures::future::try_join_all;
use futures::{SinkExt, StreamExt, TryStreamExt};

/// The second one keeps services running.
#[test]
fn services_that_are_kept_running() {
    run(async {
        let web = Command::new("sh").args(["-c", "echo listening; exec sleep 60"]);
        let web = Service::new("web", web)
            .ready(Ready::line("listening"))
            .restart(Restart::always());
        let jobs = Service::new("jobs", Command::new("sleep").arg("60")).after("web", When::Ready);
        let model = Service::new("model", Command::new("sleep").arg("60")).on_demand();
        let monitor = Monitor::new().services([web, jobs, model]).start()?;

        monitor.ready("jobs").await?;
        let lease = monitor.lease("model").await?; // It runs until the last lease is dropped, and a while more.
        let mut lines = monitor.follow("web", Since::Start);
        if let Some(Followed::Line { bytes, .. }) = lines.next().await {
            println!("web says {}", String::from_utf8_lossy(&bytes));
        }
        drop(lease);
        let report = monitor.shutdown(Duration::from_secs(20)).await;
        println!("{:?} ended by themselves or by SIGTERM", report.clean);
        assert_eq!(report.clean.len(), 3, "{report:?}");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

/// The third one hands jobs to workers.
#[test]
fn jobs_to_workers() {
    run(async {
        let upper = Command::new("tr").args(["a-z", "A-Z"]);
        let pool = Pool::one_shot(upper).workers(1..=4).queue(100);
        let pool = pool.job_timeout(Duration::from_secs(60)).start()?;
        let jobs = ["a", "b", "c"].map(|text| pool.submit(Job::new(text)));
        println!("{:?}", try_join_all(jobs).await?);
        let report = pool.drain(Duration::from_secs(20)).await;
        assert_eq!((report.killed, report.ended), (0, 0), "{report:?}");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

mod first_program {
    use actix_process::Command;
    use futures::StreamExt;

    #[actix::main]
    async fn main() -> Result<(), Box<dyn std::error::Error>> {
        let seq = Command::new("seq").arg("3").open().await?;
        let mut lines = seq.stdout.lines(1024);
        while let Some(line) = lines.next().await {
            println!("seq says {}", line?);
        }
        println!("{}", seq.process.ended().await);
        Ok(())
    }

    #[test]
    fn it_runs() {
        main().unwrap();
    }
}

#[test]
fn output_without_an_actor() {
    run(async {
        let sort = Command::new("sort").output().input("b\na\n");
        let sorted = sort.timeout(Duration::from_secs(10)).await?;
        assert_eq!(sorted.stdout, b"a\nb\n");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn text_or_why_there_is_none() {
    run(async {
        let release = Command::new("uname").arg("-r").text().await?;
        assert!(release.starts_with(char::is_numeric), "{release:?}");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn a_child_in_three_lines() {
    run(async {
        let mut child = Command::new("cat").open().await?;
        child.stdin.send("hello\n".into()).await?;
        let said = child.stdout.find("\n", Duration::from_secs(10)).await?;
        assert_eq!(said, "hello");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn a_body_in_and_a_body_out() {
    run(async {
        let upper = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stream()
            .input("hello")
            .start()
            .await?;
        let body: Vec<Bytes> = upper.try_collect().await?;
        assert_eq!(body.concat(), b"HELLO");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

/// What it holds drops with the actor, so after the child's end.
struct Numbers {
    _gone: oneshot::Sender<()>,
}

impl Actor for Numbers {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        Command::new("seq")
            .arg("3")
            .stdout(Fd::lines(1024))
            .spawn_in(ctx);
    }
}
impl ProcessProtocol for Numbers {
    fn line_received(&mut self, _: &ProcessHandle, _: i32, line: Line, _: &mut Self::Context) {
        println!("{}", line.to_string_lossy());
    }
}
process_protocol!(Numbers);

#[test]
fn an_actor_that_owns_its_child() {
    run(async {
        let (_gone, gone) = oneshot::channel();
        drop(Numbers { _gone }.start());
        assert!(gone.await.is_err(), "nothing is sent");
    });
}

#[test]
fn a_terminal_as_a_stream() {
    run(async {
        let terminal = Pty::new(PtySize::new(24, 80)).stream();
        let shell = Command::new("sh").pty(terminal).spawn(NoProtocol).await?;
        shell.write("stty size; exit\n")?;
        let shown: Vec<Bytes> = shell.stdout()?.collect().await;
        let shown = String::from_utf8(shown.concat())?;
        assert!(shown.contains("24 80"), "{shown:?}");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn a_stop_with_grace() {
    run(async {
        let server = Command::new("sleep").arg("60").setsid(true);
        let server = server.spawn(NoProtocol).await?;
        let stopped = server
            .stop(Ladder::new().term(Duration::from_secs(5)).kill())
            .await?;
        println!("{} after {:?}", stopped.status, stopped.took);
        assert!(stopped.leftovers.is_empty(), "{stopped:?}");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn one_childs_output_is_the_others_input() {
    run(async {
        let (reader, writer) = Fd::pipe()?;
        let echo = Command::new("echo").arg("one two").stdout(writer);
        let wc = Command::new("wc").arg("-w").stdin(reader);
        let (echo, wc) =
            futures::future::try_join(echo.status().into_future(), wc.output().into_future())
                .await?;
        assert!(echo.success());
        assert_eq!(wc.stdout.trim_ascii(), b"2");
        Ok::<(), Box<dyn Error>>(())
    })
    .unwrap();
}

#[test]
fn wrappers_stand_in_for_options() {
    let without_capabilities = Command::new("setpriv").args(["--bounding-set", "-all", "--", "id"]);
    let on_one_cpu = Command::new("taskset").args(["--cpu-list", "0", "make"]);
    let off_the_net = Command::new("unshare").args(["--map-root-user", "--net", "--", "make"]);
    // They need programs and rights that not every machine has; that they are commands is all
    // that this test can tell.
    for (command, program) in [
        (without_capabilities, "setpriv"),
        (on_one_cpu, "taskset"),
        (off_the_net, "unshare"),
    ] {
        assert!(format!("{command:?}").contains(program), "{command:?}");
    }
}
