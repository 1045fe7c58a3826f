//! How the types of PostgreSQL become fields of Typesense: one expression and one of five wire types for each.

use super::describe::{Class, Column};

/// As what a value travels from the source: each is read without asking for its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `int8`, for a field of so many bits.
    Int(Bits),
    /// The text of a whole number of any size, likewise.
    Whole(Bits),
    /// `float8`; what is no number is left out.
    Float,
    Bool,
    Text,
    /// JSON as text; its null is left out.
    Json,
}

/// How large a whole number a field holds. Typesense takes larger ones for it without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    B32,
    B64,
}

impl Bits {
    fn of(field_type: &str) -> Self {
        if field_type == "int32" { Self::B32 } else { Self::B64 }
    }

    pub(super) fn hold(self, number: i64) -> bool {
        self == Self::B64 || i32::try_from(number).is_ok()
    }
}

/// How a column's values are asked for and what they are in Typesense.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// The field's type in Typesense.
    pub field_type: String,
    /// SQL that gives the value, with `{}` for the column.
    pub expression: String,
    pub wire: Wire,
}

/// What a type of PostgreSQL is, as far as conversions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    BigInt,
    Float4,
    Float8,
    Numeric,
    Bool,
    Date,
    Timestamp,
    TimestampTz,
    Json,
    Point,
    Composite,
    Inet,
    /// Everything that has a text and nothing better: text, uuid, enums, intervals, ranges …
    Text,
}

/// Why a column can't be a field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error(
        "{0} has no form in Typesense: leave the column out by naming the others in selected_columns, or encode it in a view"
    )]
    Unsupported(String),
    #[error("{declared} can't be {wanted} in Typesense: it may be {possible}")]
    NoConversion { declared: String, wanted: String, possible: String },
}

impl Column {
    fn kind(&self) -> Option<Kind> {
        if self.base_class == Class::Composite {
            return Some(Kind::Composite);
        }
        Some(match self.base_type.as_str() {
            "int2" | "int4" => Kind::Int,
            "int8" | "oid" => Kind::BigInt,
            "float4" => Kind::Float4,
            "float8" => Kind::Float8,
            "numeric" => Kind::Numeric,
            "bool" => Kind::Bool,
            "date" => Kind::Date,
            "timestamp" => Kind::Timestamp,
            "timestamptz" => Kind::TimestampTz,
            "json" | "jsonb" => Kind::Json,
            "point" => Kind::Point,
            "inet" => Kind::Inet,
            "bytea" | "geometry" | "geography" | "raster" | "vector" | "halfvec" | "sparsevec" => return None,
            _ => Kind::Text,
        })
    }

    /// How the column becomes a field: of the type `wanted`, or of the one that fits it best.
    ///
    /// # Errors
    /// What the column can't be, with what it can.
    pub fn conversion(&self, wanted: Option<&str>) -> Result<Conversion, Fault> {
        let kind = self.kind().ok_or_else(|| Fault::Unsupported(self.declared.clone()))?;
        let possible = kind.field_types();
        let array = if self.is_array { "[]" } else { "" };
        let no_conversion = || {
            let mut possible: Vec<String> = possible.iter().map(|one| format!("{one}{array}")).collect();
            if kind == Kind::Json && !self.is_array {
                possible.extend(ARRAYS_OF_JSON.map(str::to_owned));
            }
            let wanted = wanted.unwrap_or_default().to_owned();
            Fault::NoConversion { declared: self.declared.clone(), wanted, possible: possible.join(", ") }
        };
        if kind == Kind::Json
            && !self.is_array
            && let Some(wanted) = wanted.filter(|wanted| ARRAYS_OF_JSON.contains(wanted))
        {
            return Ok(Conversion {
                field_type: wanted.to_owned(),
                expression: "{}::text".to_owned(),
                wire: Wire::Json,
            });
        }
        let scalar = match wanted {
            None => possible[0],
            Some(wanted) => {
                let scalar = wanted.strip_suffix(array).unwrap_or_default();
                possible.iter().copied().find(|one| *one == scalar).ok_or_else(no_conversion)?
            }
        };
        let (expression, wire) = kind.expression(scalar);
        if !self.is_array {
            return Ok(Conversion { field_type: scalar.to_owned(), expression: expression.to_owned(), wire });
        }
        // Whatever its dimensions, as one list, and without nulls: Typesense knows neither.
        let element = expression.replace("{}", "element");
        let element = match wire {
            Wire::Json => format!("({element})::json"),
            Wire::Whole(_) => format!("({element})::numeric"),
            Wire::Float => format!("case when ({element}) not in ('NaN', 'Infinity', '-Infinity') then {element} end"),
            _ => element,
        };
        let expression = format!(
            "case when {{}} is not null then coalesce((select json_agg(value) from (select {element} as value from unnest({{}}) as element)
             as converted where value is not null)::text, '[]') end"
        );
        Ok(Conversion { field_type: format!("{scalar}[]"), expression, wire: Wire::Json })
    }
}

/// A JSON column may hold lists in every row.
const ARRAYS_OF_JSON: [&str; 6] = ["object[]", "string[]", "int32[]", "int64[]", "float[]", "bool[]"];

