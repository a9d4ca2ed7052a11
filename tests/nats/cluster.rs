//! Many jobs over three hosts, some of which kill their workers, and one host that is killed in the middle: each job has its own result, once.

use std::collections::BTreeMap;

use actix_process::nats::JobRequest;
use actix_process::pool::Job;
use futures::StreamExt;

use crate::common::{amount, in_time};
use crate::tools::hosts;
use crate::tools::jetstream::{count, messages, under_way};
use crate::tools::worker::workers;
use crate::tools::{LONG, Signs, feed, on_server, submitter, until, until_is};

/// No test but a host of the one below.
#[test]
fn host() {
    hosts::be_a_host();
}

/// One of so many kills its worker when it runs first.
const KILLS: usize = 50;

#[test]
fn each_of_many_jobs_has_one_right_result_though_workers_and_a_host_are_killed() {
    on_server(async |server| {
        let client = server.client().await;
        let signs = Signs::new();
        let first = feed(client.clone()).start(&workers(1)).await.unwrap();
        in_time(first.stop(LONG)).await;
        let mut hosts: Vec<_> = (0..3).map(|_| hosts::start(&server.url(), 2)).collect();
        let submitter = submitter(&client);
        let jobs = amount(20_000, 1_000);
        let request = |number: usize| {
            let mut text = format!("echo {number}");
            if number.is_multiple_of(KILLS) {
                let once = signs.path(&number.to_string());
                text = format!("once {} {text}", once.display());
            }
            JobRequest::new(Job::new(text)).id(number.to_string())
        };
        let submitted = futures::stream::iter(0..jobs)
            .map(|number| submitter.submit(request(number)))
            .buffer_unordered(100)
            .for_each(async |submitted| drop(submitted.unwrap()));
        let killed = async {
            until("a third of the results", async || {
                let done = count(&client, "JOBS_RESULTS").await;
                if done as usize > jobs / 3 {
                    Ok(())
                } else {
                    Err(done.to_string())
                }
            })
            .await;
            hosts[0].kill();
        };
        in_time(futures::future::join(submitted, killed)).await;
        // A busy machine may take long for all of them, and not for one.
        let mut done = 0;
        while done < jobs as u64 {
            done = until("more results", async || {
                let seen = count(&client, "JOBS_RESULTS").await;
                if seen > done {
                    Ok(seen)
                } else {
                    Err(format!("{seen} of {jobs}"))
                }
            })
            .await;
        }
        assert_eq!(done, jobs as u64);
        until_is("no job", (0, 0), async || under_way(&client).await).await;
        let mut seen = BTreeMap::new();
        for result in messages(&client, "JOBS_RESULTS").await {
            let (id, status) = (result.header("Job-Id"), result.header("Job-Status"));
            assert_eq!((status, &result.body[..]), ("ok", id.as_bytes()));
            *seen.entry(id.parse::<usize>().unwrap()).or_insert(0) += 1;
        }
        let wanted: BTreeMap<_, _> = (0..jobs).map(|number| (number, 1)).collect();
        assert!(seen == wanted, "{} of {jobs} have results", seen.len());
        for stream in ["JOBS", "JOBS_DEAD"] {
            until_is(stream, 0, async || count(&client, stream).await).await;
        }
    });
}
