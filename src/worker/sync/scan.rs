//! Reading a source in the order of its keys and comparing each range with what is known of it.
//!
//! A range is one statement, and so one snapshot: whether a row has vanished is decided within it. What is known of a range comes in
//! chunks that an earlier pass has written; the source alone says what lies between two keys, so nothing here compares keys.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Instant,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{pass::millis, stop::Stop};
use crate::{
    db::sync::{
        chunk::{self, Chunk, Place},
        overlay::{Known, Overlay},
        settle::{Counts, Letter},
    },
    domain::sync_entry::{Entry, Standing},
    source::{Document, Range, Read, Row, Source, statement::Statement},
};

/// Rows of a range, about.
const ROWS: usize = 2000;
/// Bytes of documents that a range aims at.
const BYTES: usize = 4 << 20;
/// Chunks read at once.
const CHUNKS: i64 = 8;
/// Rows of the first range, from which is learned how large they are.
const FIRST_ROWS: usize = 500;

/// What a pass goes by.
pub(super) struct Scan<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) job_id: Uuid,
    pub(super) collection: &'a str,
    pub(super) generation: i64,
    pub(super) statement: &'a Statement,
    pub(super) source: &'a mut Source,
    /// Rows that did not change after this need not be read whole.
    pub(super) since: Option<DateTime<Utc>>,
    /// What is known beside the chunks.
    pub(super) overlay: Overlay,
    /// The pass goes on where one before it stopped, and has not seen all ranges.
    pub(super) is_resumed: bool,
    pub(super) cursor: Cursor,
}

/// How far a pass has come.
pub(super) struct Cursor {
    /// The last key read.
    lower: Option<Vec<String>>,
    ordinal: i64,
    last_chunk: Option<Place>,
    ready: VecDeque<Chunk>,
    region: Option<Region>,
    seen: HashSet<String>,
    row_bytes: Option<usize>,
    is_done: bool,
}

impl Cursor {
    pub(super) fn at(lower: Option<Vec<String>>, ordinal: i64) -> Self {
        Self {
            lower,
            ordinal,
            last_chunk: None,
            ready: VecDeque::new(),
            region: None,
            seen: HashSet::new(),
            row_bytes: None,
            is_done: false,
        }
    }
}

