//! Jobs that a server counts as under way, though their messages are gone.
//!
//! A server of version 2.9 that was killed may have stored that a message is removed, and not that it was acknowledged. After each ack wait it tries to deliver that
//! message again, finds none, and rests until something else happens. With a few of them a consumer delivers nothing any more, and its floor stays where it is.
//! An acknowledgement ends that, whoever sends it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::settings::FeedSettings;
use crate::Bytes;

/// Of more numbers than this the server is not asked, nor told.
const MOST: u64 = 50_000;

/// Acknowledges those of these numbers of the stream, all of which were delivered, that have no message any more; gives how many they are. `lacking` is how many
/// numbers the stream lacks between its first and its last.
pub(super) async fn forget_gone(
    api: &Api,
    settings: &FeedSettings,
    numbers: RangeInclusive<u64>,
    lacking: u64,
) -> Result<usize, ApiError> {
    let (stream, consumer) = (&settings.stream, &settings.consumer);
    if numbers.end().saturating_sub(*numbers.start()) > MOST || lacking > MOST {
        log::debug!("too much of stream {stream} is under way to be looked at");
        return Ok(0);
    }
    let details = json!({ "deleted_details": true });
    let info = api.call(&format!("STREAM.INFO.{stream}"), &details).await?;
    let deleted = info.at("/state/deleted").as_array();
    let deleted = deleted.into_iter().flatten().filter_map(Value::as_u64);
    let gone = gone(numbers, info.number("/state/first_seq"), deleted);
    for number in &gone {
        // No delivery of the consumer has the number 0: where nothing is to be acknowledged, nothing happens.
        let ack = format!("$JS.ACK.{stream}.{consumer}.1.{number}.0.0.0");
        let told = api.client.publish(ack, Bytes::from_static(b"+ACK"));
        told.await.map_err(|_| ApiError::Silent)?;
    }
    Ok(gone.len())
}

/// The numbers that the stream has no message of.
fn gone(numbers: RangeInclusive<u64>, first: u64, deleted: impl Iterator<Item = u64>) -> Vec<u64> {
    let deleted: HashSet<u64> = deleted.collect();
    let is_gone = |number: &u64| *number < first || deleted.contains(number);
    numbers.filter(is_gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_first_message_or_deleted_behind_it_is_gone() {
        let gone = |numbers, first| -> Vec<u64> { gone(numbers, first, [7, 9, 12].into_iter()) };
        assert_eq!(gone(2..=10, 4), [2, 3, 7, 9]);
        assert!(gone(4..=6, 4).is_empty());
        assert_eq!(gone(8..=20, 1), [9, 12]);
        // Of a stream without messages the first number is the next one.
        assert_eq!(gone(3..=4, 5), [3, 4]);
    }
}
