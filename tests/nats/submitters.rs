//! Who submits jobs: each is stored once, its headers travel, and its result comes.

use std::process::Stdio;

use actix_process::nats::{JobRequest, JobStatus, SubmitError, Submitter};
use actix_process::pool::Job;
use futures::StreamExt;

use crate::common::isolated::skipped;
use crate::common::{example, in_time};
use crate::tools::jetstream::{count, messages, publish};
use crate::tools::server::Server;
use crate::tools::worker::workers;
use crate::tools::{
    LONG, Signs, feed, millis, on, on_server, result, stats, submit, submitter, until_is,
};

#[test]
fn a_job_that_is_submitted_twice_runs_once() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let job =
            || JobRequest::new(Job::new(format!("{} echo done", signs.logs("run")))).id("mine");
        let (first, second) =
            futures::future::join(submitter.submit(job()), submitter.submit(job())).await;
        assert_eq!(
            (first.unwrap().as_str(), second.unwrap().as_str()),
            ("mine", "mine")
        );
        stats(&feed, "the result", |stats| stats.done == 1).await;
        // Also when the job has left the stream.
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
        in_time(submitter.submit(job())).await.unwrap();
        let result = result(&submitter, "echo other").await;
        assert_eq!(result.body, "other");
        assert_eq!(signs.log(), ["run"]);
        assert_eq!(count(&client, "JOBS_RESULTS").await, 2);
    });
}

#[test]
fn the_result_of_a_job_that_was_submitted_before_comes_as_well() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let job = |text: &'static str| JobRequest::new(Job::new(text)).id("mine");
        let first = submitter(&client)
            .submit_and_wait(job("echo first"), LONG)
            .await
            .unwrap();
        assert_eq!(first.body, "first");
        let again = submitter(&client)
            .submit_and_wait(job("echo second"), LONG)
            .await
            .unwrap();
        assert_eq!(again, first);
    });
}

#[test]
fn urgent_jobs_go_first() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone())
            .prefetch(10)
            .start(&pool)
            .await
            .unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        submit(&submitter, signs.waits("first", "")).await;
        signs.logged(1).await;
        for line in ["a", "b"] {
            submit(&submitter, signs.logs(line)).await;
        }
        let urgent = Job::new(signs.logs("urgent")).urgent();
        in_time(submitter.submit(urgent)).await.unwrap();
        until_is("three jobs that wait here", 3, async || {
            pool.stats().await.unwrap().waiting
        })
        .await;
        signs.go();
        assert_eq!(signs.logged(4).await, ["first", "urgent", "a", "b"]);
    });
}

#[test]
fn jobs_of_a_key_run_on_one_worker_of_a_host() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(3);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        let jobs =
            (0..12).map(|_| submitter.submit_and_wait(Job::new("sleep 5 pid").key("user 7"), LONG));
        let results = in_time(futures::future::try_join_all(jobs)).await.unwrap();
        assert!(
            results.iter().all(|result| result.body == results[0].body),
            "more than one"
        );
        let others = (0..12).map(|_| submitter.submit_and_wait(Job::new("sleep 5 pid"), LONG));
        let others = in_time(futures::future::try_join_all(others))
            .await
            .unwrap();
        assert!(
            others.iter().any(|result| result.body != others[0].body),
            "keys are no matter"
        );
    });
}

#[test]
fn the_time_and_the_trace_of_a_job_travel() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone())
            .max_deliver(1)
            .start(&pool)
            .await
            .unwrap();
        let submitter = submitter(&client);
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let slow = JobRequest::new(Job::new("hang").timeout(millis(50))).traceparent(trace);
        let result = submitter.submit_and_wait(slow, LONG).await.unwrap();
        assert_eq!(result.status, JobStatus::Dead);
        assert_eq!(result.traceparent.as_deref(), Some(trace));
        for stream in ["JOBS_RESULTS", "JOBS_DEAD"] {
            let message = messages(&client, stream).await.remove(0);
            assert_eq!(message.header("traceparent"), trace, "{stream}");
        }
    });
}

#[test]
fn each_reader_has_all_results_from_then_on() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(2);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        result(&submitter, "echo before").await;
        let readers = [
            submitter.results().await.unwrap(),
            submitter.results().await.unwrap(),
        ];
        for number in 0..100 {
            submit(&submitter, format!("echo {number}")).await;
        }
        for reader in readers {
            let results = in_time(reader.take(100).collect::<Vec<_>>()).await;
            let mut numbers: Vec<u32> = results
                .iter()
                .map(|result| String::from_utf8_lossy(&result.body).parse().unwrap())
                .collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..100), "{results:?}");
        }
    });
}

