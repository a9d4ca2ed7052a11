//! What the streams and the consumer of a feed must be, and whether what is there is so. Plain data.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::names::covers;
use super::settings::FeedSettings;

/// How many pull requests a consumer may have: one of each host. The server keeps a place for each.
const MAX_WAITING: u64 = 16_384;

/// A stream or a consumer that a feed needs.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// `stream JOBS`, or `consumer convert`.
    pub(super) what: String,
    /// The configuration if it is made.
    pub(super) config: Map<String, Value>,
    rules: Vec<Rule>,
}

/// What one field must be.
#[derive(Debug, Clone)]
struct Rule {
    field: &'static str,
    wanted: Value,
    holds: Holds,
}

/// Whether a configuration has in this field what it must have.
type Holds = fn(config: &Value, field: &str, wanted: &Value) -> bool;

/// A field that is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldDiffers {
    pub(super) field: &'static str,
    pub(super) wanted: String,
    pub(super) found: String,
}

impl Wanted {
    const fn new(what: String, config: Map<String, Value>, rules: Vec<Rule>) -> Self {
        Self {
            what,
            config,
            rules,
        }
    }

    /// The stream of jobs: a work queue that loses nothing.
    pub(super) fn jobs(settings: &FeedSettings) -> Self {
        let mut config = stream(&settings.stream, &settings.subject, settings);
        set(&mut config, "retention", json!("workqueue"));
        set(&mut config, "discard", json!("new"));
        let rules = vec![
            Rule::equal("retention", json!("workqueue")),
            Rule::equal("storage", json!("file")),
            Rule::covers(&settings.subject),
            // What is thrown away to make room, or for its age, has no result.
            Rule::discards_nothing(),
            Rule::none("max_age"),
            // It makes room by removing what is old, whatever `discard` says.
            Rule::none("max_msgs_per_subject"),
            Rule::none("no_ack"),
            Rule::none("sealed"),
        ];
        Self::new(format!("stream {}", settings.stream), config, rules)
    }

    /// A stream where one message of an id is kept: of results, of dead jobs.
    pub(super) fn kept(name: &str, subject: &str, settings: &FeedSettings) -> Self {
        let mut config = stream(name, subject, settings);
        set(&mut config, "retention", json!("limits"));
        set(&mut config, "discard", json!("old"));
        set(&mut config, "max_age", nanos(settings.keep_results));
        let rules = vec![
            Rule::covers(subject),
            // Others give a message to one reader, or keep none that nobody waits for.
            Rule::equal("retention", json!("limits")),
            Rule::at_least("duplicate_window", nanos(settings.dedup_window)),
            Rule::kept_for(nanos(settings.dedup_window)),
            Rule::none("max_msgs_per_subject"),
            Rule::none("no_ack"),
            Rule::none("sealed"),
        ];
        Self::new(format!("stream {name}"), config, rules)
    }

    /// The stream where lost attempts are counted.
    pub(super) fn attempts(settings: &FeedSettings) -> Self {
        let name = settings.attempts_stream();
        let subject = format!("attempts.{}.>", settings.stream);
        let mut config = stream(&name, &subject, settings);
        set(&mut config, "retention", json!("limits"));
        set(&mut config, "discard", json!("old"));
        set(&mut config, "max_age", nanos(settings.keep_results));
        let rules = vec![
            Rule::equal("retention", json!("limits")),
            Rule::covers(&subject),
            Rule::none("no_ack"),
            Rule::none("sealed"),
            Rule::none("deny_purge"),
            Rule::none("deny_delete"),
        ];
        Self::new(format!("stream {name}"), config, rules)
    }

