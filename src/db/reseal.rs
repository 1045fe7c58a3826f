//! A new master secret: what the one before has sealed is sealed anew.

use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::seal::{Column, Sealer};

/// What became of the sealed values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that were sealed anew.
    pub renewed: u64,
    /// Whose values neither secret opens, such as `client shop`.
    pub unreadable: Vec<String>,
}

/// A column of sealed values: `select` gives its rows as id, whose they are, and value; `update` replaces a value that is as it was read.
struct Sealed {
    column: Column,
    select: &'static str,
    update: &'static str,
}

const ALL: [Sealed; 3] = [
    Sealed {
        column: Column::ClientUrl,
        select: "select id, 'client ' || name, url_encrypted from tidewell.clients",
        update: "update tidewell.clients set url_encrypted = $3 where id = $1 and url_encrypted = $2",
    },
    Sealed {
        column: Column::BackendKey,
        select: "select id, 'backend ' || name, api_key_encrypted from public.typesense_profiles",
        update: "update public.typesense_profiles set api_key_encrypted = $3 where id = $1 and api_key_encrypted = $2",
    },
    Sealed {
        column: Column::BackendSearchKey,
        select:
            "select id, 'backend ' || name || ' (search key)', search_api_key_encrypted from public.typesense_profiles
                 where search_api_key_encrypted is not null",
        update: "update public.typesense_profiles set search_api_key_encrypted = $3
                 where id = $1 and search_api_key_encrypted = $2",
    },
];

/// Seals with the current secret whatever the one before has sealed.
pub async fn all(pool: &PgPool, sealer: &Sealer) -> Result<Resealed, sqlx::Error> {
    let mut outcome = Resealed::default();
    for Sealed { column, select, update } in ALL {
        let rows: Vec<(Uuid, String, Vec<u8>)> = sqlx::query_as(select).fetch_all(pool).await?;
        for (id, whose, before) in rows {
            match sealer.reseal(column, id, &before) {
                Ok(None) => {}
                Ok(Some(after)) => {
                    let done = sqlx::query(update).bind(id).bind(before).bind(after).execute(pool).await?;
                    outcome.renewed += done.rows_affected();
                }
                Err(_) => outcome.unreadable.push(whose),
            }
        }
    }
    Ok(outcome)
}
