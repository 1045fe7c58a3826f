//! What there is to sync: a client's tables, and what one of them is like.

use std::{future::Future, time::Duration};

use crate::{
    db::client::SourceClient,
    domain::seal::{self, Sealer},
    source::{self, Outline, Sample, Source, Table},
};

/// How long a look may take altogether: somebody waits for it.
const WITHIN: Duration = Duration::from_secs(15);
/// How long reading rows may take there: of a view, the first one may take all its work.
pub(super) const READING: Duration = Duration::from_secs(10);

/// Why nothing could be seen.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    #[error(transparent)]
    Sealed(#[from] seal::Error),
    /// Tells the server's reason, and nothing of the URL.
    #[error(transparent)]
    Source(#[from] source::Error),
}

/// Every relation that the client's role may read.
pub async fn tables(client: &SourceClient, sealer: &Sealer) -> Result<Vec<Table>, Unseen> {
    let url = client.url(sealer)?;
    in_time(async {
        let mut source = Source::connect(url.expose()).await?;
        let tables = source.tables().await?;
        source.close().await;
        Ok(tables)
    })
    .await
}

/// One relation; `None` where there is none of that name that the client's role can see.
pub async fn table(
    client: &SourceClient,
    sealer: &Sealer,
    schema: &str,
    name: &str,
) -> Result<Option<Outline>, Unseen> {
    let url = client.url(sealer)?;
    in_time(async {
        let mut source = Source::connect(url.expose()).await?;
        let relation = source.describe(schema, name).await?;
        source.close().await;
        Ok(relation.as_ref().map(Outline::from))
    })
    .await
}

/// Some rows of a relation; `None` where there is none of that name that the client's role can see.
pub async fn rows(
    client: &SourceClient,
    sealer: &Sealer,
    schema: &str,
    name: &str,
    limit: i64,
) -> Result<Option<Vec<Sample>>, Unseen> {
    let url = client.url(sealer)?;
    in_time(async {
        let mut source = Source::connect(url.expose()).await?;
        let rows = match source.describe(schema, name).await? {
            Some(relation) => {
                source.limit_statements(READING).await?;
                Some(source.sample(&relation, limit).await?)
            }
            None => None,
        };
        source.close().await;
        Ok(rows)
    })
    .await
}

async fn in_time<T>(look: impl Future<Output = Result<T, Unseen>>) -> Result<T, Unseen> {
    let looked = tokio::time::timeout(WITHIN, look).await;
    looked.unwrap_or_else(|_| Err(source::Error::Unreachable(sqlx::Error::PoolTimedOut).into()))
}
