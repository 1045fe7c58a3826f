//! A thousand products that a shop might sell: always the same, so that a demo can be talked about.

use serde_json::{Value, json};

const MAKERS: [&str; 10] = [
    "Alder & Co",
    "Brightwater",
    "Corvane",
    "Dunmore",
    "Everfield",
    "Fjordline",
    "Greyhill",
    "Harrow",
    "Ixora",
    "Juniper",
];
const ADJECTIVES: [&str; 10] = [
    "Compact",
    "Classic",
    "Featherlight",
    "Foldable",
    "Heavy-duty",
    "Insulated",
    "Quiet",
    "Rechargeable",
    "Slim",
    "Waterproof",
];
/// What is sold, in which category, what it is good for, and what a plain one costs.
const KINDS: [(&str, &str, &str, f64); 10] = [
    ("Backpack", "Travel", "for long days on the road and short nights in huts", 79.0),
    ("Coffee Grinder", "Kitchen", "for an even grind from espresso to French press", 59.0),
    ("Desk Lamp", "Home", "for late work without tired eyes", 39.0),
    ("Headphones", "Audio", "for music, calls and a little peace on the train", 129.0),
    ("Kettle", "Kitchen", "for tea at the right temperature, and only as much as is drunk", 45.0),
    ("Rain Jacket", "Clothing", "for weather that the forecast did not mention", 110.0),
    ("Running Shoes", "Sports", "for roads, parks and the last bus", 95.0),
    ("Speaker", "Audio", "for a room full of sound from one small box", 85.0),
    ("Tent", "Travel", "for two people and their boots", 240.0),
    ("Water Bottle", "Sports", "for cold water in July and hot soup in January", 22.0),
];

/// The fields of the demo's index.
pub(super) fn fields() -> Vec<Value> {
    vec![
        json!({ "name": "name", "type": "string" }),
        json!({ "name": "description", "type": "string" }),
        json!({ "name": "brand", "type": "string", "facet": true }),
        json!({ "name": "category", "type": "string", "facet": true }),
        json!({ "name": "price", "type": "float", "facet": true }),
        json!({ "name": "rating", "type": "float" }),
        json!({ "name": "inStock", "type": "bool", "facet": true }),
        json!({ "name": "popularity", "type": "int32" }),
    ]
}

/// The field that sorts where a search doesn't say.
pub(super) const DEFAULT_SORTING_FIELD: &str = "popularity";

/// Every maker's every kind in every make: a thousand.
pub(super) fn all() -> impl Iterator<Item = Value> {
    (0..MAKERS.len() * ADJECTIVES.len() * KINDS.len()).map(|number| {
        let maker = MAKERS[number % 10];
        let adjective = ADJECTIVES[number / 10 % 10];
        let (kind, category, purpose, price) = KINDS[number / 100];
        // Scattered, yet the same on every machine.
        let chance = (number * 7919 + 104_729) % 1000;
        let price = (price * (0.7 + chance as f64 / 1000.0)).round() - 0.05;
        json!({
            "id": format!("p-{:04}", number + 1),
            "name": format!("{maker} {adjective} {kind}"),
            "description": format!("A {} {} by {maker}, made {purpose}.", adjective.to_lowercase(), kind.to_lowercase()),
            "brand": maker,
            "category": category,
            "price": price,
            "rating": f64::from(u32::try_from(chance % 21).unwrap_or_default() + 30) / 10.0,
            "inStock": !chance.is_multiple_of(7),
            "popularity": (number * 31 + 17) % 997,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tidewell::domain::{document::Document, fields::faults};

    use super::*;

    #[test]
    fn a_thousand_products_fit_their_index() {
        assert_eq!(faults(&fields(), Some(DEFAULT_SORTING_FIELD)), []);
        let texts: Vec<String> = all().map(|product| product.to_string()).collect();
        let ids: HashSet<_> = texts.iter().map(|text| Document::parse(text, 0).unwrap().id).collect();
        assert_eq!(ids.len(), 1000);
        for product in all() {
            let properties: HashSet<_> = product.as_object().unwrap().keys().cloned().collect();
            assert!(fields().iter().all(|field| properties.contains(field["name"].as_str().unwrap())), "{product}");
            assert!(
                product["price"].as_f64().unwrap() > 5.0 && product["rating"].as_f64().unwrap() <= 5.0,
                "{product}"
            );
        }
    }
}
