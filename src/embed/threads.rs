//! The threads on which the local model computes: its own, so that neither requests nor the database wait for a processor that
//! it has taken from them by the hundred.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use tidewell_minilm::Model;
use tokio::sync::oneshot;

use super::{Refusal, Vector, provider::Urgency};

type Vectors = Vec<Result<Vector, Refusal>>;

struct Task {
    texts: Vec<String>,
    done: oneshot::Sender<Vectors>,
}

/// One thread for each processor, and one more that searches have for themselves. They end when this is dropped.
pub(super) struct Threads {
    bulk: mpsc::Sender<Task>,
    queries: mpsc::Sender<Task>,
    processors: usize,
}

impl Threads {
    pub(super) fn start(model: Model) -> io::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let model = Arc::new(model);
        let (bulk, tasks) = mpsc::channel();
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..processors {
            start("embed", &model, &tasks)?;
        }
        let (queries, tasks) = mpsc::channel();
        start("embed-query", &model, &Arc::new(Mutex::new(tasks)))?;
        Ok(Self { bulk, queries, processors })
    }

    /// The vectors of texts, in order; `None` where the threads are gone.
    pub(super) async fn embed(&self, texts: Vec<String>, urgency: Urgency) -> Option<Vectors> {
        /// More at once bring nothing: the matrices are large enough, and memory has to hold what becomes of them.
        const TEXTS: usize = 8;
        let share = texts.len().div_ceil(self.processors).clamp(1, TEXTS);
        let lane = match urgency {
            Urgency::Query => &self.queries,
            Urgency::Bulk => &self.bulk,
        };
        let mut answers = Vec::new();
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let (done, answer) = oneshot::channel();
            lane.send(Task { texts: texts.by_ref().take(share).collect(), done }).ok()?;
            answers.push(answer);
        }
        let mut vectors = Vec::new();
        for answer in answers {
            vectors.extend(answer.await.ok()?);
        }
        Some(vectors)
    }
}

fn start(name: &str, model: &Arc<Model>, tasks: &Arc<Mutex<mpsc::Receiver<Task>>>) -> io::Result<()> {
    let (model, tasks) = (model.clone(), tasks.clone());
    let next = move || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let work = move || {
        while let Some(Task { texts, done }) = next() {
            // Nobody waits any more where a request was given up.
            if !done.is_closed() {
                let _ = done.send(vectors(&model, &texts));
            }
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Together; one by one where the tokenizer does not take one of them.
fn vectors(model: &Model, texts: &[String]) -> Vectors {
    match model.embed(texts) {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(error) if texts.len() == 1 => vec![Err(Refusal(error.to_string()))],
        Err(_) => texts.chunks(1).flat_map(|text| vectors(model, text)).collect(),
    }
}
