//! Where somebody begins who reads a log with sequence numbers.

/// Where a [`Follow`](super::Follow) begins.
///
/// ```
/// use actix_process::monitor::Since;
///
/// // A browser that comes back with the header `Last-Event-ID: 41` gets line 42 next.
/// let header = Some("41");
/// let since = header.and_then(|id| id.parse().ok()).map_or(Since::Last(100), Since::Seq);
/// assert_eq!(since, Since::Seq(41));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "users build it")]
pub enum Since {
    /// With the oldest that is kept.
    Start,
    /// With the last so many that are kept.
    Last(usize),
    /// With the one after this number: the number of the last one that was got, for example what a browser sends as `Last-Event-ID`. So
    /// nothing comes twice, and nothing is left out: where what comes after the number is not kept any more, that is the first
    /// item, as `Lagged`. A number that was not given yet is one of an earlier run of this program, and the same as
    /// [`Start`](Self::Start).
    Seq(u64),
    /// With the next one that comes.
    Now,
}

impl Since {
    /// The number to begin with, where `first` is the oldest kept and `last` the newest; `last + 1` if none is kept.
    pub(super) fn first(self, first: u64, last: u64) -> u64 {
        let next = last + 1;
        match self {
            Self::Start => first,
            Self::Last(count) => {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                next.saturating_sub(count).max(first)
            }
            Self::Seq(seq) if seq <= last => seq + 1,
            Self::Seq(_) => first,
            Self::Now => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_since_begins_where_it_says() {
        for (since, begin) in [
            (Since::Start, 3),
            (Since::Last(0), 8),
            (Since::Last(2), 6),
            (Since::Last(5), 3),
            (Since::Last(usize::MAX), 3),
            // Not kept, and told as missed.
            (Since::Seq(0), 1),
            (Since::Seq(1), 2),
            (Since::Seq(2), 3),
            (Since::Seq(6), 7),
            (Since::Seq(7), 8),
            // Of an earlier run of the program.
            (Since::Seq(8), 3),
            (Since::Seq(u64::MAX), 3),
            (Since::Now, 8),
        ] {
            assert_eq!(since.first(3, 7), begin, "{since:?}");
        }
        for since in [
            Since::Start,
            Since::Last(3),
            Since::Seq(0),
            Since::Seq(5),
            Since::Now,
        ] {
            assert_eq!(since.first(1, 0), 1, "{since:?} before anything came");
        }
    }
}