    /// The consumer. Its `max_deliver` is none: the server would use deliveries up that nobody has seen, and leave the job where nobody gets it.
    pub(super) fn consumer(settings: &FeedSettings) -> Self {
        let config = fields(json!({
            "durable_name": settings.consumer,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": nanos(settings.ack_wait),
            "max_deliver": -1,
            "filter_subject": settings.subject,
            "replay_policy": "instant",
            "max_waiting": MAX_WAITING,
            "max_ack_pending": settings.max_ack_pending,
        }));
        let rules = vec![
            Rule::none("deliver_subject"),
            Rule::equal("deliver_policy", json!("all")),
            Rule::equal("ack_policy", json!("explicit")),
            Rule::equal("ack_wait", nanos(settings.ack_wait)),
            Rule::unlimited("max_deliver"),
            Rule::none("backoff"),
            Rule::equal("filter_subject", json!(settings.subject)),
            Rule::equal("max_ack_pending", json!(settings.max_ack_pending)),
            Rule::at_least("max_waiting", json!(MAX_WAITING)),
            Rule::none("headers_only"),
            Rule::none("max_batch"),
            Rule::none("max_expires"),
            Rule::none("max_bytes"),
        ];
        Self::new(format!("consumer {}", settings.consumer), config, rules)
    }

    /// The first field of a configuration that is not as it must be.
    pub(super) fn difference(&self, found: &Value) -> Option<FieldDiffers> {
        let differs = |rule: &&Rule| !rule.holds_in(found);
        self.rules.iter().find(differs).map(|rule| FieldDiffers {
            field: rule.field,
            wanted: text(&rule.wanted),
            found: text(field_of(found, rule.field)),
        })
    }

    /// The configuration that is there, with the fields that are not as they must be changed.
    pub(super) fn adopted(&self, found: &Value) -> Value {
        let mut config = fields(found.clone());
        for rule in self.rules.iter().filter(|rule| !rule.holds_in(found)) {
            match (&rule.wanted, config.get_mut(rule.field)) {
                (Value::Null, _) => {
                    config.remove(rule.field);
                }
                (wanted, Some(Value::Array(subjects))) => subjects.push(wanted.clone()),
                (wanted, _) => set(&mut config, rule.field, wanted.clone()),
            }
        }
        Value::Object(config)
    }
}

impl Rule {
    fn holds_in(&self, config: &Value) -> bool {
        (self.holds)(config, self.field, &self.wanted)
    }

    fn equal(field: &'static str, wanted: Value) -> Self {
        Self {
            field,
            wanted,
            holds: |config, field, wanted| field_of(config, field) == wanted,
        }
    }

    fn at_least(field: &'static str, wanted: Value) -> Self {
        Self {
            field,
            wanted,
            holds: |config, field, wanted| field_of(config, field).as_u64() >= wanted.as_u64(),
        }
    }

    /// Not set.
    fn none(field: &'static str) -> Self {
        Self {
            field,
            wanted: Value::Null,
            holds: |config, field, _| is_unset(field_of(config, field)),
        }
    }

    fn unlimited(field: &'static str) -> Self {
        Self {
            field,
            wanted: json!(-1),
            holds: |config, field, _| is_unset(field_of(config, field)),
        }
    }

    fn discards_nothing() -> Self {
        Self {
            field: "discard",
            wanted: json!("new"),
            holds: |config, field, wanted| {
                let mut limits = ["max_msgs", "max_bytes"].into_iter();
                let has_none = limits.all(|limit| is_unset(field_of(config, limit)));
                has_none || field_of(config, field) == wanted
            },
        }
    }

    /// Kept for ever, or for so long at least.
    fn kept_for(least: Value) -> Self {
        Self {
            field: "max_age",
            wanted: least,
            holds: |config, field, least| {
                let age = field_of(config, field);
                is_unset(age) || age.as_u64() >= least.as_u64()
            },
        }
    }

    fn covers(subject: &str) -> Self {
        Self {
            field: "subjects",
            wanted: json!(subject),
            holds: |config, field, wanted| {
                let wanted = wanted.as_str().unwrap_or_default();
                let patterns = field_of(config, field).as_array().into_iter().flatten();
                let mut patterns = patterns.filter_map(Value::as_str);
                patterns.any(|pattern| pattern == wanted || covers(pattern, wanted))
            },
        }
    }
}

