//! What a pool is asked to do.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Bytes;

/// Work for one worker: a body, and what is said about when and how it runs.
///
/// ```
/// use std::time::Duration;
///
/// use actix_process::pool::Job;
///
/// let job = Job::new("a prompt").urgent().expires(Duration::from_secs(10)).timeout(Duration::from_secs(60));
/// # let _ = job;
/// ```
#[derive(Clone)]
#[must_use = "a job does nothing until it is submitted"]
pub struct Job {
    pub(crate) body: Bytes,
    pub(crate) args: Vec<OsString>,
    pub(crate) urgent: bool,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) expires: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
}

impl Job {
    /// A job with this body: what the worker gets.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            args: Vec::new(),
            urgent: false,
            key: None,
            expires: None,
            timeout: None,
            retries: 0,
        }
    }

    /// Adds an argument to the command, for this job. Only for pools of [`Framing::OneShot`](super::Framing::OneShot). A job with arguments
    /// takes no [spare](super::Pool::spare).
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments, as [`arg`](Self::arg).
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The job goes before all that are not urgent. It does not overtake jobs of its own [key](Self::key).
    pub const fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Jobs of one key run in the order of their submission, one at a time, on the same worker while that lives: for workers that
    /// keep something in memory for each user, say.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        self.key = Some(key.as_ref().into());
        self
    }

    /// The job ends with [`JobError::Expired`](super::JobError::Expired) if no worker has begun with it by then, from its submission on.
    pub const fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// How long the job may run, in place of [`Pool::job_timeout`](super::Pool::job_timeout). It counts from the moment when a worker gets the job.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// How often the job is given to another worker when its worker is lost: never unless set, since a job may have done half of its
    /// work, and a job that kills its worker kills the next one as well. The third worker that is lost makes it
    /// [`Poisoned`](super::JobError::Poisoned) whatever is said here. A streamed job of which a part was given out is not tried again.
    pub const fn retry_on_loss(mut self, times: u32) -> Self {
        self.retries = times;
        self
    }
}

impl From<Bytes> for Job {
    fn from(body: Bytes) -> Self {
        Self::new(body)
    }
}

/// Of the body and the arguments only how many there are.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("args", &self.args.len())
            .field("urgent", &self.urgent)
            .field("expires", &self.expires)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
