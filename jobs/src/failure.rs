use std::time::Duration;

/// Any error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a handler returns where a run did not end well.
#[derive(Debug)]
pub enum Failure {
    /// Try again after the job's backoff; dead once its attempts are spent.
    Retry(BoxError),
    /// Nothing failed, but come back in a while. Spends no attempt.
    Snooze(Duration),
    /// It can't succeed: dead at once.
    Fail(BoxError),
}

/// An error is worth another try unless the handler says otherwise, so that `?` does the usual.
impl<E> From<E> for Failure
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        Self::Retry(Box::new(error))
    }
}

/// The error and what caused it, in one line for the row and the log.
pub(crate) fn chain(error: &BoxError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
