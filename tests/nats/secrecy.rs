//! Passwords, tokens and what jobs hold are in no event, line of the log, error or `Debug` of a feed or a submitter.

use std::fmt::{Debug, Display};
use std::sync::Mutex;

use actix_process::nats::{JobRequest, SubmitError};
use actix_process::pool::Job;
use futures::StreamExt;
use serde_json::Value;

use crate::common::in_time;
use crate::common::isolated::isolated;
use crate::tools::jetstream::done;
use crate::tools::server::{JETSTREAM, Server, connect_with, options};
use crate::tools::worker::workers;
use crate::tools::{LONG, Signs, feed, millis, on, submitter};

const SECRETS: [&str; 6] = [
    "sentinel-password",
    "sentinel-of-a-job",
    "sentinel-answer",
    "sentinel-error",
    "sentinel-tail",
    "sentinel-key",
];

/// All that was shown to anybody.
static SHOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        show(format!("LOG {} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn show(text: String) {
    SHOWN.lock().unwrap().push(text);
}

fn debug(value: &dyn Debug) {
    show(format!("{value:?}"));
    show(format!("{value:#?}").split_whitespace().collect());
}

fn error(value: &(impl Debug + Display)) {
    debug(value);
    show(value.to_string());
}

#[test]
fn no_secret_is_shown_by_a_feed_or_a_submitter() {
    isolated(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let users =
            "authorization { user: worker, password: sentinel-password }\nmax_payload: 10KB";
        on(Server::with(&format!("{JETSTREAM}\n{users}")), all);
        let shown = SHOWN.lock().unwrap();
        let of_feeds = |text: &&String| text.starts_with("LOG actix_process::nats");
        let logged = shown.iter().filter(of_feeds).count();
        assert!(
            logged > 10 && shown.len() > 60,
            "{logged} of {}",
            shown.len()
        );
        for text in &*shown {
            for secret in SECRETS {
                let numbers = format!("{:?}", secret.as_bytes());
                let numbers = numbers.trim_matches(['[', ']']);
                let squeezed = numbers.replace(' ', "");
                let has = |part: &str| text.contains(part);
                assert!(
                    !has(secret) && !has(numbers) && !has(&squeezed),
                    "{secret} is in {text}"
                );
            }
        }
    });
}

async fn all(server: &mut Server) {
    let wrong = options().user_and_password("worker".to_owned(), "sentinel-of-a-job".to_owned());
    assert!(wrong.connect(server.url()).await.is_err());
    let user = options().user_and_password("worker".to_owned(), SECRETS[0].to_owned());
    let client = connect_with(user, &server.url()).await;
    let (pool, signs) = (workers(1), Signs::new());
    let feed = feed(client.clone()).max_deliver(2);
    debug(&feed);
    let feed = feed.start(&pool).await.unwrap();
    let mut events = feed.events();
    let submitter = submitter(&client);
    let mut results = submitter.results().await.unwrap();
    debug(&(&feed, &events, &submitter, &results));
    for job in [
        "echo sentinel-answer",
        "fail sentinel-error",
        "die sentinel-tail",
        "sentinel-of-a-job",
        "large 20000",
    ] {
        let request = JobRequest::new(Job::new(job).key(SECRETS[5])).traceparent("00-1-2-01");
        debug(&request);
        debug(&submitter.submit_and_wait(request, LONG).await.unwrap());
        debug(&in_time(results.next()).await);
    }
    for wrong in [
        JobRequest::new(Job::new("x".repeat(20_000)).key(SECRETS[5])),
        JobRequest::new(Job::new("sentinel-of-a-job").arg("sentinel-of-a-job")),
        JobRequest::new(Job::new("x").key("sentinel-key\n")),
    ] {
        error(&submitter.submit(wrong).await.unwrap_err());
    }
    // The consumer goes and comes, and so does the server.
    done(&client, "CONSUMER.DELETE.JOBS.convert", &Value::Null).await;
    let mut job = Job::new(signs.waits("run", "echo sentinel-answer"));
    job = job.key(SECRETS[5]);
    in_time(submitter.submit(job)).await.unwrap();
    signs.logged(1).await;
    server.kill();
    signs.go();
    let late = submitter
        .submit_and_wait(Job::new(SECRETS[1]), millis(200))
        .await;
    let late: SubmitError = late.unwrap_err();
    error(&late);
    server.restart();
    debug(&in_time(results.next()).await);
    debug(&feed.stats());
    debug(&in_time(feed.stop(LONG)).await);
    while let Some(told) = in_time(events.next()).await {
        debug(&told);
    }
    let refused = crate::tools::feed(client)
        .ack_wait(millis(7000))
        .start(&pool)
        .await;
    error(&refused.unwrap_err());
}
