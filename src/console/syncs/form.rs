//! The form of a job. It is sent to its own address to be previewed, and posted there to be saved.

use maud::{Markup, html};

use super::{draft::ORDERS, matrix};
use crate::console::{
    api::Refusal,
    backends::Backend,
    clients::outline::{Column, Sample},
    fields::Fields,
    forms::{self, Field},
};

/// Rows of the table that examples are taken from.
pub(super) const EXAMPLES: usize = 3;

/// Fields that tell their own faults.
const OWN: [&str; 16] = [
    "name",
    "collection_name",
    "typesense_profile_id",
    "field_config",
    "default_sort_field",
    "sync_strategy",
    "mode",
    "cursor_column",
    "batch_size",
    "batch_delay_ms",
    "sync_interval_minutes",
    "cron",
    "timezone",
    "stale_after_minutes",
    "failed_share_limit",
    "embedding_model",
];

/// What a form is made of.
pub(super) struct Form<'a> {
    pub(super) at: &'a str,
    /// What the address has to say beside the form's own fields.
    pub(super) hidden: &'a [(&'a str, &'a str)],
    pub(super) columns: &'a [Column],
    pub(super) samples: &'a [Sample],
    pub(super) backends: &'a [Backend],
    pub(super) fields: &'a Fields,
    pub(super) refusal: Option<&'a Refusal>,
    pub(super) may_act: bool,
}