impl Kind {
    /// The types of fields that it can be, the best first.
    fn field_types(self) -> &'static [&'static str] {
        match self {
            Self::Int => &["int32", "int64", "float", "string"],
            Self::BigInt => &["int64", "int32", "float", "string"],
            Self::Float4 | Self::Float8 | Self::Numeric => &["float", "int64", "int32", "string"],
            Self::Bool => &["bool", "string"],
            Self::Date | Self::Timestamp | Self::TimestampTz => &["int64", "float", "string"],
            Self::Json | Self::Composite => &["object", "string"],
            Self::Point => &["geopoint", "string"],
            Self::Inet | Self::Text => &["string"],
        }
    }

    /// SQL for a value as that type of field. Nothing here may fail for any value of the type: a statement that fails would take a
    /// whole range of rows with it.
    fn expression(self, field_type: &str) -> (&'static str, Wire) {
        match (self, field_type) {
            (Self::Int | Self::BigInt, "int32" | "int64") => ("{}::int8", Wire::Int(Bits::of(field_type))),
            (Self::Int | Self::BigInt | Self::Float8, "float") => ("{}::float8", Wire::Float),
            // By its text, or 0.1 would become 0.10000000149.
            (Self::Float4, "float") => ("{}::text::float8", Wire::Float),
            (Self::Numeric, "float") => {
                ("case when abs({}) < 1e-300 then 0 when abs({}) < 1e300 then {}::float8 end", Wire::Float)
            }
            (Self::Float4 | Self::Float8 | Self::Numeric, "int32" | "int64") => {
                ("case when abs({}) < 1e300 then round({}::numeric)::text end", Wire::Whole(Bits::of(field_type)))
            }
            (Self::Bool, "bool") => ("{}", Wire::Bool),
            (Self::Date, "int64") => {
                ("case when isfinite({}) then extract(epoch from {})::int8 end", Wire::Int(Bits::B64))
            }
            (Self::Timestamp | Self::TimestampTz, "int64") => {
                ("case when isfinite({}) then floor(extract(epoch from {}))::int8 end", Wire::Int(Bits::B64))
            }
            (Self::Date | Self::Timestamp | Self::TimestampTz, "float") => {
                ("case when isfinite({}) then extract(epoch from {})::float8 end", Wire::Float)
            }
            (Self::Date, "string") => ("case when isfinite({}) then {}::text end", Wire::Text),
            (Self::Timestamp, "string") => ("case when isfinite({}) then replace({}::text, ' ', 'T') end", Wire::Text),
            (Self::TimestampTz, "string") => {
                ("case when isfinite({}) then replace(({} at time zone 'UTC')::text, ' ', 'T') || 'Z' end", Wire::Text)
            }
            (Self::Json, "object") => ("{}::text", Wire::Json),
            (Self::Composite, "object") => ("to_json({})::text", Wire::Json),
            // PostgreSQL's points are x, y; Typesense's latitude, longitude.
            (Self::Point, "geopoint") => {
                ("case when {} is not null then json_build_array(({})[1], ({})[0])::text end", Wire::Json)
            }
            // A cast would write the mask of a whole address, too.
            (Self::Inet, _) => ("case when {} = host({})::inet then host({}) else {}::text end", Wire::Text),
            _ => ("{}::text", Wire::Text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(base_type: &str, is_array: bool) -> Column {
        Column {
            name: "c".to_owned(),
            declared: format!("{base_type}{}", if is_array { "[]" } else { "" }),
            not_null: false,
            is_array,
            base_type: base_type.to_owned(),
            base_class: Class::Other,
            cast: format!("pg_catalog.{base_type}"),
        }
    }

    #[test]
    fn each_type_has_a_field_that_fits_it_best() {
        for (base_type, field_type) in [
            ("int2", "int32"),
            ("int8", "int64"),
            ("numeric", "float"),
            ("float4", "float"),
            ("bool", "bool"),
            ("text", "string"),
            ("uuid", "string"),
            ("a_users_enum", "string"),
            ("date", "int64"),
            ("timestamptz", "int64"),
            ("jsonb", "object"),
            ("point", "geopoint"),
            ("interval", "string"),
        ] {
            assert_eq!(column(base_type, false).conversion(None).unwrap().field_type, field_type, "{base_type}");
            let array = column(base_type, true).conversion(None).unwrap();
            assert_eq!((array.field_type, array.wire), (format!("{field_type}[]"), Wire::Json), "{base_type}[]");
        }
    }

    #[test]
    fn a_type_may_be_another_where_that_loses_no_sense() {
        assert_eq!(column("timestamptz", false).conversion(Some("string")).unwrap().wire, Wire::Text);
        assert_eq!(column("jsonb", false).conversion(Some("string[]")).unwrap().field_type, "string[]");
        assert_eq!(column("numeric", true).conversion(Some("string[]")).unwrap().field_type, "string[]");
        let fault = column("text", false).conversion(Some("int32")).unwrap_err().to_string();
        assert_eq!(fault, "text can't be int32 in Typesense: it may be string");
        assert!(column("int4", true).conversion(Some("int32")).is_err(), "a list is no number");
    }

    #[test]
    fn bytes_are_refused_with_what_to_do() {
        let fault = column("bytea", false).conversion(None).unwrap_err().to_string();
        assert!(fault.contains("bytea") && fault.contains("selected_columns"), "{fault}");
    }
}
