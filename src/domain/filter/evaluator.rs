//! Filters as Typesense 0.24 reads them, written independently of the guard: what passes means what it says, and never matches
//! another organization's document.

use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::{check, confine};

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Condition(String),
}

/// Splits a filter as leniently as Typesense: within backticks nothing is special, and a `(` behind a colon begins a place.
fn tokens(filter: &str) -> Vec<Token> {
    let (mut tokens, mut condition) = (vec![], String::new());
    let (mut quoted, mut placed) = (false, false);
    let mut rest = filter.chars().peekable();
    while let Some(c) = rest.next() {
        let token = match c {
            '`' => {
                quoted = !quoted;
                None
            }
            _ if quoted => None,
            '(' if condition.trim_end().ends_with(':') => {
                placed = true;
                None
            }
            ')' if placed => {
                placed = false;
                None
            }
            _ if placed => None,
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '&' | '|' if rest.next_if_eq(&c).is_some() => Some(if c == '&' { Token::And } else { Token::Or }),
            _ => None,
        };
        let Some(token) = token else {
            condition.push(c);
            continue;
        };
        flush(&mut condition, &mut tokens);
        tokens.push(token);
    }
    flush(&mut condition, &mut tokens);
    tokens
}

fn flush(condition: &mut String, tokens: &mut Vec<Token>) {
    let text = std::mem::take(condition).trim().to_owned();
    if !text.is_empty() {
        tokens.push(Token::Condition(text));
    }
}

/// Puts operators behind their operands and reduces them; operands that no operator joins are dropped, all but the last.
fn evaluate(filter: &str, holds: &dyn Fn(&str) -> bool) -> bool {
    let (mut operands, mut operators): (Vec<bool>, Vec<Token>) = (vec![], vec![]);
    fn reduce(operands: &mut Vec<bool>, operator: &Token) {
        if let (Some(right), Some(left)) = (operands.pop(), operands.pop()) {
            operands.push(if *operator == Token::And { left && right } else { left || right });
        }
    }
    for token in tokens(filter) {
        match token {
            Token::Condition(text) => operands.push(holds(&text)),
            Token::Open => operators.push(token),
            Token::Close => {
                while let Some(operator) = operators.pop().filter(|operator| *operator != Token::Open) {
                    reduce(&mut operands, &operator);
                }
            }
            Token::And | Token::Or => {
                let binds = |before: &Token| *before == Token::And || *before == token;
                while operators.last().is_some_and(binds) {
                    if let Some(before) = operators.pop() {
                        reduce(&mut operands, &before);
                    }
                }
                operators.push(token);
            }
        }
    }
    while let Some(operator) = operators.pop() {
        reduce(&mut operands, &operator);
    }
    operands.pop().unwrap_or(true)
}

/// What a filter means.
#[derive(Clone, Debug)]
enum Meaning {
    /// A condition by its number.
    Condition(usize),
    And(Box<Meaning>, Box<Meaning>),
    Or(Box<Meaning>, Box<Meaning>),
}

/// Each says by its text whether it holds of the document.
const CONDITIONS: [(&str, bool); 6] = [
    ("yes:>10", true),
    ("no:=`a && b) || (c`", false),
    ("yes:=[x,`y,z`]", true),
    ("no:(48.9, 2.3, 5 km)", false),
    ("yes.a:[10..20]", true),
    ("no:!=z", false),
];

impl Meaning {
    fn holds(&self) -> bool {
        match self {
            Self::Condition(n) => CONDITIONS[*n].1,
            Self::And(left, right) => left.holds() && right.holds(),
            Self::Or(left, right) => left.holds() || right.holds(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Condition(n) => CONDITIONS[*n].0.to_owned(),
            Self::And(left, right) => format!("({}) && ({})", left.text(), right.text()),
            Self::Or(left, right) => format!("{} || ({})", left.text(), right.text()),
        }
    }
}

fn meanings() -> impl Strategy<Value = Meaning> {
    (0..CONDITIONS.len()).prop_map(Meaning::Condition).prop_recursive(4, 12, 2, |inner| {
        let two = (inner.clone(), inner).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        prop_oneof![
            two.clone().prop_map(|(left, right)| Meaning::And(left, right)),
            two.prop_map(|(left, right)| Meaning::Or(left, right)),
        ]
    })
}

/// Pieces that filters are made of, and attacks.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(&[
            "a:1",
            "b:=`x`",
            "c:[1..2]",
            "d:(1, 2, 3 km)",
            "e:",
            "(",
            ")",
            "&&",
            "||",
            " ",
            "`",
            "[",
            "]",
            ":",
            ",",
            "\\",
            "\"",
            "&",
            "|",
            "tenantId:!=x",
            "!",
        ])
        .prop_map(str::to_owned),
        ".".prop_map(|c| c),
    ];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Another organization's document: of all conditions only that on its organization fails.
fn matches_another(filter: &str) -> bool {
    let clause = confine(None, Uuid::nil());
    evaluate(filter, &|condition| condition != clause)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_passes_means_what_it_says(meaning in meanings()) {
        let text = meaning.text();
        prop_assert_eq!(check(&text), Ok(()));
        prop_assert_eq!(evaluate(&text, &|condition| condition.starts_with("yes")), meaning.holds(), "{}", text);
    }

    #[test]
    fn what_passes_never_matches_another_organizations_document(text in texts()) {
        if check(&text).is_ok() {
            prop_assert!(!matches_another(&confine([text.as_str()], Uuid::nil())), "{}", text);
            prop_assert_eq!(check(&format!("({text})")), Ok(()));
        }
    }
}

#[test]
fn the_evaluator_sees_what_leaked() {
    // Seen with Typesense 0.24.1: the last operand alone counted, or the parentheses ended early.
    for leak in ["(price:>0) (tenantId:!=zzz)", "price:>0) || (price:>0", "title:\"red) || (price:>0\""] {
        assert!(check(leak).is_err());
        let confined = confine([leak], Uuid::nil());
        let moved = format!("{} && ({leak})", confine(None, Uuid::nil()));
        assert!(matches_another(&confined) || matches_another(&moved), "{leak}");
    }
}
