//! Dead letters of indexes against what Typesense refuses.

use std::collections::BTreeSet;

use super::{Check, Violation, some};
use crate::{oracle::Oracle, site::Site, workload::Written};

pub(super) async fn are_right(site: &Site, written: &Written) -> anyhow::Result<Vec<Violation>> {
    let letters: Vec<(String, String, String)> = sqlx::query_as(
        "select coalesce(document_id, ''), coalesce((body::jsonb -> 'title')::text, ''), error_code from tidewell.dead_letters
         where index_id is not null",
    )
    .fetch_all(&site.pool)
    .await?;
    let dead: BTreeSet<(String, String)> = letters.iter().map(|(id, title, _)| (id.clone(), title.clone())).collect();
    let writers: Vec<&Oracle> = written.books.iter().chain([&written.shelf, &written.compat]).collect();
    // One that a newer write has overtaken before it was sent was never refused.
    let last = writers.iter().flat_map(|writer| &writer.last_refused);
    let missing: Vec<_> = last.filter(|(id, title)| !dead.contains(&((*id).clone(), (*title).clone()))).collect();
    let is_refused = |(id, title, code): &&(String, String, String)| {
        let one = (id.clone(), title.clone());
        code == "document_refused" && writers.iter().any(|writer| writer.refused.contains(&one))
    };
    let others: Vec<_> = letters.iter().filter(|letter| !is_refused(letter)).collect();
    let violations = [
        some(Check::RefusedIsALetter, "refused documents are no dead letters", &missing),
        some(Check::OnlyRefusedIsALetter, "dead letters are of documents that were never refused", &others),
    ];
    Ok(violations.into_iter().flatten().collect())
}
