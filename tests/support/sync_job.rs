//! Sync jobs as they are stored, for tests of what is told and done about them rather than of their runs.

use sqlx::PgPool;
use tidewell::db::sync::settle::{Letter, bury};
use uuid::Uuid;

/// A sync job of the table `public.books` of the client `shop`, with letters.
pub struct SyncJob {
    pub id: Uuid,
    pub name: &'static str,
}

impl SyncJob {
    /// One whose collection has been made.
    pub async fn make(pool: &PgPool, name: &'static str, documents: &[&str]) -> Self {
        let sync = Self::without_collection(pool, name, documents).await;
        let state = "insert into tidewell.sync_states (job_id, collection) values ($1, 'books_1')";
        sqlx::query(state).bind(sync.id).execute(pool).await.expect("a state");
        sync
    }

    pub async fn without_collection(pool: &PgPool, name: &'static str, documents: &[&str]) -> Self {
        let id = sqlx::query_scalar(
            "with profile as (
                 insert into public.typesense_profiles (name, base_url, api_key_encrypted)
                 values ($1, 'http://127.0.0.1:1', '') returning id
             )
             insert into public.typesense_sync_jobs (name, source_client_name, source_table_name, typesense_profile_id,
                                                     collection_name, document_id_column, next_sync_at)
             select $1, 'shop', 'books', id, 'books', 'id', null from profile
             returning id",
        )
        .bind(name)
        .fetch_one(pool)
        .await
        .expect("a job");
        let sync = Self { id, name };
        sync.refuse(pool, documents).await;
        sync
    }

    pub async fn refuse(&self, pool: &PgPool, documents: &[&str]) {
        let letter = |id: &&str| Letter {
            document_id: (*id).to_owned(),
            document: Some(format!(r#"{{"id":"{id}","title":7}}"#)),
            code: "document_refused".to_owned(),
            message: "Field `title` must be a string.".to_owned(),
            attempts: 1,
        };
        let letters: Vec<_> = documents.iter().map(letter).collect();
        bury(&mut pool.acquire().await.expect("a connection"), self.id, &letters).await.expect("letters");
    }

    pub async fn runs(&self, pool: &PgPool) -> Vec<(String, String)> {
        sqlx::query_as(
            "select status, trigger_source from public.typesense_sync_runs where job_id = $1 order by queued_at",
        )
        .bind(self.id)
        .fetch_all(pool)
        .await
        .expect("runs")
    }

    /// Documents that the next pass looks at.
    pub async fn marked(&self, pool: &PgPool) -> i64 {
        let marked = "select count(*) from tidewell.sync_overlay where job_id = $1 and collection = 'books_1' and look";
        sqlx::query_scalar(marked).bind(self.id).fetch_one(pool).await.expect("a count")
    }

    pub async fn set(&self, pool: &PgPool, statement: &'static str) {
        sqlx::query(statement).bind(self.id).execute(pool).await.expect("a change");
    }
}
