//! `tidewell index`.

mod verify;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidewell::{
    db::{
        self,
        index::{Changes, Index, NewIndex},
        index_check::Check,
    },
    domain::{embedding::Embedding, fields},
    reindex::VersionView,
};

use super::{
    Session, input, organization,
    output::{maybe, maybe_time, record, table, time},
    page::PageArgs,
    reindex,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an index
    Create(Create),
    /// List an organization's indexes, newest first
    List {
        /// The organization's id or slug
        #[arg(long)]
        org: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an index
    Show {
        /// Its id, or its slug
        index: String,
        /// The organization's id or slug, where several have an index of that slug
        #[arg(long)]
        org: Option<String>,
    },
    /// List the versions of an index, newest first
    Versions {
        /// The index's id, or its slug
        index: String,
        /// The organization's id or slug, where several have an index of that slug
        #[arg(long)]
        org: Option<String>,
        #[command(flatten)]
        page: PageArgs<i32>,
    },
    /// Change an index; what is left out stays as it is. Its schema is changed by `tidewell reindex`
    Update(Update),
    /// Compare what was written with what its collection in Typesense holds; fails where they differ
    Verify(verify::Args),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name in URLs: lower-case letters, digits, hyphens, underscores
    slug: String,
    /// The organization's id or slug
    #[arg(long)]
    org: String,
    /// Typesense fields, as JSON (`[{"name":"title","type":"string"},…]`) or a file that holds it
    #[arg(long, value_name = "JSON|FILE")]
    fields: String,
    /// The number to sort by where a search doesn't say
    #[arg(long, value_name = "FIELD")]
    default_sorting_field: Option<String>,
    /// What documents are embedded from: `{"from": ["title"], "model": "local:all-MiniLM-L6-v2"}`, or a file of it
    #[arg(long, value_name = "JSON|FILE")]
    embedding: Option<String>,
    /// How often a failed write is tried before it is a dead letter [default: 8]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    max_attempts: Option<i32>,
    /// For how many seconds the answer to a search may be given again [default: 0, never]
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..=60))]
    cache_seconds: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its id, or its slug
    index: String,
    /// The organization's id or slug, where several have an index of that slug
    #[arg(long)]
    org: Option<String>,
    /// How often a failed write is tried before it is a dead letter
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=100))]
    max_attempts: Option<i32>,
    /// For how many seconds the answer to a search may be given again; 0: never
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..=60))]
    cache_seconds: Option<i32>,
}

pub(super) async fn run(session: &Session, command: &Command) -> anyhow::Result<()> {
    let pool = session.database().await?;
    match command {
        Command::Create(create) => show(session, &make(&pool, create).await?),
        Command::List { org, page } => {
            let organization = organization::find(&pool, org).await?;
            let rows = db::index::list(&pool, organization.id, page.cursor, page.reads()).await?;
            page.show(
                session,
                &rows,
                |row| row.id,
                view,
                |rows| {
                    let lines = rows.iter().map(|row| {
                        [
                            row.slug.clone(),
                            row.fields.len().to_string(),
                            maybe(row.collection.as_ref()),
                            row.id.to_string(),
                        ]
                    });
                    table(["slug", "fields", "collection", "id"], &["fields"], lines)
                },
            )
        }
        Command::Show { index, org } => {
            let index = find(&pool, org.as_deref(), index).await?;
            let check = db::index_check::find(&pool, index.id).await?;
            let mut shown = view(&index);
            shown["check"] = json!(check);
            session
                .show(&shown, || format!("{}\n\n{}", text(&index), check.as_ref().map_or_else(never_checked, checked)))
        }
        Command::Versions { index, org, page } => {
            let index = find(&pool, org.as_deref(), index).await?;
            let rows = db::version::list(&pool, index.id, page.cursor, page.reads()).await?;
            let numbers: Vec<i32> = rows.iter().map(|version| version.number).collect();
            let reindexes = db::reindex::of_versions(&pool, index.id, &numbers).await?;
            let versions: Vec<_> = rows.into_iter().map(|version| VersionView::new(version, &reindexes)).collect();
            page.show(session, &versions, |version| version.number, |version| version, reindex::versions)
        }
        Command::Update(update) => {
            let index = find(&pool, update.org.as_deref(), &update.index).await?;
            let changes = Changes { max_attempts: update.max_attempts, cache_seconds: update.cache_seconds };
            let changed = db::index::update(&pool, index.id, &changes).await?;
            show(session, &changed.context("the index has gone meanwhile")?)
        }
        Command::Verify(args) => verify::run(session, &pool, args).await,
    }
}