/// Neighbouring chunks that are read together, as far as they are not read yet.
struct Region {
    places: Vec<Place>,
    upper: Option<Vec<String>>,
    expected: HashMap<String, Entry>,
    /// Read in pieces: what is expected is noted beside the chunks, where a pass that comes after a kill finds it. A chunk can't hold it,
    /// for nobody knows any more which of its ids belong before the end of the first piece.
    is_cut: bool,
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

impl Scan<'_> {
    /// The next range; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Stop> {
        if self.cursor.is_done {
            return Ok(None);
        }
        let began = Instant::now();
        let mut region = match self.cursor.region.take() {
            Some(region) => region,
            None => self.next_region().await?,
        };
        let Read { rows, is_complete } = self.read(&region).await?;
        let mut piece = self.compare(&mut region, rows, is_complete);
        if is_complete {
            self.cursor.is_done = region.upper.is_none();
            self.cursor.lower = region.upper;
        } else {
            self.cursor.lower = piece.upper.clone();
            self.cursor.region = Some(region);
        }
        if self.cursor.is_done {
            self.clear_overlay(&mut piece).await?;
        }
        self.cursor.ordinal += 1;
        piece.counts.read_ms = millis(began.elapsed());
        Ok(Some(piece))
    }

    /// As many chunks as make a good range; behind the last the rest of the table.
    async fn next_region(&mut self) -> Result<Region, Stop> {
        let mut region = Region { places: Vec::new(), upper: None, expected: HashMap::new(), is_cut: false };
        loop {
            if self.cursor.ready.is_empty() {
                let after = self.cursor.last_chunk;
                let chunks =
                    chunk::following(self.pool, self.job_id, self.collection, self.generation, after, CHUNKS).await?;
                self.cursor.last_chunk = chunks.last().map(|chunk| chunk.place).or(after);
                self.cursor.ready.extend(chunks);
            }
            let fits =
                |chunk: &mut Chunk| region.places.is_empty() || region.expected.len() + chunk.entries.len() <= ROWS;
            let Some(chunk) = self.cursor.ready.pop_front_if(fits) else { return Ok(region) };
            region.places.push(chunk.place);
            region.expected.extend(chunk.entries);
            region.upper = chunk.upper;
            if region.upper.is_none() {
                return Ok(region);
            }
        }
    }

    async fn read(&mut self, region: &Region) -> Result<Read, Stop> {
        let by_size = match self.cursor.row_bytes {
            Some(bytes) => (BYTES / bytes.max(1)).max(4),
            None => FIRST_ROWS,
        };
        let limit = (region.expected.len() + ROWS / 4).clamp(ROWS, 2 * ROWS).min(by_size);
        let overlay = &self.overlay.documents;
        let wants = |id: &str, hash: u64| {
            let (before, look) = known(overlay, id, region.expected.get(id).copied());
            look || before.is_none_or(|before| before.hash != hash)
        };
        let range =
            Range { lower: self.cursor.lower.as_deref(), upper: region.upper.as_deref(), limit, since: self.since };
        let mut read = self.source.range(self.statement, range, wants).await?;
        let is_missed = |row: &Row| !row.is_whole && wants_whole(overlay, region, &row.id);
        if read.rows.iter().any(is_missed) {
            // An old row that nobody has sent yet.
            read = self.source.range(self.statement, Range { since: None, ..range }, wants).await?;
        }
        let made = read.rows.iter().filter_map(|row| match &row.document {
            Document::Made(line) => Some(line.len()),
            _ => None,
        });
        let (documents, bytes) = made.fold((0, 0), |(documents, bytes), made| (documents + 1, bytes + made));
        if !read.rows.is_empty() {
            let average = bytes.checked_div(documents).unwrap_or_default();
            self.cursor.row_bytes = Some(average.max(self.cursor.row_bytes.unwrap_or_default() / 2));
        }
        Ok(read)
    }

    fn compare(&mut self, region: &mut Region, rows: Vec<Row>, is_complete: bool) -> Piece {
        let mut piece = Piece {
            place: Place { generation: self.generation, ordinal: self.cursor.ordinal },
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
        // What is in doubt may be there.
        let before = before.or(look.then_some(Entry { hash: 0, standing: Standing::Written }));
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
                self.cursor.seen.insert(id.to_owned());
                // Looked at again by the next pass.
                if !known.is_doubted {
                    piece.overlay_taken.push(id.to_owned());
                }
            }
            None if is_left_over => piece.overlay_taken.push(id.to_owned()),
            None => {}
        }
    }

    /// What is known beside the chunks and was not met in any range is not in the source.
    async fn clear_overlay(&mut self, piece: &mut Piece) -> Result<(), Stop> {
        let unseen = self.overlay.documents.keys().filter(|id| !self.cursor.seen.contains(*id));
        // Ranges that this pass has settled before a kill: what was met there is left to the next one.
        let met = match self.is_resumed {
            true => {
                let unseen: Vec<&str> = unseen.map(String::as_str).collect();
                chunk::holding(self.pool, self.job_id, self.collection, self.generation, &unseen).await?
            }
            false => HashSet::new(),
        };
        for (id, known) in &self.overlay.documents {
            if self.cursor.seen.contains(id) || met.contains(id) {
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
        Ok(())
    }
}

/// What was sent of a document last, and whether it must be sent whatever that was.
fn known(overlay: &HashMap<String, Known>, id: &str, expected: Option<Entry>) -> (Option<Entry>, bool) {
    match overlay.get(id) {
        // A mark says that it must be looked at, and nothing of what is there.
        Some(Known { entry, look: true, .. }) => (entry.or(expected), true),
        Some(Known { entry, .. }) => (*entry, false),
        None => (expected, false),
    }
}

fn wants_whole(overlay: &HashMap<String, Known>, region: &Region, id: &str) -> bool {
    let (before, look) = known(overlay, id, region.expected.get(id).copied());
    look || before.is_none()
}
