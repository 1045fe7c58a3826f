//! What PostgreSQL's output plugin `pgoutput` says, in the first version of its protocol. Bytes that are not that are an error,
//! never a panic.

use pgwire_replication::Lsn;

use super::Error;

/// One message.
#[derive(Debug, PartialEq)]
pub(super) enum Message<'a> {
    /// A transaction begins. Its commit's time is in microseconds since 2000.
    Begin {
        committed_at: i64,
    },
    /// It is over; `end` is the position behind it.
    Commit {
        end: Lsn,
    },
    /// What the columns of a table are: sent before its first change, and again when it may have changed.
    Relation {
        id: u32,
        columns: Vec<&'a str>,
    },
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    /// The row before is there where its identity has changed, or where the whole row is the identity.
    Update {
        relation: u32,
        old: Option<Tuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        old: Tuple<'a>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// Of no importance here: types, origins, messages of applications.
    Other,
}

/// A row's values, in the order of the table's columns.
pub(super) type Tuple<'a> = Vec<Value<'a>>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    /// A large value that was left out, as it has not changed.
    Unchanged,
    Text(&'a str),
}

/// Reads one message.
pub(super) fn read(bytes: &[u8]) -> Result<Message<'_>, Error> {
    let mut rest = Rest(bytes);
    Ok(match rest.byte()? {
        b'B' => {
            rest.take(8)?;
            Message::Begin { committed_at: rest.i64()? }
        }
        b'C' => {
            rest.take(9)?;
            Message::Commit { end: Lsn(rest.i64()?.cast_unsigned()) }
        }
        b'R' => rest.relation()?,
        b'I' => {
            let relation = rest.u32()?;
            rest.expect(b'N')?;
            Message::Insert { relation, new: rest.tuple()? }
        }
        b'U' => {
            let relation = rest.u32()?;
            let old = match rest.byte()? {
                b'K' | b'O' => {
                    let old = rest.tuple()?;
                    rest.expect(b'N')?;
                    Some(old)
                }
                b'N' => None,
                other => return Err(unexpected(other)),
            };
            Message::Update { relation, old, new: rest.tuple()? }
        }
        b'D' => {
            let relation = rest.u32()?;
            match rest.byte()? {
                b'K' | b'O' => Message::Delete { relation, old: rest.tuple()? },
                other => return Err(unexpected(other)),
            }
        }
        b'T' => {
            let count = rest.u32()?;
            rest.byte()?;
            Message::Truncate { relations: (0..count).map(|_| rest.u32()).collect::<Result<_, _>>()? }
        }
        b'Y' | b'O' | b'M' => Message::Other,
        other => return Err(unexpected(other)),
    })
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| unreadable("a message ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as were asked for"))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        let found = self.byte()?;
        if found == wanted { Ok(()) } else { Err(unexpected(found)) }
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, Error> {
        str::from_utf8(self.take(length)?).map_err(|_| unreadable("a text is not UTF-8"))
    }

    /// A text with a NUL behind it.
    fn name(&mut self) -> Result<&'a str, Error> {
        let length = self.0.iter().position(|&byte| byte == 0).ok_or_else(|| unreadable("a name has no end"))?;
        let name = self.text(length)?;
        self.byte()?;
        Ok(name)
    }

    fn relation(&mut self) -> Result<Message<'a>, Error> {
        let id = self.u32()?;
        let (_schema, _table, _identity) = (self.name()?, self.name()?, self.byte()?);
        let columns = (0..self.u16()?).map(|_| {
            let (_flags, name, _type, _modifier) = (self.byte()?, self.name()?, self.u32()?, self.u32()?);
            Ok(name)
        });
        Ok(Message::Relation { id, columns: columns.collect::<Result<_, Error>>()? })
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, Error> {
        let count = self.u16()?;
        (0..count)
            .map(|_| {
                Ok(match self.byte()? {
                    b'n' => Value::Null,
                    b'u' => Value::Unchanged,
                    b't' => {
                        let length = self.u32()?;
                        Value::Text(self.text(length as usize)?)
                    }
                    other => return Err(unexpected(other)),
                })
            })
            .collect()
    }
}

fn unexpected(byte: u8) -> Error {
    unreadable(&format!("unexpected {:?}", char::from(byte)))
}

