//! Decides conditional deletes: documents of which it was not known what they held when their delete by filter was resolved.

use super::{
    Worker,
    batch::{Action, Batch},
    error::Error,
    reconcile::Outcome,
};
use crate::{
    db::{self, index::Index, lane::Lease},
    domain::filter,
    typesense,
};

/// Makes each conditional delete of a batch a plain one, or gives its outcome where there is nothing to send; the row versions of
/// those that became plain. What is in doubt waits: a look at the collection would tell of a state that may yet change.
pub(super) async fn decide(
    worker: &Worker,
    index: &Index,
    collection: &str,
    lease: &Lease,
    batch: &mut Batch,
    outcomes: &mut [Outcome],
) -> Result<Vec<i64>, Error> {
    let conditional = batch.items.iter().enumerate().filter_map(|(n, item)| match &item.action {
        Action::DeleteIfMatches(wanted) => Some((n, wanted.clone())),
        _ => None,
    });
    let conditional: Vec<(usize, String)> = conditional.collect();
    if conditional.is_empty() {
        return Ok(vec![]);
    }
    let asked: Vec<(&str, i64)> =
        conditional.iter().map(|(n, _)| (&*batch.items[*n].document_id, batch.items[*n].document_version)).collect();
    let unsettled = db::filter_delete::unsettled_of(&worker.pool, lease, &asked).await?;
    let Some(caught_up) = worker.typesense.caught_up(collection).await? else {
        return Err(typesense::Error::Status { status: 404, message: "Not Found".to_owned() }.into());
    };
    let mut decided = Vec::new();
    for (n, wanted) in conditional {
        let item = &mut batch.items[n];
        let confined = filter::confine([wanted.as_str()], index.organization_id);
        if unsettled.contains(&item.document_id) {
            outcomes[n] = Outcome::Wait;
        } else if caught_up.matches(collection, &item.document_id, &confined).await? {
            item.action = Action::Delete;
            decided.push(item.row.version);
        } else {
            outcomes[n] = Outcome::NothingToDo;
        }
    }
    Ok(decided)
}