impl Form<'_> {
    pub(super) fn shown(&self) -> Markup {
        let of_config = |fault: &&crate::console::api::Fault| fault.field.starts_with("field_config.");
        let shown: Vec<&str> = OWN.into_iter().chain(matrix::FIELDS).collect();
        let config_faults: Vec<_> = self.refusal.iter().flat_map(|refusal| &refusal.faults).filter(of_config).collect();
        let shown: Vec<&str> = shown.into_iter().chain(config_faults.iter().map(|fault| &*fault.field)).collect();
        html! {
            (forms::refused(self.refusal, &shown))
            form #draft method="get" action=(self.at) {
                (forms::hidden(self.hidden.iter().copied()))
                (forms::hidden(ORDERS.iter().map(|(_, order)| (*order, self.fields.text(order)))))
                h2 { "Columns" }
                (matrix::shown(self.columns, self.samples, self.fields, self.refusal))
                p { (forms::checkbox("all_columns", "yes", "Take all columns, also those that the table gets later", self.fields.is_checked("all_columns"))) }
                (self.further())
                @for fault in &config_faults { p .fault { code { (fault.field) } " " (fault.message) } }
                div .split {
                    div { (self.place()) (self.meaning()) }
                    div { (self.time()) (self.way()) }
                }
                div .acts {
                    button .primary type="submit" name="step" value="preview" { "Preview" }
                    @if self.may_act { button type="submit" formmethod="post" { "Save" } }
                }
            }
        }
    }

    fn text<'f>(&'f self, name: &'f str, label: &'f str) -> Field<'f> {
        Field::text(name, label).value(self.fields.text(name)).judged(self.refusal)
    }

    fn number<'f>(&'f self, name: &'f str, label: &'f str) -> Field<'f> {
        Field::number(name, label).value(self.fields.text(name)).judged(self.refusal)
    }

    /// What few jobs need of columns.
    fn further(&self) -> Markup {
        let more = ["query_by_more", "facet_by_more", "sort_by_more", "embedding_more", "field_config"];
        let is_open = more.iter().any(|name| self.fields.given(name).is_some());
        html! {
            details .further open[is_open] {
                summary { "Fields within objects, and other names and types" }
                div .split {
                    div {
                        (self.text("query_by_more", "Also search in").hint("with commas, such as maker.name"))
                        (self.text("facet_by_more", "Also facets"))
                    }
                    div {
                        (self.text("sort_by_more", "Also sort by"))
                        (self.text("embedding_more", "Also embed"))
                    }
                }
                (Field::area("field_config", "Field config", 5).value(self.fields.raw("field_config")).judged(self.refusal)
                    .hint("JSON by column: name, type, facet, sort, index, infix, locale; such as {\"added\": {\"type\": \"string\"}}"))
            }
        }
    }

    fn place(&self) -> Markup {
        let backends: Vec<(&str, &str)> = self.backends.iter().map(|one| (&*one.id, &*one.name)).collect();
        let chosen = self.fields.given("typesense_profile_id").or(backends.first().map(|(id, _)| *id));
        html! {
            fieldset {
                legend { "Where to" }
                (self.text("name", "Job").required().hint("what the sync job is called"))
                (Field::choice("typesense_profile_id", "Backend", &backends).required().value(chosen.unwrap_or_default()).judged(self.refusal))
                (self.text("collection_name", "Collection").required().hint("the name to search by"))
                (self.sorting())
            }
        }
    }

    fn sorting(&self) -> Markup {
        let is_number = |column: &&Column| matches!(column.field_type.as_deref(), Some("int32" | "int64" | "float"));
        let chosen = self.fields.text("default_sort_field");
        let mut names: Vec<&str> = self.columns.iter().filter(is_number).map(|column| &*column.name).collect();
        if !names.contains(&chosen) && !chosen.is_empty() {
            names.push(chosen);
        }
        let choices: Vec<_> = std::iter::once(("", "none")).chain(names.into_iter().map(|name| (name, name))).collect();
        html! {
            (Field::choice("default_sort_field", "Default sorting", &choices).value(chosen).judged(self.refusal)
                .hint("the largest first, where a search has no order; a number that every row has"))
        }
    }

    fn meaning(&self) -> Markup {
        html! {
            fieldset {
                legend { "Search by meaning" }
                (self.text("embedding_model", "Model").hint("local:all-MiniLM-L6-v2, or openai: and a model's name; empty: no vectors"))
                (Field::text("document_prefix", "Before each document's text").value(self.fields.raw("document_prefix")))
                (Field::text("query_prefix", "Before each search's text").value(self.fields.raw("query_prefix")).hint("some models ask for these"))
            }
        }
    }

    fn time(&self) -> Markup {
        let modes = [("scheduled", "by runs"), ("live", "live, as changes are committed")];
        html! {
            fieldset {
                legend { "When" }
                (Field::choice("mode", "The collection follows", &modes).required().value(self.fields.text("mode")).judged(self.refusal)
                    .hint("live takes logical replication"))
                (self.number("sync_interval_minutes", "Every so many minutes").hint("or by cron; with neither it runs when asked"))
                (self.text("cron", "Cron").hint("minute, hour, day, month, weekday, such as 0 3 * * *"))
                (self.text("timezone", "Time zone of cron").required().hint("such as Europe/Berlin"))
                (self.number("stale_after_minutes", "Stale after, minutes").required().hint("since the last good run"))
            }
        }
    }

    fn way(&self) -> Markup {
        let strategies = [("upsert", "write what has changed"), ("full", "build a new collection each time")];
        let is_moment = |column: &&Column| column.declared.starts_with("timestamp");
        let moments = self.columns.iter().filter(is_moment).map(|column| (&*column.name, &*column.name));
        let cursors: Vec<_> = std::iter::once(("", "none")).chain(moments).collect();
        html! {
            fieldset {
                legend { "How" }
                (Field::choice("sync_strategy", "Strategy", &strategies).required().value(self.fields.text("sync_strategy")).judged(self.refusal))
                (Field::choice("cursor_column", "Cursor column", &cursors).value(self.fields.text("cursor_column")).judged(self.refusal)
                    .hint("grows with every change of a row: older rows are not read whole"))
                (self.number("batch_size", "Documents of one import").required())
                (self.number("batch_delay_ms", "Pause after each, milliseconds"))
                (self.text("failed_share_limit", "Share of refused rows above which a run fails").hint("0 to 1"))
            }
        }
    }
}
