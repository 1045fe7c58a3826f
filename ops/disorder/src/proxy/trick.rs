//! What a proxy may do to a request, and the rules by which it chooses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use tokio::time::Instant;

use super::message::Request;

/// Something that is done to a request or to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// The connection is cut before anything is passed on.
    Cut,
    /// The request is passed on late.
    Delay(Duration),
    /// As a delay, and passed on whether or not anybody waits for the answer; not at all if it became later than `latest`.
    Hold { until: Duration, latest: Duration },
    /// The request is passed on, and the connection cut instead of an answer.
    LoseAnswer,
    /// As `LoseAnswer`, in the middle of the answer.
    HalfAnswer,
    /// The answer to an import ends after half of its lines, as if that were all.
    HalfLines,
    /// The answer to an import says of every other line that it could not be taken now, though it was.
    FailedLines,
    /// Some bytes of a good answer are not what they were.
    Garble,
    /// 503, and nothing is passed on.
    Unavailable,
    /// A forged 202, and nothing is passed on.
    ForgeAccepted,
    /// A forged 401, and nothing is passed on.
    ForgeUnauthorized,
    /// A forged 200 to a DELETE by filter, and nothing is passed on.
    ForgeDeleted,
    /// Every line of an import is sent twice, the second time under another id.
    WriteTwice,
    /// The answer to an import says of the first line that the document is refused for good, and its line is left out.
    RefuseFirst,
}

impl Trick {
    /// Whether it can be done to this request.
    fn concerns(self, request: &Request) -> bool {
        match self {
            Self::Hold { .. } | Self::HalfLines | Self::FailedLines | Self::WriteTwice | Self::RefuseFirst => {
                request.is_import()
            }
            Self::ForgeAccepted => request.method == "POST" && request.path.ends_with("/documents:batch"),
            Self::ForgeDeleted => request.method == "DELETE" && request.path.contains("/collections/items"),
            _ => true,
        }
    }
}

/// A trick that is played for a while.
struct Armed {
    /// What it is counted as.
    name: &'static str,
    trick: Trick,
    until: Instant,
    /// The share of the requests that it is played on.
    share: f64,
}

/// How often each fault has happened.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Tally {
    pub(crate) fn add(&self, name: &'static str) {
        *lock(&self.0).entry(name).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}

/// The tricks of one proxy.
#[derive(Clone)]
pub(crate) struct Tricks {
    inner: Arc<Mutex<(Vec<Armed>, StdRng)>>,
    tally: Tally,
}

impl Tricks {
    pub(crate) fn new(random: StdRng, tally: Tally) -> Self {
        Self { inner: Arc::new(Mutex::new((Vec::new(), random))), tally }
    }

    /// Plays a trick from now on, for `lasting`, on a share of the requests that it concerns.
    pub(crate) fn arm(&self, name: &'static str, trick: Trick, lasting: Duration, share: f64) {
        lock(&self.inner).0.push(Armed { name, trick, until: Instant::now() + lasting, share });
    }

    /// Plays no more.
    pub(crate) fn end(&self) {
        lock(&self.inner).0.clear();
    }

    /// The trick that is played on a request, if any; the one that was armed last comes first.
    pub(super) fn choose(&self, request: &Request) -> Option<Trick> {
        let mut inner = lock(&self.inner);
        let (armed, random) = &mut *inner;
        let now = Instant::now();
        armed.retain(|armed| armed.until > now);
        let chosen =
            armed.iter().rev().find(|armed| armed.trick.concerns(request) && random.random_bool(armed.share))?;
        self.tally.add(chosen.name);
        Some(chosen.trick)
    }

    /// Some places of so many bytes.
    pub(super) fn places(&self, bytes: usize) -> Vec<usize> {
        let random = &mut lock(&self.inner).1;
        (0..bytes.div_ceil(200)).map(|_| random.random_range(0..bytes)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
