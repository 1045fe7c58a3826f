//! Rows in the binary format of `copy`, as PostgreSQL's documentation of that statement describes it.

/// What such a stream begins with: signature, flags, no further header.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Rows on their way to the server.
pub(super) struct Tuples(Vec<u8>);

impl Tuples {
    /// With room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut stream = Vec::with_capacity(bytes);
        stream.extend_from_slice(HEADER);
        Self(stream)
    }

    /// To be followed by so many fields.
    pub(super) fn begin_row(&mut self, fields: i16) {
        self.0.extend_from_slice(&fields.to_be_bytes());
    }

    /// A field in the binary form of its column's type.
    pub(super) fn put(&mut self, field: &[u8]) {
        let length = i32::try_from(field.len()).expect("a field is smaller than a request");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
    }

    pub(super) fn put_null(&mut self) {
        self.0.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// What has gathered since it was last cleared.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// No row follows.
    pub(super) fn end(&mut self) {
        self.begin_row(-1);
    }
}
