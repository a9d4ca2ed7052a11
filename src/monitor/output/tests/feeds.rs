//! The feed of events.

use futures::StreamExt;
use futures::executor::block_on;
use proptest::prelude::*;

use super::super::{Broadcast, BroadcastItem, Since};
use super::take_ready;

proptest! {
    #[test]
    fn a_subscriber_gets_every_value_once_or_is_told_how_many_it_missed(
        limit in 1_usize..6,
        acts in prop::collection::vec((0_usize..6, any::<bool>()), 0..40),
    ) {
        let feed = Broadcast::new(limit);
        let mut subscription = feed.subscribe(Since::Now);
        let (mut published, mut seen) = (0_u64, 0_u64);
        for (values, takes) in acts {
            for _ in 0..values {
                published += 1;
                feed.publish(published);
            }
            if takes {
                for item in take_ready(&mut subscription) {
                    match item {
                        BroadcastItem::Value(value) => {
                            prop_assert_eq!(value, seen + 1);
                            seen = value;
                        }
                        BroadcastItem::Lagged(missed) => {
                            seen += missed;
                            prop_assert_eq!(seen, published - limit as u64);
                        }
                    }
                }
                prop_assert_eq!(seen, published);
            }
        }
    }
}

#[test]
fn a_feed_that_is_closed_ends_behind_its_last_value() {
    let feed = Broadcast::new(2);
    let all = feed.subscribe(Since::Start);
    for value in ["one", "two", "three"] {
        feed.publish(value);
    }
    let late = feed.clone().subscribe(Since::Last(1));
    feed.close();
    assert_eq!(
        block_on(all.collect::<Vec<_>>()),
        [
            BroadcastItem::Lagged(1),
            BroadcastItem::Value("two"),
            BroadcastItem::Value("three")
        ]
    );
    assert_eq!(
        block_on(late.collect::<Vec<_>>()),
        [BroadcastItem::Value("three")]
    );
}