fn unreadable(reason: &str) -> Error {
    Error::Unreadable(reason.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Lsn, Message, Value, read};

    /// A `Relation` of a table with these columns.
    pub(in super::super) fn relation(id: u32, columns: &[&str]) -> Vec<u8> {
        let mut bytes = [b"R", &id.to_be_bytes()[..], b"public\0things\0d"].concat();
        bytes.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
        for column in columns {
            bytes.extend([b"\x01", column.as_bytes(), b"\0", &25_u32.to_be_bytes(), &[0xff; 4]].concat());
        }
        bytes
    }

    /// A row: `None` is null, `"~"` a value that was left out.
    pub(in super::super) fn tuple(kind: u8, values: &[Option<&str>]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            match value {
                None => bytes.push(b'n'),
                Some("~") => bytes.push(b'u'),
                Some(text) => {
                    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
                    bytes.extend([b"t", &length[..], text.as_bytes()].concat());
                }
            }
        }
        bytes
    }

    /// A change: its kind, its table, its rows.
    pub(in super::super) fn change(kind: u8, relation: u32, tuples: &[Vec<u8>]) -> Vec<u8> {
        [&[kind][..], &relation.to_be_bytes(), &tuples.concat()].concat()
    }

    pub(in super::super) fn begin(committed_at: i64) -> Vec<u8> {
        [b"B", &[0; 8][..], &committed_at.to_be_bytes(), &[0; 4]].concat()
    }

    pub(in super::super) fn commit(end: u64) -> Vec<u8> {
        [b"C", &[0; 9][..], &end.to_be_bytes(), &[0; 8]].concat()
    }

    pub(in super::super) fn truncate(relations: &[u32]) -> Vec<u8> {
        let ids = relations.iter().flat_map(|id| id.to_be_bytes());
        b"T".iter().copied().chain((relations.len() as u32).to_be_bytes()).chain([0]).chain(ids).collect()
    }

    #[test]
    fn each_message_is_read() {
        let row = [Some("1"), None, Some("~"), Some("é'\"")];
        let values = vec![Value::Text("1"), Value::Null, Value::Unchanged, Value::Text("é'\"")];
        assert_eq!(read(&begin(7)).unwrap(), Message::Begin { committed_at: 7 });
        assert_eq!(read(&commit(0x1_0000_0002)).unwrap(), Message::Commit { end: Lsn(0x1_0000_0002) });
        assert_eq!(
            read(&relation(9, &["id", "größe"])).unwrap(),
            Message::Relation { id: 9, columns: vec!["id", "größe"] }
        );
        assert_eq!(
            read(&change(b'I', 9, &[tuple(b'N', &row)])).unwrap(),
            Message::Insert { relation: 9, new: values.clone() }
        );
        assert_eq!(
            read(&change(b'U', 9, &[tuple(b'N', &row)])).unwrap(),
            Message::Update { relation: 9, old: None, new: values.clone() }
        );
        assert_eq!(
            read(&change(b'U', 9, &[tuple(b'K', &[Some("0")]), tuple(b'N', &row)])).unwrap(),
            Message::Update { relation: 9, old: Some(vec![Value::Text("0")]), new: values.clone() }
        );
        assert_eq!(read(&change(b'D', 9, &[tuple(b'O', &row)])).unwrap(), Message::Delete { relation: 9, old: values });
        assert_eq!(read(&truncate(&[3, 4])).unwrap(), Message::Truncate { relations: vec![3, 4] });
        assert_eq!(read(b"Ywhatever").unwrap(), Message::Other);
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error() {
        for bytes in [&b""[..], b"Z", b"B\0", b"U\0\0\0\x01X", b"D\0\0\0\x01N", b"T\xff\xff\xff\xff\0"] {
            read(bytes).unwrap_err();
        }
        read(&[change(b'I', 1, &[]), b"N\0\x01t\xff\xff\xff\xff".to_vec()].concat()).unwrap_err();
        read(&[change(b'I', 1, &[]), b"N\0\x01t\0\0\0\x01\xff".to_vec()].concat()).unwrap_err();
        read(&[change(b'I', 1, &[]), b"N\0\x01b\0\0\0\x01x".to_vec()].concat()).unwrap_err();
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let row = tuple(b'N', &[Some("1"), None, Some("long enough to be cut"), Some("~")]);
        let whole = [
            begin(1),
            commit(2),
            relation(3, &["a", "b"]),
            change(b'I', 3, std::slice::from_ref(&row)),
            change(b'U', 3, &[tuple(b'O', &[Some("x")]), row.clone()]),
            change(b'D', 3, &[tuple(b'K', &[None])]),
            truncate(&[3, 5]),
        ];
        // Each message cut short, and with every byte replaced by what may upset it most.
        for bytes in &whole {
            for end in 0..bytes.len() {
                let _ = read(&bytes[..end]);
                for byte in [0, 1, b'N', b't', 0x7f, 0x80, 0xff] {
                    let mut spoilt = bytes.clone();
                    spoilt[end] = byte;
                    let _ = read(&spoilt);
                }
            }
        }
        // And noise that begins like a message.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..50_000_usize {
            let mut noise: Vec<u8> = (0..round % 40)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            if let Some(first) = noise.first_mut() {
                *first = b"BCRIUDTYOM"[round % 10];
            }
            let _ = read(&noise);
        }
    }
}
