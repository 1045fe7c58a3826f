//! A bar for something that goes on elsewhere.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Steps of a bar.
const STEPS: u64 = 1000;
const TEMPLATE: &str = "{prefix} {bar:24} {msg}";

/// A bar under a name; it stays on the screen unless it is cleared.
pub(super) fn new(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(STEPS).with_style(style).with_prefix(name.to_owned()).with_finish(ProgressFinish::Abandon)
}

/// Shows how much is done, from 0 to 1, and what there is to say of it.
pub(super) fn show(bar: &ProgressBar, done: f64, told: String) {
    bar.set_position((done * STEPS as f64) as u64);
    bar.set_message(told);
}