/// As the server leaves out, or writes, what nobody has set: limits are -1 or 0 then.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64().is_some_and(|number| number <= 0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A stream in a file.
fn stream(name: &str, subject: &str, settings: &FeedSettings) -> Map<String, Value> {
    fields(json!({
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "num_replicas": settings.replicas,
        "duplicate_window": nanos(settings.dedup_window),
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
    }))
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn set(config: &mut Map<String, Value>, field: &str, value: Value) {
    config.insert(field.to_owned(), value);
}

/// `null` if the field is not there.
fn field_of<'a>(config: &'a Value, field: &str) -> &'a Value {
    config.get(field).unwrap_or(&Value::Null)
}

/// As JetStream has times.
pub(super) fn nanos(time: Duration) -> Value {
    json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A value as words of an error.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> FeedSettings {
        FeedSettings::new("JOBS".to_owned(), "convert".to_owned())
    }

    fn all() -> [Wanted; 4] {
        let settings = settings();
        [
            Wanted::jobs(&settings),
            Wanted::kept("JOBS_RESULTS", "results.convert", &settings),
            Wanted::attempts(&settings),
            Wanted::consumer(&settings),
        ]
    }

    #[test]
    fn what_is_made_is_as_it_must_be() {
        for wanted in all() {
            let made = Value::Object(wanted.config.clone());
            assert_eq!(wanted.difference(&made), None, "{wanted:?}");
        }
    }

    #[test]
    fn what_differs_is_told_and_adopted() {
        let [jobs, results, _, consumer] = all();
        let cases = [
            (&jobs, "retention", json!("limits")),
            (&jobs, "storage", json!("memory")),
            (&jobs, "subjects", json!(["other.>"])),
            (&jobs, "max_age", json!(1)),
            (&results, "duplicate_window", json!(1)),
            (&results, "no_ack", json!(true)),
            (&results, "retention", json!("workqueue")),
            (&results, "retention", json!("interest")),
            (&results, "max_age", json!(1)),
            (&results, "max_msgs_per_subject", json!(1)),
            (&jobs, "max_msgs_per_subject", json!(1)),
            (&consumer, "ack_wait", json!(1)),
            (&consumer, "max_deliver", json!(5)),
            (&consumer, "filter_subject", json!("jobs.other")),
            (&consumer, "deliver_subject", json!("push")),
            (&consumer, "backoff", json!([1, 2])),
        ];
        for (wanted, field, value) in cases {
            let mut found = Value::Object(wanted.config.clone());
            found[field] = value;
            found["description"] = json!("somebody's");
            let differs = wanted.difference(&found).unwrap();
            assert_eq!(differs.field, field);
            let adopted = wanted.adopted(&found);
            assert_eq!(wanted.difference(&adopted), None, "{adopted}");
            assert_eq!(adopted["description"], "somebody's");
        }
    }

    #[test]
    fn a_subject_is_added_to_those_of_a_stream() {
        let jobs = Wanted::jobs(&settings());
        let mut found = Value::Object(jobs.config.clone());
        found["subjects"] = json!(["jobs.other"]);
        assert_eq!(
            jobs.adopted(&found)["subjects"],
            json!(["jobs.other", "jobs.convert"])
        );
        found["subjects"] = json!(["jobs.*"]);
        assert_eq!(jobs.difference(&found), None);
    }

    #[test]
    fn a_stream_may_discard_what_is_old_only_if_it_has_no_limit() {
        let jobs = Wanted::jobs(&settings());
        let mut found = Value::Object(jobs.config.clone());
        found["discard"] = json!("old");
        assert_eq!(jobs.difference(&found), None);
        found["max_bytes"] = json!(1_000_000);
        assert_eq!(jobs.difference(&found).unwrap().field, "discard");
        assert_eq!(jobs.adopted(&found)["discard"], "new");
    }

    #[test]
    fn more_is_well_where_less_is_not() {
        let results = Wanted::kept("R", "results.convert", &settings());
        let mut found = Value::Object(results.config.clone());
        found["duplicate_window"] = nanos(Duration::from_secs(3600));
        found["max_age"] = json!(0);
        assert_eq!(results.difference(&found), None);
    }
}
