//! What a command calls its child.

use std::sync::Arc;

use crate::text::Escaped;

/// The most that a name may have, in bytes.
const MOST: usize = 128;

/// What was given as a name, and why it is none, if it is none.
#[derive(Debug, Clone)]
pub(crate) struct ChildName {
    text: Arc<str>,
    refusal: Option<&'static str>,
}

impl ChildName {
    pub(crate) fn new(text: &str) -> Self {
        let refusal = if text.is_empty() {
            Some("is empty")
        } else if text.len() > MOST {
            Some("is longer than 128 bytes")
        } else if Escaped(text).to_string() != text {
            Some("holds what does not print")
        } else {
            None
        };
        Self {
            text: text.into(),
            refusal,
        }
    }

    /// The name; or why what was given is none.
    pub(crate) fn get(&self) -> Result<&Arc<str>, &'static str> {
        match self.refusal {
            None => Ok(&self.text),
            Some(why) => Err(why),
        }
    }
}
