//! Lanes: how an index's writes are split into streams that run side by side, each in order.

use xxhash_rust::xxh3::xxh3_64;

/// Lanes of every index. Stored rows carry their lane, so a change of this number needs a migration of `outbox` and `lanes`.
pub const LANES: i16 = 8;

/// The lane of a document: the same for every write of one id, on every machine and in every version (XXH3, 64 bits).
pub fn lane_of(document_id: &str) -> i16 {
    // The remainder is below LANES, so it fits.
    (xxh3_64(document_id.as_bytes()) % LANES as u64) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_lane_never_changes() {
        // Fixed values: rows written by an earlier version must be found by a later one.
        assert_eq!(["a", "b", "42", "ü/%"].map(lane_of), [7, 7, 1, 7]);
    }

    #[test]
    fn lanes_are_evenly_filled() {
        let mut filled = [0; LANES as usize];
        for id in 0..8000 {
            filled[lane_of(&id.to_string()) as usize] += 1;
        }
        assert!(filled.iter().all(|n| (850..1150).contains(n)), "{filled:?}");
    }
}
