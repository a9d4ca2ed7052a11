//! How what the pool tells is serialized, where a derive does not say it.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::histogram::Histogram;

/// `{"count":3,"sum":0.25,"buckets":[{"to":0.1,"count":2},{"to":null,"count":1}]}`: times in seconds, the buckets that have any, not cumulative.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Bucket {
            to: Option<f64>,
            count: u64,
        }

        let buckets: Vec<Bucket> = self
            .buckets()
            .filter(|(_, count)| *count > 0)
            .map(|(to, count)| Bucket {
                to: to.map(|to| to.as_secs_f64()),
                count,
            })
            .collect();
        let mut histogram = serializer.serialize_struct("Histogram", 3)?;
        histogram.serialize_field("count", &self.count())?;
        histogram.serialize_field("sum", &self.sum().as_secs_f64())?;
        histogram.serialize_field("buckets", &buckets)?;
        histogram.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{to_string, to_value};

    use super::super::event::{PoolEvent, PoolEventKind};
    use super::super::recycling::Recycling;
    use super::super::report::PoolReport;
    use super::super::stats::PoolStats;

    #[test]
    fn an_event_of_a_pool_has_this_json() {
        let event = |worker, what| PoolEvent {
            pool: "model".into(),
            worker,
            pid: worker.map(|_| 4711),
            at: UNIX_EPOCH + Duration::from_millis(1_795_000_000_500),
            what,
        };
        let why = Recycling::Memory;
        let recycled = event(Some(3), PoolEventKind::Recycled { why });
        assert_eq!(
            to_string(&recycled).unwrap(),
            r#"{"pool":"model","worker":3,"pid":4711,"at":1795000000.5,"what":{"kind":"recycled","why":"memory"}}"#
        );
        assert_eq!(
            to_string(&event(None, PoolEventKind::Down)).unwrap(),
            r#"{"pool":"model","worker":null,"pid":null,"at":1795000000.5,"what":{"kind":"down"}}"#
        );
    }

    #[test]
    fn the_numbers_of_a_pool_have_this_json() {
        let mut stats = PoolStats {
            busy: 2,
            ..PoolStats::default()
        };
        stats.outcomes.answered = 7;
        stats.recycled.reload = 1;
        stats.wait.add(Duration::from_millis(150));
        stats.wait.add(Duration::from_secs(1000));
        let json = to_value(&stats).unwrap();
        assert_eq!(json["busy"], 2);
        assert_eq!(json["outcomes"]["answered"], 7);
        assert_eq!(json["recycled"]["reload"], 1);
        assert_eq!(
            json["wait"].to_string(),
            r#"{"buckets":[{"count":1,"to":0.2},{"count":1,"to":null}],"count":2,"sum":1000.15}"#
        );
    }

    #[test]
    fn the_report_of_a_pool_has_this_json() {
        let report = PoolReport {
            clean: 2,
            took: Duration::from_millis(250),
            ..PoolReport::default()
        };
        assert_eq!(
            to_string(&report).unwrap(),
            r#"{"finished":0,"ended":0,"clean":2,"killed":0,"unkillable":0,"leftovers":0,"took":0.25}"#
        );
    }
}
