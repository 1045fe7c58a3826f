//! The fields of a collection: as Typesense is told of them, and what of them it would refuse.

use serde_json::{Value, json};

use super::{Faults, config, property, set_not_null};
use crate::{
    domain::{fields, sync_job::Spec},
    source::{Relation, statement::Selected},
};

/// The fields as Typesense is told of them.
pub(super) fn declared(spec: &Spec, relation: &Relation, selected: &[Selected], faults: &mut Faults) -> Vec<Value> {
    let is_named = |names: &[String], field: &str| names.iter().any(|name| name == field);
    let mut fields = Vec::new();
    for one in selected {
        let Some(column) = relation.column(&one.column) else { continue };
        let Ok(conversion) = column.conversion(property(spec, &one.column, "type")) else { continue };
        let mut field = json!({ "name": one.field, "type": conversion.field_type });
        let is_default_sort = spec.default_sort_field.as_deref() == Some(&one.field);
        if is_default_sort && !column.not_null && relation.kind.has_constraints() {
            faults.add(
                "default_sort_field",
                format!("{} may be null: `{}`, or leave it out", one.column, set_not_null(relation, &one.column)),
            );
        }
        if !is_default_sort {
            field["optional"] = json!(true);
        }
        if is_named(&spec.facet_by_fields, &one.field) {
            field["facet"] = json!(true);
        }
        if is_named(&spec.sort_by_fields, &one.field) {
            field["sort"] = json!(true);
        }
        let given = config(spec, &one.column)
            .into_iter()
            .flatten()
            .filter(|(name, _)| !["name", "type"].contains(&name.as_str()));
        for (name, value) in given {
            field[name] = value.clone();
        }
        fields.push(field);
    }
    fields
}

/// Lists of fields name fields, and what Typesense would refuse is told by the column.
pub(super) fn judge(spec: &Spec, fields: &[Value], faults: &mut Faults) {
    let type_of = |name: &str| {
        fields.iter().find(|field| field["name"] == name).and_then(|field| field["type"].as_str()).map(str::to_owned)
    };
    let there = || fields.iter().filter_map(|field| field["name"].as_str()).collect::<Vec<_>>().join(", ");
    let lists = [
        ("query_by_fields", &spec.query_by_fields),
        ("facet_by_fields", &spec.facet_by_fields),
        ("sort_by_fields", &spec.sort_by_fields),
    ];
    for (list, names) in lists {
        for name in names {
            // Within an object there may be any field.
            let nested = name
                .split_once('.')
                .and_then(|(parent, _)| type_of(parent))
                .is_some_and(|kind| kind.starts_with("object"));
            match type_of(name) {
                None if nested => {}
                None => faults.add(list, format!("there will be no field {name:?}; there will be {}", there())),
                Some(kind) if list == "query_by_fields" && !kind.starts_with("string") => faults.add(
                    list,
                    format!("{name} is {kind}, and searches look in texts: give its column {{\"type\": \"string\"}} in field_config"),
                ),
                Some(kind) if list != "query_by_fields" && kind.starts_with("object") => {
                    faults.add(list, format!("{name} is {kind}: name a field within it, such as {name}.color"));
                }
                Some(_) => {}
            }
        }
    }
    if let Some(name) = &spec.default_sort_field
        && type_of(name).is_none()
    {
        faults.add("default_sort_field", format!("there will be no field {name:?}; there will be {}", there()));
        return;
    }
    for fault in fields::faults(fields, spec.default_sort_field.as_deref()) {
        match fault.place.as_str() {
            "defaultSortingField" => faults.add("default_sort_field", fault.message),
            "fields" => faults.add("selected_columns", format!("what is selected beside the id {}", fault.message)),
            place => {
                let position: Option<usize> = place
                    .strip_prefix("fields[")
                    .and_then(|rest| rest.split_once(']'))
                    .and_then(|(n, _)| n.parse().ok());
                let name =
                    position.and_then(|n| fields.get(n)).and_then(|field| field["name"].as_str()).unwrap_or_default();
                let property = place.split_once("].").map_or("name", |(_, property)| property);
                let hint =
                    if property == "name" { ": give its column another {\"name\": …} in field_config" } else { "" };
                faults.add("field_config", format!("the field {name}, {property}: {}{hint}", fault.message));
            }
        }
    }
}
