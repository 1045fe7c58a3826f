//! Forms as they are shown: each field with its name, a hint and what is wrong with it.

use maud::{Markup, Render, html};

use super::api::Refusal;

/// One field of a form.
pub(super) struct Field<'a> {
    name: &'a str,
    label: &'a str,
    value: &'a str,
    kind: Kind<'a>,
    hint: &'a str,
    fault: Option<&'a str>,
    is_required: bool,
}

enum Kind<'a> {
    /// An `input` of this type.
    Input(&'a str),
    /// Of so many lines.
    Area(usize),
    /// One of these, each with what it is called.
    Choice(&'a [(&'a str, &'a str)]),
}

impl<'a> Field<'a> {
    pub(super) fn text(name: &'a str, label: &'a str) -> Self {
        Self::of(name, label, Kind::Input("text"))
    }

    /// A secret that no browser should remember.
    pub(super) fn secret(name: &'a str, label: &'a str) -> Self {
        Self::of(name, label, Kind::Input("password"))
    }

    pub(super) fn number(name: &'a str, label: &'a str) -> Self {
        Self::of(name, label, Kind::Input("number"))
    }

    /// A moment, without a time zone: the label has to say which is meant.
    pub(super) fn moment(name: &'a str, label: &'a str) -> Self {
        Self::of(name, label, Kind::Input("datetime-local"))
    }

    pub(super) fn date(name: &'a str, label: &'a str) -> Self {
        Self::of(name, label, Kind::Input("date"))
    }

    pub(super) fn area(name: &'a str, label: &'a str, lines: usize) -> Self {
        Self::of(name, label, Kind::Area(lines))
    }

    /// One of `choices`, each a value and what it is called.
    pub(super) fn choice(name: &'a str, label: &'a str, choices: &'a [(&'a str, &'a str)]) -> Self {
        Self::of(name, label, Kind::Choice(choices))
    }

    fn of(name: &'a str, label: &'a str, kind: Kind<'a>) -> Self {
        Self { name, label, kind, value: "", hint: "", fault: None, is_required: false }
    }

    pub(super) fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    pub(super) fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    pub(super) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// With what the API found wrong with it.
    pub(super) fn judged(self, refusal: Option<&'a Refusal>) -> Self {
        Self { fault: refusal.and_then(|refusal| refusal.fault(self.name)), ..self }
    }
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        let Self { name, label, value, kind, hint, fault, is_required } = self;
        let described = [(!hint.is_empty()).then(|| format!("{name}-hint")), fault.map(|_| format!("{name}-fault"))];
        let described = described.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let described = Some(described).filter(|ids| !ids.is_empty());
        let invalid = fault.map(|_| "true");
        html! {
            div .field {
                label for=(name) { (label) @if !is_required { span .optional { " optional" } } }
                @match kind {
                    Kind::Input(kind) => {
                        input id=(name) name=(name) type=(kind) value=(value) required[*is_required] aria-describedby=[described]
                            aria-invalid=[invalid] autocomplete=(if *kind == "password" { "new-password" } else { "off" })
                            spellcheck="false";
                    }
                    Kind::Area(lines) => {
                        textarea id=(name) name=(name) rows=(lines) required[*is_required] aria-describedby=[described]
                            aria-invalid=[invalid] spellcheck="false" autocomplete="off" { "\n" (value) }
                    }
                    Kind::Choice(choices) => {
                        select id=(name) name=(name) aria-describedby=[described] aria-invalid=[invalid] {
                            @for (choice, called) in *choices {
                                option value=(choice) selected[choice == value] { (called) }
                            }
                        }
                    }
                }
                @if !hint.is_empty() { p .hint id={ (name) "-hint" } { (hint) } }
                @if let Some(fault) = fault { p .fault id={ (name) "-fault" } { (fault) } }
            }
        }
    }
}

/// A box to check, with its name.
pub(super) fn checkbox(name: &str, value: &str, label: &str, is_checked: bool) -> Markup {
    html! {
        label .check { input type="checkbox" name=(name) value=(value) checked[is_checked]; span { bdi { (label) } } }
    }
}

/// What is wrong with a form as a whole, and with fields that it has not.
pub(super) fn refused(refusal: Option<&Refusal>, shown: &[&str]) -> Markup {
    let Some(refusal) = refusal else { return Markup::default() };
    let others: Vec<_> = refusal.faults.iter().filter(|fault| !shown.contains(&&*fault.field)).collect();
    html! {
        div .notice.bad role="alert" {
            @if refusal.faults.is_empty() { p { (refusal.message) } }
            @else if others.is_empty() { p { "Please look at the fields that are marked." } }
            @for fault in others { p { code { (fault.field) } " " (fault.message) } }
        }
    }
}

/// What goes along with a form unseen.
pub(super) fn hidden<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! { @for (name, value) in fields { input type="hidden" name=(name) value=(value); } }
}

/// A button that does one thing, once it was said a second time. `path` is where it is sent, `hidden` what goes along.
pub(super) fn confirmed(label: &str, question: &str, path: &str, hidden: &[(&str, &str)]) -> Markup {
    html! {
        details .confirm {
            summary .button { (label) }
            form method="post" action=(path) {
                p { (question) }
                (self::hidden(hidden.iter().copied()))
                button .danger type="submit" { (label) }
            }
        }
    }
}

/// A button that does one thing at once.
pub(super) fn button(label: &str, path: &str, hidden: &[(&str, &str)]) -> Markup {
    html! {
        form .inline method="post" action=(path) {
            (self::hidden(hidden.iter().copied()))
            button type="submit" { (label) }
        }
    }
}
