//! Hosts as processes: each a pool of its own, and a feed of it.

use std::fs::File;
use std::time::Duration;

use actix_process::nats::FeedStats;
use nix::sched::{CloneFlags, setns};

use super::feed;
use super::server::connect;
use super::worker::workers;
use crate::common::hosts::{Host, role, tell};
use crate::common::run;

/// A host with so many workers at this server, by a feed as [`feed`] has it. The calling module needs a test `host` that calls [`be_a_host`].
pub(crate) fn start(url: &str, workers: usize) -> Host {
    start_in("-", url, workers)
}

/// A host in a network namespace.
pub(crate) fn start_in(namespace: &str, url: &str, workers: usize) -> Host {
    let mut host = Host::start(&format!("{namespace} {url} {workers}"));
    assert_eq!(host.told(), "started", "{}", host.log());
    host
}

/// Goes into a network namespace, with the threads that this one starts from now on.
pub(crate) fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
}

/// What a host does: it tells that it has started, and then each count that has changed, until it is killed.
pub(crate) fn be_a_host() {
    let Some(role) = role() else {
        return;
    };
    let words: Vec<_> = role.split(' ').collect();
    let [namespace, url, count] = words[..] else {
        panic!("no role {role}");
    };
    if namespace != "-" {
        enter(namespace);
    }
    run(async {
        let pool = workers(count.parse().unwrap());
        let feed = feed(connect(url).await).start(&pool).await.unwrap();
        tell("started");
        let mut last = FeedStats::default();
        loop {
            let stats = feed.stats();
            if stats != last {
                tell(format!(
                    "done {} running {} silences {} duplicates {}",
                    stats.done, stats.running, stats.silences, stats.duplicates
                ));
                last = stats;
            }
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
