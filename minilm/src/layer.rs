//! One of the model's layers: tokens look at the other tokens of their text, then each is thought over by itself.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul, reborrow::ReborrowMut};

use super::{
    DIMENSIONS, Error,
    math::{self, Linear, Norm},
    weights::Weights,
};

/// Tokens look at each other in twelve ways at once, with so many numbers each.
const HEAD: usize = DIMENSIONS / 12;
const INNER: usize = 4 * DIMENSIONS;

pub(super) struct Layer {
    /// Query, key and value, side by side.
    looking: Linear,
    seen: Linear,
    seen_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

/// Memory that the layers use one after the other.
#[derive(Default)]
pub(super) struct Scratch {
    looks: Vec<f32>,
    scores: Vec<f32>,
    seen: Vec<f32>,
    inner: Vec<f32>,
    outer: Vec<f32>,
}

impl Layer {
    pub(super) fn read(weights: &Weights<'_>, n: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("encoder.layer.{n}.{part}");
        let part = |part| weights.linear(&name(&format!("attention.self.{part}")), DIMENSIONS, DIMENSIONS);
        let (query, key, value) = (part("query")?, part("key")?, part("value")?);
        Ok(Self {
            looking: Linear {
                weight: [query.weight, key.weight, value.weight].concat(),
                bias: [query.bias, key.bias, value.bias].concat(),
            },
            seen: weights.linear(&name("attention.output.dense"), DIMENSIONS, DIMENSIONS)?,
            seen_norm: weights.norm(&name("attention.output.LayerNorm"))?,
            inner: weights.linear(&name("intermediate.dense"), DIMENSIONS, INNER)?,
            outer: weights.linear(&name("output.dense"), INNER, DIMENSIONS)?,
            outer_norm: weights.norm(&name("output.LayerNorm"))?,
        })
    }

    /// Changes the states of the tokens of texts of these lengths.
    pub(super) fn apply(&self, states: &mut [f32], lengths: &[usize], scratch: &mut Scratch) {
        let Scratch { looks, scores, seen, inner, outer } = scratch;
        self.looking.apply(states, looks);
        seen.resize(states.len(), 0.0);
        let mut first = 0;
        for length in lengths {
            let of = |width: usize| first * width..(first + length) * width;
            look(&looks[of(3 * DIMENSIONS)], *length, scores, &mut seen[of(DIMENSIONS)]);
            first += length;
        }
        self.seen.apply(seen, outer);
        math::add(states, outer);
        self.seen_norm.apply(states);
        self.inner.apply(states, inner);
        math::gelu(inner);
        self.outer.apply(inner, outer);
        math::add(states, outer);
        self.outer_norm.apply(states);
    }
}

/// What each token of one text sees in all of them.
fn look(looks: &[f32], length: usize, scores: &mut Vec<f32>, seen: &mut [f32]) {
    scores.resize(length * length, 0.0);
    let looks = MatRef::from_row_major_slice(looks, length, 3 * DIMENSIONS);
    let mut seen = MatMut::from_row_major_slice_mut(seen, length, DIMENSIONS);
    for head in (0..DIMENSIONS).step_by(HEAD) {
        let part = |n: usize| looks.subcols(n * DIMENSIONS + head, HEAD);
        let (query, key, value) = (part(0), part(1), part(2));
        let scale = (HEAD as f32).sqrt().recip();
        let all = MatMut::from_row_major_slice_mut(scores, length, length);
        matmul(all, Accum::Replace, query, key.transpose(), scale, Par::Seq);
        scores.chunks_exact_mut(length).for_each(math::softmax);
        let all = MatRef::from_row_major_slice(scores, length, length);
        let own = seen.rb_mut().subcols_mut(head, HEAD);
        matmul(own, Accum::Replace, all, value, 1.0, Par::Seq);
    }
}
