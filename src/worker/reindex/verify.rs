//! Whether a version holds what the record does, before it is put in place.

use rand::seq::IndexedRandom;

use super::Run;
use crate::{
    db::{
        self,
        reindex::{record, refusal},
    },
    domain::document::VERSION_FIELD,
    worker::stop::Stop,
};

/// Documents that are looked at one by one.
const SAMPLE: usize = 200;

impl Run<'_> {
    /// Compares counts, and a sample of versions. Called while nothing changes.
    pub(super) async fn verify(&self) -> Result<(), Stop> {
        let Self { worker, index, version, .. } = self;
        let holds = match worker.typesense.catch_up(&version.collection).await? {
            true => worker.typesense.collection(&version.collection).await?.map(|found| found.num_documents),
            false => None,
        };
        let Some(holds) = holds else {
            return Err(Stop::Fail(format!("the collection {} is gone", version.collection)));
        };
        let mut conn = worker.pool.acquire().await?;
        let recorded = record::count(&mut conn, index.id).await?;
        let refused = refusal::list(&mut *conn, self.id(), "", i64::MAX).await?;
        drop(conn);
        let refused: Vec<&str> = refused.iter().map(|refusal| refusal.document_id.as_str()).collect();
        // Of a refused document an older state may be there.
        let older = worker.typesense.field_of(&version.collection, &refused, VERSION_FIELD).await?.len();
        let expected = recorded - refused.len() as i64 + older as i64;
        if i64::try_from(holds) != Ok(expected) {
            return Err(Stop::Fail(format!(
                "{} should hold {expected} documents and holds {holds}: it was not put in place, ask for it again",
                version.collection
            )));
        }
        self.verify_sample(&refused).await
    }

    async fn verify_sample(&self, refused: &[&str]) -> Result<(), Stop> {
        let Self { worker, index, version, .. } = self;
        let mut ids = Vec::new();
        let (rows, bytes) = self.page_size();
        for _ in 0..4 {
            // From anywhere: ids of whatever kind are spread among two letters.
            let after: String = (0..2).map(|_| char::from(rand::random_range(b' '..b'~'))).collect();
            ids.extend(record::read(&worker.pool, index.id, &after, rows, bytes).await?);
        }
        ids.extend(record::read(&worker.pool, index.id, "", rows, bytes).await?);
        let ids: Vec<String> = ids.sample(&mut rand::rng(), SAMPLE).map(|found| found.document_id.clone()).collect();
        let asked: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !refused.contains(id)).collect();
        let found = worker.typesense.field_of(&version.collection, &asked, VERSION_FIELD).await?;
        let records = db::flight::records(&worker.pool, index.id, &ids).await?;
        let differs = records.iter().filter(|record| asked.contains(&record.document_id.as_str())).find(|record| {
            let found = found.get(&record.document_id).and_then(|version| version.as_ref()?.as_i64());
            found != Some(record.version)
        });
        match differs {
            None => Ok(()),
            Some(record) => Err(Stop::Fail(format!(
                "{} does not hold {:?} as the record has it: it was not put in place, ask for it again",
                version.collection, record.document_id
            ))),
        }
    }
}
