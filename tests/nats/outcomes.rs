//! Each outcome that is final has a result that says so; only lost workers, timeouts and full queues make a job come again.

use actix_process::Command;
use actix_process::nats::{JobRequest, JobResult, JobStatus, Submitter};
use actix_process::pool::{Job, Pool};

use crate::common::helper::helper;
use crate::common::in_time;
use crate::tools::jetstream::{count, messages, publish, under_way};
use crate::tools::server::Server;
use crate::tools::worker::{pool, workers};
use crate::tools::{
    LONG, Signs, feed, millis, on, on_server, result, stats, submit, submitter, until_is,
};

async fn wait(submitter: &Submitter, job: Job) -> JobResult {
    submitter.submit_and_wait(job, LONG).await.unwrap()
}

fn assert_is(result: &JobResult, status: JobStatus, body: &str, attempts: u32) {
    let seen = (result.status, &result.body[..], result.attempts);
    assert_eq!(seen, (status, body.as_bytes(), attempts));
}

#[test]
fn a_worker_s_error_is_a_result() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let failed = result(&submitter(&client), "fail no").await;
        assert_is(&failed, JobStatus::Remote, "no", 1);
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
        assert_eq!((feed.stats().done, feed.stats().not_ok), (1, 1));
    });
}

#[test]
fn the_status_of_a_process_is_a_result() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = Pool::one_shot(Command::new("sh"))
            .workers(1..=1)
            .start()
            .unwrap();
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        let failed = result(&submitter, "echo no >&2; exit 3").await;
        assert_is(&failed, JobStatus::Failed, "no\n", 1);
        assert_is(
            &result(&submitter, "echo yes").await,
            JobStatus::Ok,
            "yes\n",
            1,
        );
    });
}

#[test]
fn an_answer_that_the_server_does_not_take_is_a_result_without_it() {
    on(Server::start_with("max_payload: 10KB"), async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let large = result(&submitter(&client), "large 20000").await;
        assert_is(&large, JobStatus::TooLarge, "", 1);
    });
}

#[test]
fn an_answer_that_the_pool_does_not_take_is_a_result_without_it() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = pool(1).max_answer(1000).start().unwrap();
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let large = result(&submitter(&client), "large 2000").await;
        assert_is(&large, JobStatus::TooLarge, "", 1);
    });
}

#[test]
fn what_a_worker_does_to_the_framing_is_a_result() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = Pool::new(helper(["worker"]))
            .workers(1..=1)
            .start()
            .unwrap();
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let garbled = result(&submitter(&client), "garble").await;
        assert_eq!((garbled.status, garbled.attempts), (JobStatus::Protocol, 1));
        assert!(!garbled.body.is_empty());
    });
}

#[test]
fn a_header_that_is_wrong_is_a_result_and_the_job_does_not_run() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let signs = Signs::new();
        let wrong = [
            ("Job-Priority", "high"),
            ("Job-Expires", "soon"),
            ("Job-Timeout", "0"),
        ];
        for header in wrong {
            publish(&client, &[header], signs.logs("run")).await;
        }
        until_is("the results", 3, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        for (result, (name, _)) in messages(&client, "JOBS_RESULTS").await.iter().zip(wrong) {
            assert_eq!(result.header("Job-Status"), "protocol");
            let said = String::from_utf8_lossy(&result.body);
            assert!(said.contains(name), "{said}");
        }
        assert_eq!(signs.log(), [""; 0]);
    });
}

#[test]
fn a_job_that_expires_in_the_stream_or_in_the_pool_is_a_result_and_does_not_run() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let signs = Signs::new();
        let submitter = submitter(&client);
        let first = feed(client.clone()).start(&pool).await.unwrap();
        submit(&submitter, signs.waits("first", "")).await;
        signs.logged(1).await;
        let expires = |time| Job::new(signs.logs("late")).expires(millis(time));
        // Long enough to come to the pool.
        let in_the_pool = wait(&submitter, expires(1000)).await;
        assert_is(&in_the_pool, JobStatus::Expired, "", 1);
        signs.go();
        in_time(first.stop(LONG)).await;
        let (id, late) = ("late", JobRequest::new(expires(30)).id("late"));
        in_time(submitter.submit(late)).await.unwrap();
        actix_rt::time::sleep(millis(40)).await;
        let _second = feed(client.clone()).start(&pool).await.unwrap();
        let again = JobRequest::new(Job::new("echo other")).id(id);
        let in_the_stream = submitter.submit_and_wait(again, LONG).await.unwrap();
        assert_is(&in_the_stream, JobStatus::Expired, "", 0);
        assert_eq!(signs.log(), ["first"]);
    });
}

#[test]
fn a_lost_worker_and_a_timeout_make_a_job_come_again() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let lost = format!("once {} echo done", signs.path("lost").display());
        assert_is(&result(&submitter, lost).await, JobStatus::Ok, "done", 2);
        let late = format!("first {} echo done", signs.path("late").display());
        let late = wait(&submitter, Job::new(late).timeout(millis(1000))).await;
        assert_is(&late, JobStatus::Ok, "done", 2);
        let stats = feed.stats();
        let seen = (stats.lost_workers, stats.timeouts, stats.retried);
        assert_eq!(seen, (1, 1, 2), "{stats:?}");
        until_is("no attempts", 0, async || {
            count(&client, "JOBS_ATTEMPTS").await
        })
        .await;
    });
}

#[test]
fn a_full_queue_gives_a_job_back_and_that_is_no_attempt() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = pool(1).queue(0).start().unwrap();
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let signs = Signs::new();
        // Its request is with the server while the pool's one place is taken by somebody else.
        let submitter = submitter(&client);
        assert_is(
            &result(&submitter, "echo first").await,
            JobStatus::Ok,
            "first",
            1,
        );
        let others = pool.submit(Job::new(signs.waits("other", "")));
        signs.logged(1).await;
        submit(&submitter, format!("{} echo done", signs.logs("run"))).await;
        let stats = stats(&feed, "a job that goes back", |stats| stats.given_back > 0).await;
        assert_eq!((stats.retried, stats.lost_workers), (0, 0), "{stats:?}");
        signs.go();
        in_time(others).await.unwrap();
        until_is("the result", 2, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        let results = messages(&client, "JOBS_RESULTS").await;
        assert_eq!(results[1].header("Job-Attempts"), "1");
        assert_eq!(signs.log(), ["other", "run"]);
        until_is("no job", (0, 0), async || under_way(&client).await).await;
    });
}
