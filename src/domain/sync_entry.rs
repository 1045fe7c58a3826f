//! What is remembered of a document that a job has sent: so much that a row which has not changed need not be sent again.

/// Bytes of a packed entry.
pub const BYTES: usize = 9;

/// How a document that was sent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The collection holds it.
    Written,
    /// Typesense refused it, and holds no older one.
    Refused,
    /// Typesense refused it, and may hold what was sent before.
    RefusedOver,
}

/// What was sent of a document last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the row, as [`crate::source::Row::hash`].
    pub hash: u64,
    pub standing: Standing,
}

impl Entry {
    pub fn is_refused(self) -> bool {
        self.standing != Standing::Written
    }

    /// Whether the collection may hold a document of this id that the job has written.
    pub fn may_be_there(self) -> bool {
        self.standing != Standing::Refused
    }

    /// What an entry becomes whose row was sent again and refused.
    pub fn refused(before: Option<Self>, hash: u64) -> Self {
        let over = before.is_some_and(Self::may_be_there);
        Self { hash, standing: if over { Standing::RefusedOver } else { Standing::Refused } }
    }

    /// As it is stored.
    pub fn pack(self) -> [u8; BYTES] {
        let mut packed = [0; BYTES];
        packed[..8].copy_from_slice(&self.hash.to_le_bytes());
        packed[8] = match self.standing {
            Standing::Written => 0,
            Standing::Refused => 1,
            Standing::RefusedOver => 2,
        };
        packed
    }

    /// Reads a packed entry; `None` for what is none.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let (hash, standing) = packed.split_first_chunk::<8>()?;
        let standing = match standing {
            [0] => Standing::Written,
            [1] => Standing::Refused,
            [2] => Standing::RefusedOver,
            _ => return None,
        };
        Some(Self { hash: u64::from_le_bytes(*hash), standing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_packed() {
        for standing in [Standing::Written, Standing::Refused, Standing::RefusedOver] {
            let entry = Entry { hash: u64::MAX - 5, standing };
            assert_eq!(Entry::unpack(&entry.pack()), Some(entry));
        }
        assert_eq!(Entry::unpack(&[0; 8]), None);
        assert_eq!(Entry::unpack(&[0, 0, 0, 0, 0, 0, 0, 0, 9]), None);
    }

    #[test]
    fn a_refused_row_over_a_good_document_remembers_that_the_document_is_there() {
        let written = Entry { hash: 1, standing: Standing::Written };
        let over = Entry::refused(Some(written), 2);
        assert_eq!(over.standing, Standing::RefusedOver);
        assert!(Entry::refused(Some(over), 3).may_be_there());
        assert!(!Entry::refused(None, 2).may_be_there());
    }
}
