//! Three hosts in networks of their own: one is cut off for a while, and goes on by itself when it is back.

use std::process::Command;
use std::time::{Duration, Instant};

use actix_process::pool::Job;
use futures::StreamExt;

use crate::common::isolated::{isolated, may_change_ids, skipped};
use crate::common::{amount, in_time, run};
use crate::tools::hosts;
use crate::tools::jetstream::{count, under_way};
use crate::tools::server::{JETSTREAM, Server};
use crate::tools::worker::workers;
use crate::tools::{LONG, feed, submitter, until, until_is};

/// No test but a host of the one below.
#[test]
fn host() {
    hosts::be_a_host();
}

/// Network namespaces that are joined by a bridge; the first has the bridge. The drop removes them.
struct Networks {
    names: Vec<String>,
}

const BRIDGE: &str = "10.213.7.1";

fn ip(args: &str) -> Result<(), String> {
    let output = Command::new("ip").args(args.split(' ')).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

impl Networks {
    fn new(hosts: usize) -> Result<Self, String> {
        let name = |number| format!("actix-process-{}-{number}", std::process::id());
        let mut networks = Self { names: Vec::new() };
        for number in 0..=hosts {
            ip(&format!("netns add {}", name(number)))?;
            networks.names.push(name(number));
            ip(&format!("-n {} link set lo up", name(number)))?;
        }
        let hub = name(0);
        ip(&format!("-n {hub} link add hub type bridge"))?;
        ip(&format!("-n {hub} addr add {BRIDGE}/24 dev hub"))?;
        ip(&format!("-n {hub} link set hub up"))?;
        for number in 1..=hosts {
            let host = name(number);
            ip(&format!(
                "-n {hub} link add host{number} type veth peer name out netns {host}"
            ))?;
            ip(&format!("-n {hub} link set host{number} master hub up"))?;
            ip(&format!(
                "-n {host} addr add 10.213.7.{}/24 dev out",
                number + 1
            ))?;
            ip(&format!("-n {host} link set out up"))?;
        }
        Ok(networks)
    }

    /// The cable of a host: in, or out.
    fn plug(&self, host: usize, state: &str) {
        ip(&format!("-n {} link set host{host} {state}", self.names[0])).unwrap();
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// The number after this word in what a host tells.
fn number(told: &str, word: &str) -> u64 {
    let mut words = told.split(' ');
    words.find(|it| *it == word).unwrap();
    words.next().unwrap().parse().unwrap()
}

/// Waits until a host tells of this; gives what it has told.
fn told(host: &mut crate::common::hosts::Host, holds: impl Fn(&str) -> bool) -> String {
    loop {
        let told = host.told();
        if holds(&told) {
            return told;
        }
    }
}

#[test]
fn a_host_that_is_cut_off_goes_on_when_it_is_back() {
    if !may_change_ids() {
        return;
    }
    // This thread goes into a network of its own.
    isolated(|| {
        let networks = match Networks::new(3) {
            Ok(networks) => networks,
            Err(why) => return skipped(&why),
        };
        let server = Server::at(BRIDGE, Some(&networks.names[0]), JETSTREAM);
        let Some(server) = server else {
            return;
        };
        hosts::enter(&networks.names[0]);
        run(cut(&networks, &server));
    });
}

async fn cut(networks: &Networks, server: &Server) {
    let client = server.client().await;
    let first = feed(client.clone()).start(&workers(1)).await.unwrap();
    in_time(first.stop(LONG)).await;
    let start = |number: usize| hosts::start_in(&networks.names[number], &server.url(), 2);
    let mut hosts: Vec<_> = (1..=3).map(start).collect();
    let submitter = submitter(&client);
    // Enough for all the time that the cut takes.
    let off = Duration::from_secs(amount(20, 6) as u64);
    let jobs = amount(6000, 2400);
    let submitted = futures::stream::iter(0..jobs)
        .map(|number| submitter.submit(Job::new(format!("sleep 25 echo {number}"))))
        .buffer_unordered(100)
        .for_each(async |submitted| drop(submitted.unwrap()));
    in_time(submitted).await;
    told(&mut hosts[0], |told| number(told, "done") > 20);
    networks.plug(1, "down");
    let begun = Instant::now();
    let silent = told(&mut hosts[0], |told| number(told, "silences") > 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "{silent}");
    let others = count(&client, "JOBS_RESULTS").await;
    actix_rt::time::sleep(off.saturating_sub(begun.elapsed())).await;
    assert!(count(&client, "JOBS_RESULTS").await > others + 50);
    networks.plug(1, "up");
    let (begun, done) = (Instant::now(), number(&silent, "done"));
    // Those that it had when it was cut off, and others.
    told(&mut hosts[0], |told| number(told, "done") > done + 10);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    until("all results", async || {
        let done = count(&client, "JOBS_RESULTS").await;
        if done == jobs as u64 {
            Ok(())
        } else {
            Err(done.to_string())
        }
    })
    .await;
    until_is("no job", (0, 0), async || under_way(&client).await).await;
    until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
}
