//! rivals: table sync beside what one would take instead, on the same table and the same Typesense, in the same run.
//!
//! The others are Typesense's own Python client, fed by a server-side cursor, and dlt with `dlt-typesense`. Each brings the table over,
//! then again when nothing has changed, when a hundredth has, when rows are gone, when one row is bad, and after a kill half way.

mod course;
mod python;
mod tidewell;

use sqlx::PgPool;

use self::{course::Course, python::Python, tidewell::Tidewell};
use super::{
    Scale, documents,
    raw::Typesense,
    report::Row,
    stack::Stack,
    sync::{Jobs, Source},
    tenant::Site,
};

/// One way to bring a table into Typesense.
enum Rival<'a> {
    Tidewell(Box<Tidewell<'a>>),
    Python(Python),
}

/// How a run went.
#[derive(Debug)]
struct Told {
    seconds: f64,
    /// Whatever it said, or says of it when asked.
    text: String,
}

impl Rival<'_> {
    /// Its collection in a course of that name.
    fn collection(&self, course: &str) -> String {
        match self {
            Self::Tidewell(_) => format!("tidewell_bench_{course}"),
            Self::Python(python) => python.collection(course),
        }
    }

    /// Brings the table over, to the end.
    async fn run(&mut self, course: &str) -> anyhow::Result<Told> {
        match self {
            Self::Tidewell(tidewell) => tidewell.run(course).await,
            Self::Python(python) => python.run(course).await,
        }
    }

    /// Begins to bring the table over, and is killed once so many documents are there.
    async fn run_and_die(&mut self, course: &str, at: u64, typesense: &Typesense) -> anyhow::Result<()> {
        let collection = self.collection(course);
        match self {
            Self::Tidewell(tidewell) => tidewell.run_and_die(course, &collection, at, typesense).await,
            Self::Python(python) => python.run_and_die(course, &collection, at, typesense).await,
        }
    }

    /// Goes on after a kill, to the end.
    async fn go_on(&mut self, course: &str) -> anyhow::Result<Told> {
        match self {
            Self::Tidewell(tidewell) => tidewell.go_on().await,
            Self::Python(python) => python.run(course).await,
        }
    }
}

pub(crate) async fn measure(stack: &Stack, scale: Scale) -> anyhow::Result<Vec<Row>> {
    let count = if scale.quick { 5_000 } else { 100_000 };
    python::install().await?;
    let mut courses = Vec::new();
    for name in ["tidewell", "client", "dlt"] {
        eprintln!("  {name}");
        let source = Source::fill(stack, count).await?;
        extend(&source.pool).await?;
        let course = match name {
            "tidewell" => with_tidewell(stack, &source, count).await?,
            "client" => with_python(stack, Python::client(stack, &source)?, &source, count).await?,
            _ => with_python(stack, Python::dlt(stack, &source)?, &source, count).await?,
        };
        courses.push((name, course));
        source.pool.close().await;
        stack.tidy().await?;
    }
    Ok(rows(&courses, count))
}

async fn with_tidewell(stack: &Stack, source: &Source, count: usize) -> anyhow::Result<Course> {
    let site = Site::open(stack, "rivals").await?;
    let (serve, operator) = site.serve_operator().await?;
    let jobs = Jobs::new(stack, operator, source).await?;
    let mut rival = Rival::Tidewell(Box::new(Tidewell::start(&site, jobs)?));
    let course = course::run(&mut rival, source, &stack.typesense, count).await?;
    if let Rival::Tidewell(tidewell) = rival {
        tidewell.stop().await?;
    }
    serve.stop().await?;
    Ok(course)
}

async fn with_python(stack: &Stack, python: Python, source: &Source, count: usize) -> anyhow::Result<Course> {
    course::run(&mut Rival::Python(python), source, &stack.typesense, count).await
}

/// A column in which a row can be bad.
async fn extend(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(r#"alter table products add column tags jsonb not null default '["new"]'"#).execute(pool).await?;
    Ok(())
}

/// The collection's fields, for whoever has to be told.
fn fields() -> Vec<serde_json::Value> {
    let mut fields = documents::fields();
    fields.push(serde_json::json!({ "name": "tags", "type": "string[]" }));
    fields
}

/// A row for each course and fact; Tidewell's beside the better of the others.
fn rows(courses: &[(&str, Course)], count: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for fact in course::FACTS {
        for (name, course) in courses {
            let (row, value) = (format!("rivals_{}_{name}", fact.name), (fact.of)(course));
            let others = courses.iter().filter(|(other, _)| *other != "tidewell").map(|(_, course)| (fact.of)(course));
            let row = match (*name, fact.better) {
                ("tidewell", Some(course::Better::More)) => {
                    Row::rate(&row, value, others.fold(f64::MIN, f64::max), fact.unit)
                }
                ("tidewell", Some(course::Better::Less)) => {
                    Row::bound(&row, value, others.fold(f64::MAX, f64::min), fact.unit)
                }
                _ => Row::plain(&row, value, fact.unit),
            };
            rows.push(row.note(format!("{}; a table of {count} rows", fact.what)));
        }
    }
    rows
}
