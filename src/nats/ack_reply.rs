//! What the reply subject of a delivered message says of the message.

use std::time::Duration;

/// Of one delivery of a message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The message's number in the stream.
    pub(super) sequence: u64,
    /// The how manieth delivery it is, from 1 on.
    pub(super) delivered: u64,
    /// The number of the delivery among all of the consumer.
    pub(super) consumer_sequence: u64,
    /// When the stream stored the message, since the Unix epoch, by the server's clock.
    pub(super) stored: Duration,
    /// How many messages wait in the stream for this consumer behind it.
    pub(super) pending: u64,
}

/// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<nanoseconds>.<pending>`, and the longer form of newer servers, which has
/// a domain and the hash of an account behind `ACK`, and may have a token more at the end.
pub(super) fn delivery(reply: &str) -> Option<Delivery> {
    let tokens: Vec<&str> = reply.split('.').collect();
    let at = match tokens.len() {
        9 => 4,
        11.. => 6,
        _ => return None,
    };
    if !reply.starts_with("$JS.ACK.") {
        return None;
    }
    let number = |index: usize| tokens.get(at + index)?.parse().ok();
    Some(Delivery {
        delivered: number(0)?,
        sequence: number(1)?,
        consumer_sequence: number(2)?,
        stored: Duration::from_nanos(number(3)?),
        pending: number(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let wanted = Delivery {
            sequence: 7,
            delivered: 2,
            consumer_sequence: 5,
            stored: Duration::from_nanos(1_700_000_000_000_000_001),
            pending: 9,
        };
        let short = "$JS.ACK.JOBS.convert.2.7.5.1700000000000000001.9";
        assert_eq!(delivery(short).as_ref(), Some(&wanted));
        for long in [
            "$JS.ACK.hub.ACCHASH.JOBS.convert.2.7.5.1700000000000000001.9",
            "$JS.ACK.hub.ACCHASH.JOBS.convert.2.7.5.1700000000000000001.9.random",
        ] {
            assert_eq!(delivery(long).as_ref(), Some(&wanted), "{long}");
        }
    }

    #[test]
    fn what_is_no_delivery_is_none() {
        for reply in [
            "",
            "_INBOX.abc",
            "$JS.ACK.JOBS.convert.x.7.5.1.9",
            "$JS.API.JOBS.convert.2.7.5.1.9",
            "$JS.ACK.JOBS.convert.2.7.5.1",
        ] {
            assert_eq!(delivery(reply), None, "{reply}");
        }
    }
}