async fn make(pool: &PgPool, create: &Create) -> anyhow::Result<Index> {
    organization::check_slug(&create.slug)?;
    let fields = read_fields(&create.fields)?;
    let default_sorting_field = create.default_sorting_field.as_deref();
    let embedding = create.embedding.as_deref().map(read_embedding).transpose()?;
    let mut faults = fields::faults(&fields, default_sorting_field);
    faults.extend(embedding.iter().flat_map(|embedding| embedding.faults(&fields)));
    if !faults.is_empty() {
        let faults: Vec<String> =
            faults.into_iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect();
        bail!("the fields can't be taken: {}", faults.join("; "));
    }
    let organization = organization::find(pool, &create.org).await?;
    let new = NewIndex {
        slug: &create.slug,
        fields: &fields,
        default_sorting_field,
        embedding: embedding.as_ref(),
        max_attempts: create.max_attempts,
        cache_seconds: create.cache_seconds,
    };
    let made = db::index::insert(pool, organization.id, &new).await;
    let made = made.map_err(|error| match db::broken_constraint(&error) {
        Some("indexes_organization_id_slug_key" | "indexes_alias_key") => {
            anyhow::anyhow!("{} has an index {:?} already", organization.slug, create.slug)
        }
        _ => error.into(),
    })?;
    Ok(made?)
}

/// A list of fields, or an object with one as the API takes it.
pub(super) fn read_fields(given: &str) -> anyhow::Result<Vec<Value>> {
    let text = input::json_or_file(given, "fields")?;
    match serde_json::from_str(&text).context("the fields are not JSON")? {
        Value::Array(fields) => Ok(fields),
        Value::Object(mut schema) => match schema.remove("fields") {
            Some(Value::Array(fields)) => Ok(fields),
            _ => bail!("the JSON holds no list of fields"),
        },
        _ => bail!("the JSON holds no list of fields"),
    }
}

/// What documents are embedded from, as the API takes it.
pub(super) fn read_embedding(given: &str) -> anyhow::Result<Embedding> {
    let text = input::json_or_file(given, "embedding")?;
    serde_json::from_str(&text).context("the embedding can't be read: it is {\"from\": [fields], \"model\": name}")
}

/// The index of that id or slug, within an organization where one is named.
pub(super) async fn find(pool: &PgPool, organization: Option<&str>, name: &str) -> anyhow::Result<Index> {
    let organization_id = match organization {
        Some(organization) => Some(organization::find(pool, organization).await?.id),
        None => None,
    };
    let mut found = db::index::resolve(pool, organization_id, name).await?;
    if found.len() > 1 {
        bail!("several organizations have an index {name:?}: name one with --org, or give the index's id");
    }
    found.pop().with_context(|| format!("there is no index {name:?}: `tidewell index list` shows those there are"))
}

fn view(index: &Index) -> Value {
    json!({
        "id": index.id,
        "organizationId": index.organization_id,
        "slug": index.slug,
        "fields": index.fields,
        "defaultSortingField": index.default_sorting_field,
        "embedding": index.embedding,
        "alias": index.alias,
        "version": index.version,
        "collection": index.collection,
        "maxAttempts": index.max_attempts,
        "cacheSeconds": index.cache_seconds,
        "createdAt": index.created_at,
    })
}

/// From what, and by which model.
pub(super) fn embedded(embedding: &Embedding) -> String {
    format!("from {} by {}", embedding.from.join(", "), embedding.model)
}

fn show(session: &Session, index: &Index) -> anyhow::Result<()> {
    session.show(&view(index), || text(index))
}

fn text(index: &Index) -> String {
    let about = record([
        ("id", index.id.to_string()),
        ("slug", index.slug.clone()),
        ("organization", index.organization_id.to_string()),
        ("default sorting", maybe(index.default_sorting_field.as_ref())),
        ("embedded", maybe(index.embedding.as_ref().map(|embedding| embedded(embedding)))),
        ("version", index.version.to_string()),
        ("attempts", index.max_attempts.to_string()),
        ("cached for", format!("{} s", index.cache_seconds)),
        ("collection", maybe(index.collection.as_ref())),
        ("created", time(index.created_at)),
    ]);
    let text = |field: &Value, name: &str| maybe(field[name].as_str());
    let fields = index.fields.iter().map(|field| {
        let object = field.as_object().into_iter().flatten();
        let flags = object.filter(|(_, value)| **value == true).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        [text(field, "name"), text(field, "type"), flags.join(" ")]
    });
    format!("{about}\n\n{}", table(["field", "type", "flags"], &[], fields))
}

fn never_checked() -> String {
    "it was not compared with its collection yet: `tidewell index verify` does".to_owned()
}

/// How its collection compared with what was written.
fn checked(check: &Check) -> String {
    record([
        ("checked", maybe_time(check.checked_at)),
        ("documents", maybe(check.documents)),
        ("missing", maybe(check.missing)),
        ("extra", maybe(check.extra)),
        ("stale", maybe(check.stale)),
        ("last error", maybe(check.error.as_ref())),
    ])
}
