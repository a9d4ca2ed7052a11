//! Hosts and servers that are killed: all jobs are done, none has two results, and the feeds go on by themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_process::pool::Job;
use futures::StreamExt;

use crate::common::{amount, in_time};
use crate::tools::hosts;
use crate::tools::jetstream::{
    consumer_info, count, make_consumer, messages, stream_info, under_way,
};
use crate::tools::worker::workers;
use crate::tools::{ACK_WAIT, LONG, Signs, feed, on_server, submit, submitter, until, until_is};

/// No test but a host of those below.
#[test]
fn host() {
    hosts::be_a_host();
}

#[test]
fn the_jobs_of_a_host_that_is_killed_are_done_elsewhere_soon() {
    on_server(async |server| {
        let client = server.client().await;
        let signs = Signs::new();
        let mut killed = hosts::start(&server.url(), 2);
        let submitter = submitter(&client);
        for number in 0..4 {
            submit(&submitter, signs.waits("run", &format!("echo {number}"))).await;
        }
        // Two run, and two were fetched ahead.
        until_is("four jobs on the host", (4, 0), async || {
            under_way(&client).await
        })
        .await;
        signs.logged(2).await;
        let pool = workers(2);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        killed.kill();
        let begun = Instant::now();
        signs.go();
        until_is("four results", 4, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        let took = begun.elapsed();
        assert!(took < ACK_WAIT + Duration::from_secs(5), "{took:?}");
        until_is("no job", (0, 0), async || under_way(&client).await).await;
    });
}

/// Two hosts work on jobs, and the server is killed twice in the middle of them.
#[test]
fn a_server_that_is_killed_twice_loses_nothing_and_the_feeds_go_on() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(2), workers(2));
        let one = feed(client.clone()).start(&pool).await.unwrap();
        let other = feed(server.client().await)
            .start(&other_pool)
            .await
            .unwrap();
        let mut config = consumer_info(&client).await["config"].clone();
        // One that is made anew does not have it.
        config["description"] = "the first one".into();
        make_consumer(&client, "JOBS", config).await;
        let submitter = submitter(&client);
        let jobs = amount(3000, 600);
        let done = || one.stats().done + other.stats().done;
        let submitted = futures::stream::iter(0..jobs)
            .map(|number| submitter.submit(Job::new(format!("sleep 2 echo {number}"))))
            .buffer_unordered(100)
            .collect::<Vec<_>>();
        for submitted in in_time(submitted).await {
            submitted.unwrap();
        }
        for part in [5, 2] {
            let wanted = (jobs / part) as u64;
            until("some results", async || {
                if done() > wanted {
                    Ok(())
                } else {
                    Err(done().to_string())
                }
            })
            .await;
            let silences = || one.stats().silences + other.stats().silences;
            let before = silences();
            server.kill();
            until("the silence", async || {
                if silences() > before {
                    Ok(())
                } else {
                    Err(format!("{before} {:?} {:?}", one.stats(), other.stats()))
                }
            })
            .await;
            server.restart();
            let (before, begun) = (done(), Instant::now());
            until("a result again", async || {
                if done() > before {
                    Ok(())
                } else {
                    Err(format!("{:?}", one.stats()))
                }
            })
            .await;
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:?}",
                begun.elapsed()
            );
        }
        until("the results", async || {
            let done = count(&client, "JOBS_RESULTS").await;
            if done == jobs as u64 {
                return Ok(());
            }
            let state = stream_info(&client, "JOBS").await["state"].clone();
            Err(format!(
                "{done} {state} {} {:?} {:?}",
                consumer_info(&client).await,
                one.stats(),
                other.stats()
            ))
        })
        .await;
        each_has_one_result(server, jobs).await;
        // What a killed server brings back is swept away.
        until("an empty stream, and no job", async || {
            let state = stream_info(&client, "JOBS").await["state"].clone();
            let info = consumer_info(&client).await;
            let left = [
                &state["messages"],
                &info["num_pending"],
                &info["num_ack_pending"],
            ];
            if left.iter().all(|left| **left == 0) {
                return Ok(());
            }
            Err(format!("{state} {info}"))
        })
        .await;
        let config = consumer_info(&client).await["config"].clone();
        assert_eq!(config["description"], "the first one", "{config}");
        in_time(one.stop(LONG)).await;
        in_time(other.stop(LONG)).await;
    });
}

/// The bodies of the results are the numbers up to this one, each once.
async fn each_has_one_result(server: &crate::tools::server::Server, jobs: usize) {
    let client = server.client().await;
    let mut seen = BTreeMap::new();
    for result in messages(&client, "JOBS_RESULTS").await {
        assert_eq!(result.header("Job-Status"), "ok");
        let number = String::from_utf8_lossy(&result.body).into_owned();
        *seen.entry(number).or_insert(0) += 1;
    }
    let wanted = (0..jobs).map(|number| (number.to_string(), 1)).collect();
    assert!(seen == wanted, "{} of {jobs}: {seen:?}", seen.len());
}
