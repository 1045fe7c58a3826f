//! Documents: import with a result for each line, delete, read back.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use metrics::{counter, histogram};
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};
use tracing::Instrument;

use super::{CALL_TIMEOUT, Client, Error, error::told, segment};
use crate::metrics::{IMPORT_BYTES, IMPORT_DURATION, IMPORT_LINES};

/// What became of one line of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineResult {
    Imported,
    Refused {
        code: u16,
        message: String,
    },
    /// The answer had no readable line for it.
    Unanswered,
}

impl LineResult {
    /// As metrics call it.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Refused { .. } => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

/// An import's answer: exactly one result for each line sent.
pub type Imported = Vec<LineResult>;

/// Ids that one delete or one search names at most, and bytes of them, so that a URL stays far below the node's limit.
const IDS_A_CALL: usize = 250;
const ID_BYTES_A_CALL: usize = 64 << 10;

/// True for ids that a filter's list can't name: between backticks a backtick or a backslash is read otherwise, and blanks at the
/// edges are trimmed. They go by path, one by one.
pub fn goes_by_path(id: &str) -> bool {
    id.contains(['`', '\\']) || id.trim() != id
}

/// The filter that names documents of these ids, none of which [`goes_by_path`].
pub fn naming(ids: &[&str]) -> String {
    format!("id:=[`{}`]", ids.join("`,`"))
}

/// Parts ids into the filters that name them and the ids that no filter can name.
fn id_filters<'a>(ids: &[&'a str]) -> (Vec<String>, Vec<&'a str>) {
    let (by_path, by_filter): (Vec<&str>, Vec<&str>) = ids.iter().copied().partition(|id| goes_by_path(id));
    let mut filters = Vec::new();
    let mut rest = &by_filter[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(IDS_A_CALL).take_while(|id| {
            bytes += id.len();
            bytes <= ID_BYTES_A_CALL
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        filters.push(naming(now));
        rest = later;
    }
    (filters, by_path)
}

impl Client {
    /// Upserts `lines` documents, given as JSON lines, into a collection or alias.
    ///
    /// Typesense answers 200 even where every line was refused; the results say which. `timeout` bounds the whole call.
    pub async fn import(
        &self,
        collection: &str,
        jsonl: Bytes,
        lines: usize,
        timeout: Duration,
    ) -> Result<Imported, Error> {
        let path = format!("/collections/{}/documents/import?action=upsert", segment(collection));
        let (began, bytes) = (Instant::now(), jsonl.len());
        let call = self.request(Method::POST, &path).timeout(timeout).body(jsonl);
        let sending = async { self.send(call).await?.bytes().await };
        let answer = sending.instrument(tracing::info_span!("import", collection, lines, bytes)).await;
        let backend = &*self.addresses;
        counter!(IMPORT_BYTES.name, "backend" => backend.to_owned()).increment(bytes as u64);
        let outcome = if answer.is_ok() { "answered" } else { "failed" };
        histogram!(IMPORT_DURATION.name, "backend" => backend.to_owned(), "outcome" => outcome).record(began.elapsed());
        let results = line_results(&answer?, lines);
        for outcome in ["imported", "refused", "unanswered"] {
            let lines = results.iter().filter(|result| result.outcome() == outcome).count();
            counter!(IMPORT_LINES.name, "backend" => backend.to_owned(), "outcome" => outcome).increment(lines as u64);
        }
        Ok(results)
    }

    /// Deletes documents by id; ids that are not there are no error.
    pub async fn delete(&self, collection: &str, ids: &[&str], timeout: Duration) -> Result<(), Error> {
        let (filters, by_path) = id_filters(ids);
        let collection = format!("/collections/{}/documents", segment(collection));
        let many = filters.iter().map(|filter| {
            self.request(Method::DELETE, &collection).query(&[("filter_by", filter.as_str()), ("batch_size", "1000")])
        });
        let single = by_path.iter().map(|id| self.request(Method::DELETE, &format!("{collection}/{}", segment(id))));
        let calls: Vec<RequestBuilder> = many.chain(single).map(|call| call.timeout(timeout)).collect();
        let calls = calls.into_iter().map(|call| async move {
            match self.send(call).await {
                Ok(_) => Ok(()),
                // A missing document is as good as deleted; a missing collection is not.
                Err(Error::Status { status: 404, message }) if message != "Not Found" => Ok(()),
                Err(error) => Err(error),
            }
        });
        stream::iter(calls).buffer_unordered(4).try_collect().await
    }

    /// Reads one field of documents: those that are there, each with the field where it has it.
    pub async fn field_of(
        &self,
        collection: &str,
        ids: &[&str],
        field: &str,
    ) -> Result<HashMap<String, Option<Value>>, Error> {
        let found = self.documents(collection, ids, Some(field)).await?;
        let read = |(id, mut document): (String, Value)| (id, document.get_mut(field).map(Value::take));
        Ok(found.into_iter().map(read).collect())
    }

    /// Reads documents: those that are there, whole or with one field beside their ids.
    pub async fn documents(
        &self,
        collection: &str,
        ids: &[&str],
        field: Option<&str>,
    ) -> Result<HashMap<String, Value>, Error> {
        let (filters, by_path) = id_filters(ids);
        let mut found = HashMap::new();
        for filters in filters.chunks(10) {
            let search = |filter: &String| {
                let mut search =
                    json!({ "collection": collection, "q": "*", "filter_by": filter, "per_page": IDS_A_CALL });
                if let Some(field) = field {
                    search["include_fields"] = json!(format!("id,{field}"));
                }
                search
            };
            let searches: Vec<Value> = filters.iter().map(search).collect();
            for result in self.multi_search(&searches).await? {
                let mut result = result?;
                let hits = result.get_mut("hits").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
                found.extend(hits.into_iter().filter_map(|mut hit| by_id(hit.get_mut("document")?.take())));
            }
        }
        for id in by_path {
            let path = format!("/collections/{}/documents/{}", segment(collection), segment(id));
            match self.send_json::<Value>(self.request(Method::GET, &path)).await {
                Ok(document) => found.extend(by_id(document)),
                Err(Error::Status { status: 404, message }) if message != "Not Found" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Whether a document is there and matches a filter.
    pub async fn matches(&self, collection: &str, id: &str, filter: &str) -> Result<bool, Error> {
        // Ids that no filter can name are looked for among all that match.
        if goes_by_path(id) {
            let mut matching = std::pin::pin!(self.ids_matching(collection, filter).await?);
            while let Some(found) = matching.try_next().await? {
                if found == id {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let search = json!({ "collection": collection, "q": "*", "filter_by": format!("({filter}) && id:=`{id}`"),
                             "per_page": 0 });
        match self.multi_search(&[search]).await?.pop() {
            Some(result) => Ok(result?.get("found").and_then(Value::as_u64).is_some_and(|found| found > 0)),
            None => Ok(false),
        }
    }

    /// The ids of all documents that match a filter, as they stream in; of all documents where it is empty.
    pub async fn ids_matching(
        &self,
        collection: &str,
        filter: &str,
    ) -> Result<impl Stream<Item = Result<String, Error>> + use<>, Error> {
        #[derive(Deserialize)]
        struct Line {
            id: String,
        }
        let lines = self.export::<Line>(collection, filter, "id").await?;
        Ok(lines.map_ok(|line| line.id))
    }

    /// One field of all documents, each with its id, as they stream in. Who reads slowly holds the node up, not this process's memory.
    pub async fn field_of_all(
        &self,
        collection: &str,
        field: &'static str,
    ) -> Result<impl Stream<Item = Result<(String, Option<Value>), Error>> + use<>, Error> {
        let lines = self.export::<Value>(collection, "", &format!("id,{field}")).await?;
        Ok(lines.try_filter_map(move |document| async move {
            let read = |(id, mut document): (String, Value)| (id, document.get_mut(field).map(Value::take));
            Ok(by_id(document).map(read))
        }))
    }

    /// Documents that match a filter, one a line, with some of their fields.
    async fn export<T: DeserializeOwned>(
        &self,
        collection: &str,
        filter: &str,
        fields: &str,
    ) -> Result<impl Stream<Item = Result<T, Error>> + use<T>, Error> {
        let export = self
            .request(Method::GET, &format!("/collections/{}/documents/export", segment(collection)))
            .query(&[("filter_by", filter), ("include_fields", fields)])
            .timeout(Duration::from_secs(600));
        // Some filters are never answered.
        let response = tokio::time::timeout(CALL_TIMEOUT, self.send(export)).await.map_err(|_| Error::TimedOut)??;
        let body = response.stream().map_err(std::io::Error::other);
        let lines = FramedRead::new(StreamReader::new(body), LinesCodec::new_with_max_length(64 << 10));
        Ok(lines.map(|line| {
            let line = line.map_err(|error| Error::Answer(serde::de::Error::custom(error)))?;
            serde_json::from_str(&line).map_err(Error::Answer)
        }))
    }
}

fn by_id(document: Value) -> Option<(String, Value)> {
    Some((document.get("id")?.as_str()?.to_owned(), document))
}

/// Reads an import's answer: a result for each of its lines, whatever was answered.
pub fn line_results(body: &[u8], lines: usize) -> Imported {
    #[derive(Deserialize)]
    struct Line {
        success: bool,
        #[serde(default)]
        code: u16,
        #[serde(default)]
        error: String,
    }
    let mut results: Imported = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| match serde_json::from_slice::<Line>(line) {
            Ok(Line { success: true, .. }) => LineResult::Imported,
            Ok(Line { code, error, .. }) => LineResult::Refused { code, message: told(&error) },
            Err(_) => LineResult::Unanswered,
        })
        .take(lines)
        .collect();
    results.resize(lines, LineResult::Unanswered);
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_a_filter_would_misread_go_by_path() {
        let (filters, by_path) = id_filters(&["a", "b,c", "`", " d", "e\\", "..", "(f) && g"]);
        assert_eq!(filters, ["id:=[`a`,`b,c`,`..`,`(f) && g`]"]);
        assert_eq!(by_path, ["`", " d", "e\\"]);
    }

    #[test]
    fn filters_are_bounded_in_number_and_size() {
        let ids: Vec<String> = (0..600).map(|n| format!("{n:0>400}")).collect();
        let (filters, _) = id_filters(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(filters.iter().all(|filter| filter.len() < 70_000));
        assert_eq!(filters.iter().map(|filter| filter.matches(',').count() + 1).sum::<usize>(), 600);
    }

    #[test]
    fn each_line_sent_has_a_result_whatever_the_answer_holds() {
        let refused = LineResult::Refused { code: 400, message: "no".into() };
        let answer = b"{\"success\":true}\n{\"code\":400,\"error\":\"no\",\"success\":false}\n";
        assert_eq!(line_results(answer, 2), [LineResult::Imported, refused.clone()]);
        assert_eq!(line_results(answer, 3), [LineResult::Imported, refused, LineResult::Unanswered]);
        assert_eq!(line_results(answer, 1), [LineResult::Imported]);
        assert_eq!(line_results(b"{\"succ", 2), [LineResult::Unanswered, LineResult::Unanswered]);
    }
}