#[test]
fn results_go_on_after_the_server_was_killed() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        let mut results = submitter.results().await.unwrap();
        submit(&submitter, "echo before").await;
        assert_eq!(in_time(results.next()).await.unwrap().body, "before");
        server.kill();
        let waits = submitter.submit_and_wait(Job::new("echo after"), LONG);
        let restarted = async {
            // It was submitted while there was no server.
            actix_rt::time::sleep(millis(100)).await;
            server.restart();
        };
        let (waited, ()) = in_time(futures::future::join(waits, restarted)).await;
        assert_eq!(waited.unwrap().body, "after");
        assert_eq!(in_time(results.next()).await.unwrap().body, "after");
    });
}

#[test]
fn what_cannot_be_submitted_is_an_error() {
    on(Server::start_with("max_payload: 10KB"), async |server| {
        let client = server.client().await;
        let submitter = submitter(&client);
        let none = submitter.submit(Job::new("echo")).await.unwrap_err();
        assert!(
            matches!(&none, SubmitError::NoStream { subject, .. } if subject == "jobs.convert"),
            "{none:?}"
        );
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let large = submitter
            .submit(Job::new("x".repeat(20_000)))
            .await
            .unwrap_err();
        assert_eq!(large, SubmitError::TooLarge);
        let nowhere = Submitter::new(client.clone(), "jobs.other")
            .submit(Job::new("x"))
            .await;
        assert!(
            matches!(nowhere, Err(SubmitError::NoStream { .. })),
            "{nowhere:?}"
        );
        let invalid = submitter
            .submit(Job::new("x").arg("--all"))
            .await
            .unwrap_err();
        assert!(
            matches!(invalid, SubmitError::Invalid { .. }),
            "{invalid:?}"
        );
        in_time(feed.stop(LONG)).await;
        let late = submitter
            .submit_and_wait(JobRequest::new(Job::new("echo")).id("late"), millis(300))
            .await;
        let Err(SubmitError::TimedOut { id, .. }) = late else {
            panic!("{late:?}");
        };
        assert_eq!(id.as_str(), "late");
    });
}

#[test]
fn a_server_that_is_gone_leaves_unknown_whether_the_job_is_stored() {
    on_server(async |server| {
        let client = server.client().await;
        let submitter = submitter(&client);
        server.kill();
        let unknown = in_time(submitter.submit(JobRequest::new(Job::new("echo")).id("mine"))).await;
        let Err(SubmitError::Unknown { id, .. }) = unknown else {
            panic!("{unknown:?}");
        };
        assert_eq!(id.as_str(), "mine");
    });
}

/// By what `docs/nats.md` says, without this crate.
#[test]
fn a_job_and_its_result_are_headers_and_a_body() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let headers = [
            ("Nats-Msg-Id", "17"),
            ("Job-Key", "k"),
            ("Job-Expires", "60000"),
            ("traceparent", "00-1-2-01"),
        ];
        publish(&client, &headers, "echo done").await;
        until_is("a result", 1, async || count(&client, "JOBS_RESULTS").await).await;
        let result = messages(&client, "JOBS_RESULTS").await.remove(0);
        let names = ["Job-Id", "Job-Status", "Job-Attempts", "traceparent"];
        let said = names.map(|name| result.header(name));
        assert_eq!(said, ["17", "ok", "1", "00-1-2-01"]);
        // What the stream knows it by.
        let known = result.header("Nats-Msg-Id");
        assert!(known.starts_with("17"), "{known}");
        assert_eq!(result.body, "done");
    });
}

#[test]
fn a_program_in_python_submits_and_has_results() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/submit.py");
    let test = std::env::current_exe().unwrap();
    let in_target = test.ancestors().map(|dir| dir.join("venv/bin/python"));
    let has_nats = |python: &std::path::PathBuf| {
        let mut import = std::process::Command::new(python);
        let import = import.args(["-c", "import nats"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    let Some(python) = in_target.chain(["python3".into()]).find(has_nats) else {
        return skipped("there is no nats-py: .ci/run installs it");
    };
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(2);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let mut program = example::program(&python);
        program.args([script, &server.url(), "50"]);
        let ran = actix_rt::task::spawn_blocking(move || example::run(&mut program));
        let (said, _) = in_time(ran).await.unwrap();
        assert_eq!(said, "50 of 50 jobs have their right result\n");
        let results = messages(&client, "JOBS_RESULTS").await;
        assert_eq!(results.len(), 50);
        assert!(
            results
                .iter()
                .all(|result| result.header("Job-Id").starts_with("py-"))
        );
    });
}
