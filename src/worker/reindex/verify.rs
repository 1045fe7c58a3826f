//! Whether a version holds what the record does, before it is put in place.

use rand::seq::IndexedRandom;

use super::Run;
use crate::{
    db::reindex::{record, refusal},
    domain::document::VERSION_FIELD,
    typesense,
    worker::stop::Stop,
};

/// Documents that are looked at one by one.
const SAMPLE: usize = 200;
/// Documents of each of the places that the sample is taken from.
const PAGE: i64 = 1000;

impl Run<'_> {
    /// Compares counts, and a sample of versions. Called while nothing changes.
    pub(super) async fn verify(&self) -> Result<(), Stop> {
        let Self { worker, index, version, .. } = self;
        let gone = || Stop::Fail(format!("the collection {} is gone", version.collection));
        let caught_up = worker.typesense.caught_up(&version.collection).await?.ok_or_else(gone)?;
        let holds = caught_up.collection(&version.collection).await?.ok_or_else(gone)?.num_documents;
        let mut conn = worker.pool.acquire().await?;
        let recorded = record::count(&mut conn, index.id).await?;
        let refused = refusal::list(&mut *conn, self.id(), "", i64::MAX).await?;
        drop(conn);
        let refused: Vec<&str> = refused.iter().map(|refusal| refusal.document_id.as_str()).collect();
        // Of a refused document an older state may be there.
        let older = caught_up.field_of(&version.collection, &refused, VERSION_FIELD).await?.len();
        let expected = recorded - refused.len() as i64 + older as i64;
        if i64::try_from(holds) != Ok(expected) {
            return Err(Stop::Fail(format!(
                "{} should hold {expected} documents and holds {holds}: it was not put in place, ask for it again",
                version.collection
            )));
        }
        self.verify_sample(&caught_up, &refused).await
    }

    async fn verify_sample(&self, caught_up: &typesense::Client, refused: &[&str]) -> Result<(), Stop> {
        let Self { worker, index, version, .. } = self;
        let mut versions = record::versions(&worker.pool, index.id, "", PAGE).await?;
        for _ in 0..4 {
            // From anywhere: ids of whatever kind are spread among two letters.
            let after: String = (0..2).map(|_| char::from(rand::random_range(b' '..b'~'))).collect();
            versions.extend(record::versions(&worker.pool, index.id, &after, PAGE).await?);
        }
        versions.retain(|(id, _)| !refused.contains(&id.as_str()));
        let sample: Vec<&(String, i64)> = versions.sample(&mut rand::rng(), SAMPLE).collect();
        let ids: Vec<&str> = sample.iter().map(|(id, _)| id.as_str()).collect();
        let found = caught_up.field_of(&version.collection, &ids, VERSION_FIELD).await?;
        let differs = sample.into_iter().find(|(id, version)| {
            let found = found.get(id).and_then(|found| found.as_ref()?.as_i64());
            found != Some(*version)
        });
        match differs {
            None => Ok(()),
            Some((id, _)) => Err(Stop::Fail(format!(
                "{} does not hold {id:?} as the record has it: it was not put in place, ask for it again",
                version.collection
            ))),
        }
    }
}
