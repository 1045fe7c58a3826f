//! A model whose vectors can be foreseen: each word that it knows stands for one of four things.

use super::openai::OpenAi;

/// Words of one thing on each line.
const THINGS: [&[&str]; 4] = [
    &["sea", "ocean", "tide", "waves"],
    &["kettle", "teapot", "boil"],
    &["lamp", "lantern", "light"],
    &["book", "novel", "story"],
];

/// A service with this model.
pub async fn start() -> OpenAi {
    OpenAi::with(vector).await
}

/// How often each thing is spoken of; the last place keeps texts of nothing known apart from zero, and longer texts farther away.
fn vector(text: &str) -> Vec<f32> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let known = THINGS.iter().map(|thing| words.iter().filter(|word| thing.contains(word)).count() as f32);
    known.chain([0.01 * words.len() as f32]).collect()
}
