//! A job that loses its workers has so many attempts as it may, and no more: then it is dead, and nothing of it is left in the stream.

use actix_process::nats::{FeedEvent, FeedReported, JobRequest, JobStatus, LostHow};
use actix_process::pool::Job;
use futures::StreamExt;

use crate::common::in_time;
use crate::tools::hosts;
use crate::tools::jetstream::{Stored, count, messages, under_way};
use crate::tools::server::Server;
use crate::tools::worker::{pool, workers};
use crate::tools::{
    LONG, Signs, feed, millis, on_server, result, stats, submit, submitter, until, until_is,
};

/// No test but a host of those below.
#[test]
fn host() {
    hosts::be_a_host();
}

/// That nothing of the jobs is left but what is said of them.
async fn nothing_is_left(server: &Server) {
    let client = server.client().await;
    until_is("no job", (0, 0), async || under_way(&client).await).await;
    for stream in ["JOBS", "JOBS_ATTEMPTS"] {
        until_is(stream, 0, async || count(&client, stream).await).await;
    }
}

fn headers<'a, const N: usize>(message: &'a Stored, names: [&str; N]) -> [&'a str; N] {
    names.map(|name| message.header(name))
}

#[test]
fn a_job_that_kills_its_workers_is_dead_after_so_many_attempts() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(1), workers(1));
        let one = feed(client.clone())
            .max_deliver(3)
            .start(&pool)
            .await
            .unwrap();
        // Attempts count wherever they are.
        let other = feed(server.client().await).max_deliver(3);
        let other = other.start(&other_pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let body = format!("{} die no-memory", signs.logs("run"));
        let request = JobRequest::new(Job::new(body.clone()).key("user 7"));
        let request = request.id("poison").traceparent("00-1-2-01");
        let result = submitter.submit_and_wait(request, LONG).await.unwrap();
        assert_eq!((result.status, result.attempts), (JobStatus::Dead, 3));
        assert!(result.body.is_empty());
        assert_eq!(signs.log(), ["run"; 3]);
        let dead = messages(&client, "JOBS_DEAD").await;
        let [dead] = &dead[..] else {
            panic!("{dead:?}");
        };
        assert_eq!(dead.body, body.as_bytes());
        let said = headers(dead, ["Job-Id", "Job-Status", "Job-Kind", "Job-Attempts"]);
        assert_eq!(said, ["poison", "worker_lost", "signal", "3"]);
        // What the stream knows it by.
        let known = dead.header("Nats-Msg-Id");
        assert!(known.starts_with("poison"), "{known}");
        assert!(dead.header("Job-Tail").contains(r"no-memory\n"), "{dead:?}");
        assert!(dead.header("Job-Exit").contains('9'), "{dead:?}");
        assert_eq!(
            headers(dead, ["Job-Key", "traceparent"]),
            ["user 7", "00-1-2-01"]
        );
        nothing_is_left(server).await;
        let (one, other) = (one.stats(), other.stats());
        let both = |count: fn(&actix_process::nats::FeedStats) -> u64| count(&one) + count(&other);
        assert_eq!(both(|stats| stats.dead), 1);
        assert_eq!(both(|stats| stats.retried), 2);
        assert_eq!(both(|stats| stats.lost_workers), 3);
    });
}

#[test]
fn a_dead_job_may_be_submitted_again_as_it_is() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone())
            .max_deliver(1)
            .start(&pool)
            .await
            .unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let dead = result(
            &submitter,
            format!("once {} echo done", signs.path("once").display()),
        )
        .await;
        assert_eq!((dead.status, dead.attempts), (JobStatus::Dead, 1));
        let body = messages(&client, "JOBS_DEAD").await.remove(0).body;
        let again = submitter
            .submit_and_wait(Job::new(body), LONG)
            .await
            .unwrap();
        assert_eq!(
            (again.status, &again.body[..]),
            (JobStatus::Ok, &b"done"[..])
        );
        nothing_is_left(server).await;
    });
}

