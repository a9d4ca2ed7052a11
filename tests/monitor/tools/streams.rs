//! What a stream of a monitor gives, taken within a deadline.

use std::time::Duration;

use actix_process::monitor::{
    Event, EventKind, Events, Follow, FollowRaw, Followed, FollowedRaw, MonitorHandle, Reported,
};
use futures::StreamExt;

use crate::common::in_time;

/// How long a shutdown may take. Reached only when something is wrong.
pub const SHUTDOWN: Duration = Duration::from_secs(30);

/// An item of a follow, in short: `seq fd text`, with a `+` behind a partial line; `lagged N`, `restarted`, `closed`.
pub fn short(item: &Followed) -> String {
    match item {
        Followed::Line {
            seq,
            fd,
            bytes,
            partial,
            ..
        } => {
            let more = if *partial { "+" } else { "" };
            format!("{seq} {fd} {}{more}", bytes.escape_ascii())
        }
        Followed::Lagged(missed) => format!("lagged {missed}"),
        Followed::Restarted => "restarted".to_owned(),
        Followed::Closed => "closed".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The next so many items, in short.
pub async fn next(follow: &mut Follow, count: usize) -> Vec<String> {
    let mut items = Vec::new();
    while items.len() < count {
        let item = in_time(follow.next()).await;
        items.push(short(&item.expect("the follow has ended")));
    }
    items
}

/// All items until the end, in short.
pub async fn rest(follow: Follow) -> Vec<String> {
    in_time(follow.map(|item| short(&item)).collect()).await
}

/// What a follower by bytes gets until it has seen `end`.
pub async fn raw_until(follow: &mut FollowRaw, end: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        match in_time(follow.next()).await {
            Some(FollowedRaw::Data(data)) => seen.extend_from_slice(&data),
            Some(FollowedRaw::Restarted) => seen.extend_from_slice(b"<restarted>"),
            other => panic!(
                "waited for {end:?}, got {other:?} after {}",
                seen.escape_ascii()
            ),
        }
    }
    String::from_utf8(seen).unwrap()
}

/// The next event that `wanted` gives something for.
pub async fn event<T>(
    events: &mut Events,
    what: &str,
    mut wanted: impl FnMut(&Event) -> Option<T>,
) -> T {
    let mut seen = Vec::new();
    let found = in_time(async {
        while let Some(item) = events.next().await {
            if let Reported::Event(event) = &item
                && let Some(found) = wanted(event)
            {
                return Some(found);
            }
            seen.push(item);
        }
        None
    });
    found
        .await
        .unwrap_or_else(|| panic!("waited for {what} of the events {seen:#?}"))
}

/// Waits until a service has ended by itself.
pub async fn has_ended(monitor: &MonitorHandle, events: &mut Events, id: &str) {
    use actix_process::monitor::ServiceState::{Exited, Failed};
    let is_over = |state| matches!(state, Exited | Failed);
    if is_over(monitor.status(id).await.unwrap().state) {
        return;
    }
    event(events, "the end of a service", |event| match &event.what {
        EventKind::State { to, .. } if event.id.as_deref() == Some(id) => {
            is_over(*to).then_some(())
        }
        _ => None,
    })
    .await;
}
