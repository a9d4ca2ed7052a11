//! What is wrong with a service's description, told before anything is spawned; and what an id may be.

/// Why a description of a service or a pool is refused. Nothing was spawned, and nothing of its batch was added.
///
/// The text is one line: the service or the pool, the field, the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{}`: {field}: {problem}", .service.escape_debug())]
#[non_exhaustive]
pub struct SpecError {
    /// The id of the service or the name of the pool, as it was given.
    pub service: String,
    /// What is described: `service`, or `pool`.
    pub what: &'static str,
    /// The method of [`Service`](super::Service) or of the pool that set what is wrong, with a dot before a part of it: `after`, `restart.backoff`.
    pub field: &'static str,
    /// What is wrong with it. Neither an argument nor a value of the environment.
    pub problem: String,
}

/// A [`SpecError`] before it is known of which service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpecProblem {
    pub(crate) field: &'static str,
    pub(crate) problem: String,
}

impl SpecProblem {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }

    pub(super) fn of(self, service: &str) -> SpecError {
        self.of_a("service", service)
    }

    /// The same of something else than a service.
    pub(crate) fn of_a(self, what: &'static str, name: &str) -> SpecError {
        SpecError {
            service: name.to_owned(),
            what,
            field: self.field,
            problem: self.problem,
        }
    }
}

/// The longest id.
const MAX_ID: usize = 128;

/// Whether a service may have this id: 1 to 128 letters and digits of ASCII, and `_`, `.`, `:`, `-`.
pub(super) fn check_id(id: &str) -> Result<(), SpecProblem> {
    let refused = |problem: String| Err(SpecProblem::new("id", problem));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if id.is_empty() {
        return refused("is empty".to_owned());
    }
    if let Some(other) = id.chars().find(|c| !allowed(*c)) {
        return refused(format!(
            "holds {other:?}; letters and digits of ASCII and `_.:-` are allowed"
        ));
    }
    if id.len() > MAX_ID {
        return refused(format!("is {} bytes long; {MAX_ID} are allowed", id.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_one_line_with_the_service_the_field_and_the_problem() {
        let error = SpecProblem::new("after", "no service has the id `db`").of("web");
        assert_eq!(
            error.to_string(),
            "service `web`: after: no service has the id `db`"
        );
        let error = check_id("a\nb").unwrap_err().of("a\nb");
        assert_eq!(
            error.to_string(),
            r"service `a\nb`: id: holds '\n'; letters and digits of ASCII and `_.:-` are allowed"
        );
    }

    #[test]
    fn an_id_is_a_short_word_of_ascii() {
        for id in ["a", "A-9_z.x:1", "0", "-", ".", &"x".repeat(128)] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        for (id, problem) in [
            ("", "is empty"),
            ("a b", "holds ' '; "),
            ("a/b", "holds '/'; "),
            ("ä", "holds 'ä'; "),
            ("a\0", "holds '\\0'; "),
            (&"x".repeat(129), "is 129 bytes long; 128 are allowed"),
        ] {
            let found = check_id(id).unwrap_err();
            assert_eq!(found.field, "id");
            assert!(
                found.problem.starts_with(problem),
                "{id}: {}",
                found.problem
            );
        }
    }
}
