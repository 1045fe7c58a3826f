//! The statements that read a table's rows, put together once for a job.

use super::{column::Wire, row::Fields};

/// A column of the key, or of the document's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    /// The type that its text is cast to.
    pub cast: String,
}

/// A value that becomes a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The field's name in the document.
    pub field: String,
    pub column: String,
    /// SQL with `{}` for the column.
    pub expression: String,
    pub wire: Wire,
}

/// What is read of a table, and how its rows are told apart.
#[derive(Clone, Debug)]
pub struct Statement {
    relation: String,
    /// In the order that rows are scanned in: unique, and where the table has an index for it, the index's.
    pub key: Vec<KeyColumn>,
    /// Whose values make the document's id.
    pub id: Vec<KeyColumn>,
    /// Whether there may be rows without a key, which are left out.
    key_may_be_null: bool,
    cursor: Option<String>,
    selected: Vec<Selected>,
    pub(super) fields: Fields,
}

/// An identifier in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column of the table that is read.
fn of_table(column: &str) -> String {
    format!("t.{}", quoted(column))
}

fn listed(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

impl Statement {
    /// `seed` is the mapping's: rows that another mapping made have other hashes.
    pub fn new(
        (schema, table): (&str, &str),
        key: Vec<KeyColumn>,
        id: Vec<KeyColumn>,
        key_may_be_null: bool,
        cursor: Option<String>,
        selected: Vec<Selected>,
        seed: u64,
    ) -> Self {
        let fields = Fields::new(selected.iter().map(|one| (one.field.as_str(), one.wire)), seed);
        Self {
            relation: format!("{}.{}", quoted(schema), quoted(table)),
            key,
            id,
            key_may_be_null,
            cursor,
            selected,
            fields,
        }
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// Columns whose texts begin each row: the key's, then those of the id that the key lacks.
    pub(super) fn texts(&self) -> impl Iterator<Item = &KeyColumn> {
        let beside = self.id.iter().filter(|column| !self.key.contains(column));
        self.key.iter().chain(beside)
    }

    /// Where the values of the id stand among [`Statement::texts`].
    pub(super) fn id_places(&self) -> Vec<usize> {
        let place = |column| self.texts().position(|text| text == column).unwrap_or_default();
        self.id.iter().map(place).collect()
    }

    fn values(&self, unless_old: Option<&str>) -> String {
        self.selected
            .iter()
            .map(|one| {
                let value = one.expression.replace("{}", &of_table(&one.column));
                match unless_old {
                    Some(fresh) => format!(", case when {fresh} then {value} end"),
                    None => format!(", {value}"),
                }
            })
            .collect()
    }

    /// Rows after a key, up to another and with it, in the key's order. Parameters: the limit, the texts of the lower key and of the
    /// upper, and where old rows need not be read whole, the moment that tells which.
    pub(super) fn range(&self, has_lower: bool, has_upper: bool, narrowed: bool) -> String {
        let key = listed(self.key.iter().map(|column| of_table(&column.name)));
        let mut parameter = 1;
        let mut bound = |operator: &str| {
            let texts = listed(self.key.iter().map(|column| {
                parameter += 1;
                format!("${parameter}::text::{}", column.cast)
            }));
            format!("({key}) {operator} ({texts})")
        };
        let lower = has_lower.then(|| bound(">"));
        let upper = has_upper.then(|| bound("<="));
        let is_there = self.key.iter().filter(|_| self.key_may_be_null);
        let is_there = is_there.map(|column| format!("{} is not null", of_table(&column.name)));
        let conditions: Vec<String> = lower.into_iter().chain(upper).chain(is_there).collect();
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) };
        // Without a value nobody can tell how old the row is.
        let fresh = self.cursor.as_ref().filter(|_| narrowed).map(|cursor| {
            let column = of_table(cursor);
            format!("({column} is null or {column} >= ${}::timestamptz)", parameter + 1)
        });
        format!(
            "select {texts}, {is_whole}{values} from {relation} as t{conditions} order by {key} limit $1",
            texts = listed(self.texts().map(|column| format!("{}::text", of_table(&column.name)))),
            is_whole = fresh.as_deref().unwrap_or("true"),
            values = self.values(fresh.as_deref()),
            relation = self.relation,
        )
    }

    /// The rows of these ids, given by an array of texts for each column of the id: their ids as they are written there and as they
    /// were asked for, which are the same but for types that take several texts for one value, then whether the row is there.
    pub(super) fn by_id(&self) -> String {
        let names: Vec<String> = (1..=self.id.len()).map(|n| format!("id{n}")).collect();
        let same =
            self.id.iter().zip(&names).map(|(column, name)| format!("{} = wanted.{name}", of_table(&column.name)));
        let first = self.id.first().map(|column| of_table(&column.name)).unwrap_or_default();
        format!(
            "select {texts}, {asked}, {first} is not null{values}
             from (select {casts} from unnest({arrays}) as given ({names})) as wanted
             left join {relation} as t on {same}",
            texts = listed(
                self.id
                    .iter()
                    .zip(&names)
                    .map(|(column, name)| { format!("coalesce({}, wanted.{name})::text", of_table(&column.name)) })
            ),
            asked = listed(names.iter().map(|name| format!("wanted.{name}::text"))),
            values = self.values(None),
            casts = listed(
                self.id.iter().zip(&names).map(|(column, name)| format!("given.{name}::{} as {name}", column.cast))
            ),
            arrays = listed((1..=self.id.len()).map(|n| format!("${n}::text[]"))),
            names = names.join(", "),
            relation = self.relation,
            same = same.collect::<Vec<_>>().join(" and "),
        )
    }

    pub(super) fn count(&self) -> String {
        format!("select count(*) from {}", self.relation)
    }

    /// Rows without a value in a column of the key: no range holds them.
    pub(super) fn count_without_key(&self) -> String {
        let missing: Vec<String> =
            self.key.iter().map(|column| format!("{} is null", of_table(&column.name))).collect();
        format!("select count(*) from {} as t where {}", self.relation, missing.join(" or "))
    }

    /// Whether two rows share a key.
    pub(super) fn has_duplicates(&self) -> String {
        let key = listed(self.key.iter().map(|column| of_table(&column.name)));
        format!("select exists (select from {} as t group by {key} having count(*) > 1)", self.relation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(key: &[&str], id: &[&str], cursor: Option<&str>) -> Statement {
        let columns = |names: &[&str]| {
            names
                .iter()
                .map(|name| KeyColumn { name: (*name).to_owned(), cast: "pg_catalog.int8".to_owned() })
                .collect()
        };
        let title = Selected {
            field: "title".to_owned(),
            column: "title".to_owned(),
            expression: "{}::text".to_owned(),
            wire: Wire::Text,
        };
        Statement::new(
            ("public", "bo\"oks"),
            columns(key),
            columns(id),
            false,
            cursor.map(str::to_owned),
            vec![title],
            0,
        )
    }

    #[test]
    fn a_range_is_scanned_in_the_order_of_its_key() {
        assert_eq!(
            statement(&["id"], &["id"], None).range(true, false, true),
            "select t.\"id\"::text, true, t.\"title\"::text from \"public\".\"bo\"\"oks\" as t \
             where (t.\"id\") > ($2::text::pg_catalog.int8) order by t.\"id\" limit $1"
        );
        let composite = statement(&["a", "b"], &["b", "a"], None);
        assert!(composite.range(true, true, false).contains(
            "where (t.\"a\", t.\"b\") > ($2::text::pg_catalog.int8, $3::text::pg_catalog.int8) \
             and (t.\"a\", t.\"b\") <= ($4::text::pg_catalog.int8, $5::text::pg_catalog.int8)"
        ));
        let loose = Statement { key_may_be_null: true, ..composite.clone() };
        assert!(
            loose.range(false, false, false).contains("where t.\"a\" is not null and t.\"b\" is not null order by")
        );
        assert_eq!(composite.id_places(), [1, 0]);
        assert_eq!(statement(&["a"], &["a", "b"], None).id_places(), [0, 1]);
    }

    #[test]
    fn old_rows_are_read_by_their_keys_alone() {
        let narrowed = statement(&["id"], &["id"], Some("at")).range(false, true, true);
        assert!(narrowed.contains("(t.\"at\" is null or t.\"at\" >= $3::timestamptz), case when"), "{narrowed}");
    }
}
