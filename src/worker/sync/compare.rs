//! Comparing a range of a source with what is known of it. Pure.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::{
    db::sync::{
        chunk::Place,
        overlay::{Known, Overlay},
        settle::{Counts, Letter},
    },
    domain::sync_entry::{Entry, Standing},
    source::{Document, Row},
};

/// Neighbouring chunks that are read together, as far as they are not read yet.
pub(super) struct Region {
    pub(super) places: Vec<Place>,
    pub(super) upper: Option<Vec<String>>,
    pub(super) expected: HashMap<String, Entry>,
    /// Read in pieces: what is expected is noted beside the chunks, where a pass that comes after a kill finds it. A chunk can't hold it,
    /// for nobody knows any more which of its ids belong before the end of the first piece.
    pub(super) is_cut: bool,
}

/// A range, compared.
pub(super) struct Piece {
    pub(super) place: Place,
    pub(super) upper: Option<Vec<String>>,
    /// What will be known, if all is written.
    pub(super) entries: Vec<(String, Entry)>,
    pub(super) writes: Vec<Write>,
    /// Documents to be deleted.
    pub(super) deletes: Vec<String>,
    pub(super) same_as: Option<Place>,
    pub(super) consumed: Vec<Place>,
    /// What the consumed chunks said of documents that have not been met yet.
    pub(super) left_over: Vec<(String, Entry)>,
    pub(super) overlay_taken: Vec<String>,
    pub(super) overlay_read_at: DateTime<Utc>,
    pub(super) letters: Vec<Letter>,
    pub(super) healed: Vec<String>,
    pub(super) counts: Counts,
}

/// A document to be sent.
pub(super) struct Write {
    /// Its place among the entries.
    pub(super) entry: usize,
    pub(super) before: Option<Entry>,
    pub(super) document: String,
}

/// What a range is compared by.
pub(super) struct Comparison<'a> {
    /// Of the chunk that the range will be.
    pub(super) place: Place,
    /// What is known beside the chunks.
    pub(super) overlay: &'a Overlay,
    /// Documents of the overlay that the pass has met.
    pub(super) seen: &'a mut HashSet<String>,
}

impl Comparison<'_> {
    pub(super) fn compare(&mut self, region: &mut Region, rows: Vec<Row>, is_complete: bool) -> Piece {
        let mut piece = Piece {
            place: self.place,
            upper: if is_complete { region.upper.clone() } else { rows.last().map(|row| row.key.clone()) },
            entries: Vec::with_capacity(rows.len()),
            writes: Vec::new(),
            deletes: Vec::new(),
            same_as: None,
            consumed: Vec::new(),
            left_over: Vec::new(),
            overlay_taken: Vec::new(),
            overlay_read_at: self.overlay.read_at,
            letters: Vec::new(),
            healed: Vec::new(),
            counts: Counts { rows: rows.len() as i64, ..Counts::default() },
        };
        let mut is_same = !region.is_cut && region.places.len() == 1 && is_complete;
        for row in rows {
            let expected = region.expected.remove(&row.id);
            is_same &= expected.is_some() && !self.overlay.documents.contains_key(&row.id);
            is_same &= self.place(row, expected, region.is_cut, &mut piece);
        }
        if is_complete {
            is_same &= region.expected.is_empty();
            for (id, expected) in region.expected.drain() {
                let (before, look) = known(&self.overlay.documents, &id, Some(expected));
                self.take_overlay(&id, region.is_cut, &mut piece);
                if look || before.is_some_and(Entry::may_be_there) {
                    piece.deletes.push(id.clone());
                }
                if expected.is_refused() || before.is_some_and(Entry::is_refused) {
                    piece.healed.push(id);
                }
            }
            piece.consumed = std::mem::take(&mut region.places);
            piece.same_as = piece.consumed.first().copied().filter(|_| is_same);
        } else if !region.is_cut {
            region.is_cut = true;
            piece.consumed = std::mem::take(&mut region.places);
            piece.left_over = region.expected.iter().map(|(id, entry)| (id.clone(), *entry)).collect();
        }
        piece
    }

    /// Decides what becomes of a row; true where nothing does.
    fn place(&mut self, row: Row, expected: Option<Entry>, is_cut: bool, piece: &mut Piece) -> bool {
        if piece.entries.last().is_some_and(|(id, _)| *id == row.id) {
            piece.counts.failed += 1;
            return false;
        }
        let (before, look) = known(&self.overlay.documents, &row.id, expected);
        self.take_overlay(&row.id, is_cut && expected.is_some(), piece);
        if let Some(before) = before
            && !look
            && (!row.is_whole || before.hash == row.hash)
        {
            match before.is_refused() {
                true => piece.counts.failed += 1,
                false => piece.counts.unchanged += 1,
            }
            piece.entries.push((row.id, before));
            return true;
        }
        // Of what was in doubt another row than the last one may be there, whatever became of that.
        let may_be_there = self.overlay.documents.get(&row.id).is_some_and(|known| known.may_be_there);
        let before =
            before.filter(|_| !may_be_there).or(look.then_some(Entry { hash: 0, standing: Standing::Written }));
        match row.document {
            Document::Made(document) => {
                if look || before.is_some_and(Entry::is_refused) {
                    piece.healed.push(row.id.clone());
                }
                piece.writes.push(Write { entry: piece.entries.len(), before, document });
                piece.entries.push((row.id, Entry { hash: row.hash, standing: Standing::Written }));
            }
            Document::Impossible(fault) => {
                piece.counts.failed += 1;
                piece.letters.push(Letter {
                    document_id: row.id.clone(),
                    document: None,
                    code: fault.code.to_owned(),
                    message: fault.message,
                    attempts: 1,
                });
                piece.entries.push((row.id, Entry::refused(before, row.hash)));
            }
            // Read by its key alone, and wanted by nobody: that it is not known is made good by the reader.
            Document::Unmade => debug_assert!(false, "a row that is wanted has a document"),
        }
        false
    }

    fn take_overlay(&mut self, id: &str, is_left_over: bool, piece: &mut Piece) {
        match self.overlay.documents.get(id) {
            Some(known) => {
                self.seen.insert(id.to_owned());
                // Looked at again by the next pass.
                if !known.is_doubted {
                    piece.overlay_taken.push(id.to_owned());
                }
            }
            None if is_left_over => piece.overlay_taken.push(id.to_owned()),
            None => {}
        }
    }

    /// What is known beside the chunks and was not met in any range, nor is among what was met before, is not in the source.
    pub(super) fn clear_overlay(&self, met: &HashSet<String>, piece: &mut Piece) {
        for (id, known) in &self.overlay.documents {
            if self.seen.contains(id) || met.contains(id) {
                continue;
            }
            if known.look || known.entry.is_some_and(Entry::may_be_there) {
                piece.deletes.push(id.clone());
                piece.healed.push(id.clone());
            }
            if !known.is_doubted {
                piece.overlay_taken.push(id.clone());
            }
        }
    }
}