#[test]
fn a_job_that_takes_too_long_each_time_is_dead_by_that() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = pool(1).job_timeout(millis(50)).start().unwrap();
        let feed = feed(client.clone())
            .max_deliver(2)
            .start(&pool)
            .await
            .unwrap();
        let events = feed.events();
        let signs = Signs::new();
        let dead = result(&submitter(&client), format!("{} hang", signs.logs("run"))).await;
        assert_eq!((dead.status, dead.attempts), (JobStatus::Dead, 2));
        assert_eq!(signs.log(), ["run"; 2]);
        let message = messages(&client, "JOBS_DEAD").await.remove(0);
        assert_eq!(message.header("Job-Status"), "timeout");
        nothing_is_left(server).await;
        assert_eq!(feed.stats().timeouts, 2);
        in_time(feed.stop(LONG)).await;
        let told: Vec<_> = in_time(events.collect()).await;
        let [
            FeedReported::Event(FeedEvent::Retried {
                attempt: 1,
                how: LostHow::Timeout,
                ..
            }),
            FeedReported::Event(FeedEvent::Dead {
                attempts: 2,
                how: LostHow::Timeout,
                ..
            }),
            FeedReported::Event(FeedEvent::StopBegan),
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
    });
}

/// Five times the job goes back while it waits for a worker, and five times while it runs: more often than it may be tried.
#[test]
fn what_is_given_back_is_no_attempt() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = pool(1).soft(millis(50)).start().unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let start = async || {
            feed(client.clone())
                .max_deliver(2)
                .start(&pool)
                .await
                .unwrap()
        };
        let mut feed = start().await;
        let job = JobRequest::new(Job::new(signs.waits("run", "echo done"))).id("job");
        in_time(submitter.submit(job.clone())).await.unwrap();
        for times in 1..=5 {
            signs.logged(times).await;
            let report = in_time(feed.stop(millis(0))).await;
            assert_eq!((report.finished, report.given_back), (0, 1));
            let hog = Signs::new();
            let others = pool.submit(Job::new(hog.waits("other", "")));
            hog.logged(1).await;
            feed = start().await;
            stats(&feed, "the job to wait", |stats| stats.running == 1).await;
            let report = in_time(feed.stop(LONG)).await;
            assert_eq!((report.finished, report.given_back), (0, 1));
            hog.go();
            in_time(others).await.unwrap();
            feed = start().await;
        }
        signs.go();
        let result = submitter.submit_and_wait(job, LONG).await.unwrap();
        assert_eq!((result.status, result.attempts), (JobStatus::Ok, 1));
        nothing_is_left(server).await;
        in_time(feed.stop(LONG)).await;
    });
}

/// The first attempt leaves no trace when its host is killed, so there is one more than it may have. There is another one for each time that the server takes a
/// later delivery for the first: version 2.9 does, when it has tried to deliver to a host that is gone.
#[test]
fn a_job_that_kills_hosts_is_dead_in_the_end() {
    on_server(async |server| {
        let client = server.client().await;
        let signs = Signs::new();
        let feed = feed(client.clone()).start(&workers(1)).await.unwrap();
        in_time(feed.stop(LONG)).await;
        submit(
            &submitter(&client),
            format!("{} kill-host", signs.logs("run")),
        )
        .await;
        let mut runs = 0;
        let mut host = hosts::start(&server.url(), 1);
        loop {
            let is_dead = until("the end of the host or of the job", async || {
                let is_dead = count(&client, "JOBS_DEAD").await > 0;
                let ran = signs.log().len();
                if is_dead || ran > runs {
                    Ok(is_dead)
                } else {
                    Err(format!("{ran} runs"))
                }
            })
            .await;
            if is_dead {
                break;
            }
            host.ended();
            host = hosts::start(&server.url(), 1);
            runs += 1;
        }
        let dead = messages(&client, "JOBS_DEAD").await.remove(0);
        // As `max_deliver` is unless set.
        let said = headers(&dead, ["Job-Status", "Job-Attempts"]);
        assert_eq!(said, ["host_lost", "5"]);
        assert!((6..=8).contains(&runs), "{runs} runs");
        nothing_is_left(server).await;
        let results = messages(&client, "JOBS_RESULTS").await;
        assert_eq!(
            headers(&results[0], ["Job-Status", "Job-Attempts"]),
            ["dead", "5"]
        );
    });
}
