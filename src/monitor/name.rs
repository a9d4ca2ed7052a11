//! The name of a service, or of one instance of a keyed service.

use std::fmt;
use std::sync::Arc;

/// A service by its id, or one instance of a [keyed](super::Service::keyed) service by its id and its key.
///
/// Methods of a [`MonitorHandle`](super::MonitorHandle) take one as `"web"` or as `("lsp", "/src/project")`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ServiceName {
    /// The id of the service.
    pub id: Arc<str>,
    /// The key of the instance, if the service is keyed.
    pub key: Option<Arc<str>>,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            None => f.write_str(&self.id),
            Some(key) => write!(f, "{}[{}]", self.id, key.escape_debug()),
        }
    }
}

impl From<&str> for ServiceName {
    fn from(id: &str) -> Self {
        Self {
            id: id.into(),
            key: None,
        }
    }
}

impl From<String> for ServiceName {
    fn from(id: String) -> Self {
        id.as_str().into()
    }
}

impl From<&String> for ServiceName {
    fn from(id: &String) -> Self {
        id.as_str().into()
    }
}

impl From<&Self> for ServiceName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl From<(&str, &str)> for ServiceName {
    fn from((id, key): (&str, &str)) -> Self {
        Self {
            id: id.into(),
            key: Some(key.into()),
        }
    }
}
