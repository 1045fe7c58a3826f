//! What a model answers with, checked.

use reqwest::Response;
use serde::Deserialize;

use super::{super::Vector, fault::Fault};

/// Bytes of one text's vector, written out: 4,096 numbers of 25 characters, and some more.
const VECTOR_BYTES: usize = 128 * 1024;
const OTHER_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vector,
}

/// The vectors of so many texts in their order, all of these dimensions where they are known.
pub(super) async fn read(response: Response, texts: usize, dimensions: Option<usize>) -> Result<Vec<Vector>, Fault> {
    let body = bytes(response, texts * VECTOR_BYTES + OTHER_BYTES).await?;
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|error| Fault::Nonsense(format!("can't be read: {error}")))?;
    sorted(answer, texts, dimensions).map_err(Fault::Nonsense)
}

fn sorted(mut answer: Answer, texts: usize, dimensions: Option<usize>) -> Result<Vec<Vector>, String> {
    if answer.data.len() != texts {
        return Err(format!("has {} vectors for {texts} texts", answer.data.len()));
    }
    answer.data.sort_by_key(|item| item.index);
    let dimensions = dimensions.or_else(|| answer.data.first().map(|item| item.embedding.len())).unwrap_or_default();
    for (position, Item { index, embedding }) in answer.data.iter().enumerate() {
        if *index != position {
            return Err(format!("has no vector for text {position}"));
        }
        if embedding.is_empty() || embedding.len() != dimensions {
            return Err(format!("has a vector of {} numbers, and {dimensions} are expected", embedding.len()));
        }
        if !embedding.iter().all(|number| number.is_finite()) {
            return Err("has numbers that are not finite".to_owned());
        }
    }
    Ok(answer.data.into_iter().map(|item| item.embedding).collect())
}

/// The body, if it is no longer than this.
pub(super) async fn bytes(mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Fault::unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Fault::Nonsense(format!("has more than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: serde_json::Value, texts: usize, dimensions: Option<usize>) -> Result<Vec<Vector>, String> {
        sorted(serde_json::from_value(json!({ "data": data })).unwrap(), texts, dimensions)
    }

    #[test]
    fn vectors_are_put_into_the_order_of_their_texts() {
        let shuffled = json!([{ "index": 1, "embedding": [0.5, 2] }, { "index": 0, "embedding": [1, 0] }]);
        assert_eq!(read(shuffled, 2, None), Ok(vec![vec![1.0, 0.0], vec![0.5, 2.0]]));
    }

    #[test]
    fn an_answer_that_does_not_fit_its_question_is_not_believed() {
        let two = json!([{ "index": 0, "embedding": [1, 0] }, { "index": 1, "embedding": [1] }]);
        assert!(read(two.clone(), 3, None).unwrap_err().contains("2 vectors for 3 texts"));
        assert!(read(two, 2, None).unwrap_err().contains("1 numbers, and 2 are expected"));
        let one = json!([{ "index": 0, "embedding": [1, 0] }]);
        assert!(read(one.clone(), 1, Some(3)).unwrap_err().contains("3 are expected"));
        assert!(read(json!([{ "index": 1, "embedding": [1] }]), 1, None).is_err());
        assert!(read(json!([{ "index": 0, "embedding": [] }]), 1, None).is_err());
        assert!(read(json!([{ "index": 0, "embedding": [1e39] }]), 1, None).unwrap_err().contains("finite"));
    }
}
