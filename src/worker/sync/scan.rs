//! Reading a source in the order of its keys, to compare each range with what is known of it.
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

use super::{
    compare::{Comparison, Piece, Region, known, wants_whole},
    pass::millis,
    stop::Stop,
};
use crate::{
    db::sync::{
        chunk::{self, Chunk, Place},
        overlay::Overlay,
    },
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
        let mut piece = self.comparison().compare(&mut region, rows, is_complete);
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

    fn comparison(&mut self) -> Comparison<'_> {
        Comparison {
            place: Place { generation: self.generation, ordinal: self.cursor.ordinal },
            overlay: &self.overlay,
            seen: &mut self.cursor.seen,
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
        self.comparison().clear_overlay(&met, piece);
        Ok(())
    }
}