/// What was sent of a document last, and whether it must be sent whatever that was.
pub(super) fn known(overlay: &HashMap<String, Known>, id: &str, expected: Option<Entry>) -> (Option<Entry>, bool) {
    match overlay.get(id) {
        // A mark says that it must be looked at, and nothing of what is there.
        Some(Known { entry, look: true, .. }) => (entry.or(expected), true),
        Some(Known { entry, .. }) => (*entry, false),
        None => (expected, false),
    }
}

pub(super) fn wants_whole(overlay: &HashMap<String, Known>, region: &Region, id: &str) -> bool {
    let (before, look) = known(overlay, id, region.expected.get(id).copied());
    look || before.is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::btree_map, prelude::*};

    use super::*;
    use crate::{db::sync::chunk::Chunk, source::RowFault};

    /// Keys of rows, and what they hold.
    type Table = BTreeMap<u8, u64>;

    /// A backend and what is known of it.
    #[derive(Default)]
    struct World {
        collection: BTreeMap<String, u64>,
        chunks: Vec<Chunk>,
        overlay: HashMap<String, Known>,
        generation: i64,
        /// Documents written or deleted by the last pass.
        touched: usize,
    }

    fn id(key: u8) -> String {
        format!("row {key}")
    }

    impl World {
        /// Reads the whole table, `limit` rows at a time, in regions of `together` chunks; killed once so many pieces are settled.
        fn pass(&mut self, table: &Table, limit: usize, together: usize, killed_after: usize) {
            self.generation += 1;
            self.touched = 0;
            let overlay = Overlay { documents: self.overlay.clone(), read_at: DateTime::UNIX_EPOCH };
            let (mut seen, mut lower, mut ordinal) = (HashSet::new(), None, 0);
            let mut former: Vec<Chunk> = std::mem::take(&mut self.chunks);
            let mut written = vec![];
            'pass: loop {
                let count = together.min(former.len());
                let mut region = Region { places: vec![], upper: None, expected: HashMap::new(), is_cut: false };
                for chunk in &former[..count] {
                    region.places.push(chunk.place);
                    region.upper.clone_from(&chunk.upper);
                    region.expected.extend(chunk.entries.iter().cloned());
                }
                loop {
                    if usize::try_from(ordinal).is_ok_and(|settled| settled == killed_after) {
                        break 'pass;
                    }
                    let upper: Option<u8> = region.upper.as_ref().map(|upper| upper[0].parse().expect("a key"));
                    let within =
                        |key: u8| lower.is_none_or(|lower| key > lower) && upper.is_none_or(|upper| key <= upper);
                    let mut rows: Vec<(u8, u64)> =
                        table.iter().map(|(key, hash)| (*key, *hash)).filter(|row| within(row.0)).collect();
                    let is_complete = rows.len() <= limit;
                    rows.truncate(limit);
                    let last = rows.last().map(|row| row.0);
                    let mut comparison = Comparison {
                        place: Place { generation: self.generation, ordinal },
                        overlay: &overlay,
                        seen: &mut seen,
                    };
                    let mut piece = comparison.compare(&mut region, rows.into_iter().map(row).collect(), is_complete);
                    let is_done = is_complete && upper.is_none();
                    if is_done {
                        comparison.clear_overlay(&HashSet::new(), &mut piece);
                    }
                    former.retain(|chunk| !piece.consumed.contains(&chunk.place));
                    written.push(self.settle(piece));
                    ordinal += 1;
                    lower = if is_complete { upper } else { last };
                    if is_done {
                        break 'pass;
                    }
                    if is_complete {
                        break;
                    }
                }
            }
            written.append(&mut former);
            self.chunks = written;
        }

        fn settle(&mut self, piece: Piece) -> Chunk {
            self.touched += piece.writes.len() + piece.deletes.len();
            for write in &piece.writes {
                let (id, entry) = &piece.entries[write.entry];
                self.collection.insert(id.clone(), entry.hash);
            }
            for id in &piece.deletes {
                self.collection.remove(id);
            }
            for (id, entry) in piece.left_over {
                let left = Known { entry: Some(entry), look: false, may_be_there: false, is_doubted: false };
                let known = self.overlay.entry(id).or_insert(left);
                if known.look {
                    known.entry = known.entry.or(Some(entry));
                }
            }
            for id in piece.overlay_taken {
                self.overlay.remove(&id);
            }
            Chunk { place: piece.place, upper: piece.upper, entries: piece.entries }
        }
    }

    fn row((key, hash): (u8, u64)) -> Row {
        let document = Document::Made(String::new());
        Row { key: vec![key.to_string()], id: id(key), hash, is_whole: true, document }
    }

    fn documents(table: &Table) -> BTreeMap<String, u64> {
        table.iter().map(|(key, hash)| (id(*key), *hash)).collect()
    }

    fn tables() -> impl Strategy<Value = Vec<Table>> {
        proptest::collection::vec(btree_map(0..40u8, 1..4u64, 0..30), 1..5)
    }

    #[test]
    fn of_a_document_that_was_in_doubt_something_may_be_there_though_the_last_row_was_refused() {
        let refused = Entry { hash: 1, standing: Standing::Refused };
        let marked = |may_be_there| Known { entry: None, look: true, may_be_there, is_doubted: false };
        for (documents, standing) in [
            (HashMap::new(), Standing::Refused),
            (HashMap::from([(id(1), marked(false))]), Standing::Refused),
            (HashMap::from([(id(1), marked(true))]), Standing::RefusedOver),
        ] {
            let overlay = Overlay { documents, read_at: DateTime::UNIX_EPOCH };
            let place = Place { generation: 1, ordinal: 0 };
            let mut comparison = Comparison { place, overlay: &overlay, seen: &mut HashSet::new() };
            let expected = HashMap::from([(id(1), refused)]);
            let mut region = Region { places: vec![place], upper: None, expected, is_cut: false };
            let fault = RowFault { code: "unfit_value", message: String::new() };
            let row = Row { document: Document::Impossible(fault), ..row((1, 2)) };
            let piece = comparison.compare(&mut region, vec![row], true);
            assert_eq!(piece.entries, [(id(1), Entry { hash: 2, standing })]);
        }
    }

    proptest! {
        #[test]
        fn after_a_pass_the_collection_holds_the_table_and_what_was_never_written_by_it(
            tables in tables(), limit in 1..12usize, together in 1..4usize, killed_after in 0..6usize,
        ) {
            let mut world = World::default();
            world.collection.insert("somebody else's".to_owned(), 7);
            for table in &tables {
                world.pass(table, limit, together, killed_after);
                world.pass(table, limit, together, usize::MAX);
                let mut held = world.collection.clone();
                prop_assert_eq!(held.remove("somebody else's"), Some(7));
                prop_assert_eq!(held, documents(table));
                prop_assert!(world.overlay.is_empty(), "what is known beside the chunks was taken in");
                world.pass(table, limit, together, usize::MAX);
                prop_assert_eq!(world.touched, 0, "what has not changed is not written");
            }
        }

        #[test]
        fn what_is_in_doubt_is_written_or_deleted_whatever_is_known_of_it(
            table in btree_map(0..40u8, 1..4u64, 0..30), doubted in btree_map(0..40u8, proptest::option::of(9..12u64), 0..10),
            limit in 1..12usize,
        ) {
            let mut world = World::default();
            world.pass(&table, limit, 1, usize::MAX);
            // Late requests have left these as they are now.
            for (key, held) in &doubted {
                match held {
                    Some(hash) => world.collection.insert(id(*key), *hash),
                    None => world.collection.remove(&id(*key)),
                };
                let known = Known { entry: None, look: true, may_be_there: true, is_doubted: true };
                world.overlay.insert(id(*key), known);
            }
            world.pass(&table, limit, 2, usize::MAX);
            prop_assert_eq!(&world.collection, &documents(&table));
            prop_assert_eq!(world.touched, doubted.len());
            prop_assert_eq!(world.overlay.len(), doubted.len(), "they are looked at again by the next pass");
        }
    }
}
