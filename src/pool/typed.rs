//! Jobs and answers that are values: JSON on the way.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::JobError;
use super::handle::PoolHandle;
use super::job::Job;
use crate::Bytes;

impl Job {
    /// A job whose body is the JSON of a value.
    /// [`PoolHandle::submit_json`] reads the answer as well. Needs the feature `json`.
    ///
    /// # Errors
    ///
    /// [`JobError::Protocol`] if the value has no JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, JobError> {
        match serde_json::to_vec(value) {
            Ok(body) => Ok(Self::new(body)),
            // Its text may have content of the value.
            Err(_) => Err(JobError::protocol("the value of the job has no JSON")),
        }
    }
}

impl PoolHandle {
    /// Gives the pool the JSON of a value as a job, and reads the answer as the JSON of another. Works with each [`Framing`](super::Framing). A
    /// [`Job::json`] can be given by [`submit`](Self::submit) with a key, a timeout and the like. Dropping the future cancels the job. Needs the feature
    /// `json`.
    ///
    /// ```
    /// use actix_process::Command;
    /// use actix_process::pool::Pool;
    ///
    /// # actix::System::new().block_on(async {
    /// let pool = Pool::one_shot(Command::new("cat")).start()?;
    /// let answer: (u32, String) = pool.submit_json(&(7, "seven")).await?;
    /// assert_eq!(answer, (7, "seven".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit), and [`JobError::Protocol`] if the value has no JSON, or the answer is no JSON of an `R`; its text says which of
    /// these, and nothing of either value. [`JobError::Remote`] holds JSON if the workers speak [`Framing::JsonLines`](super::Framing::JsonLines).
    pub async fn submit_json<T, R>(&self, value: &T) -> Result<R, JobError>
    where
        T: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let answer = self.submit(Job::json(value)?).await?;
        parsed(&answer)
    }
}

fn parsed<R: DeserializeOwned>(answer: &Bytes) -> Result<R, JobError> {
    serde_json::from_slice(answer).map_err(|error| {
        use serde_json::error::Category;
        let (line, column) = (error.line(), error.column());
        // The text of the error may have content of the answer.
        let what = match error.classify() {
            Category::Eof => "ends too early".to_owned(),
            Category::Data => format!("is of another type, at line {line}, column {column}"),
            Category::Syntax | Category::Io => format!("is wrong at line {line}, column {column}"),
        };
        JobError::protocol(format!("the JSON of the answer {what}"))
    })
}
