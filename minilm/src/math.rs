//! The steps that are not attention. Written without branches, so that the compiler makes vector instructions of them on any
//! processor.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

/// Rows times a matrix, plus a row.
pub(super) struct Linear {
    /// A row for each number that comes out.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn apply(&self, from: &[f32], to: &mut Vec<f32>) {
        let width = self.bias.len();
        let depth = self.weight.len() / width;
        let rows = from.len() / depth;
        to.clear();
        for _ in 0..rows {
            to.extend_from_slice(&self.bias);
        }
        let from = MatRef::from_row_major_slice(from, rows, depth);
        let weight = MatRef::from_column_major_slice(&self.weight, depth, width);
        matmul(MatMut::from_row_major_slice_mut(to, rows, width), Accum::Add, from, weight, 1.0, Par::Seq);
    }
}

/// Brings each row to mean 0 and variance 1, then scales and shifts it.
pub(super) struct Norm {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Norm {
    pub(super) fn apply(&self, rows: &mut [f32]) {
        const EPSILON: f32 = 1e-12;
        let width = self.scale.len();
        for row in rows.chunks_exact_mut(width) {
            let mean = sum(row, |x| x) / width as f32;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / width as f32;
            let factor = (variance + EPSILON).sqrt().recip();
            for ((x, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
                *x = (*x - mean) * factor * scale + shift;
            }
        }
    }
}

pub(super) fn add(to: &mut [f32], other: &[f32]) {
    to.iter_mut().zip(other).for_each(|(x, y)| *x += y);
}

/// Makes weights of scores: positive, and 1 in all.
pub(super) fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = exp(*x - largest));
    let factor = sum(row, |x| x).recip();
    row.iter_mut().for_each(|x| *x *= factor);
}

/// `x` times the part of a normal distribution that lies below it.
pub(super) fn gelu(numbers: &mut [f32]) {
    for x in numbers {
        *x *= 0.5 + 0.5 * erf(*x * std::f32::consts::FRAC_1_SQRT_2);
    }
}

/// Of eight sums side by side, for a single one can't be vectorised: adding floats in another order gives another sum.
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += of(*x);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| of(*x)).sum::<f32>()
}

/// The error function to 2e-7 (Abramowitz and Stegun, 7.1.26).
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = ((((1.061_405_4 * t - 1.453_152_1) * t + 1.421_413_8) * t - 0.284_496_72) * t + 0.254_829_6) * t;
    (1.0 - series * exp(-size * size)).copysign(x)
}

/// e to the `x` to 2e-7 of it, for `x` of at most 88; less than e^-87 counts as that.
fn exp(x: f32) -> f32 {
    // Adding this rounds to a whole number, which then stands in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUNDER;
    let twos = rounded - ROUNDER;
    // ln 2 in two parts, so that the remainder keeps its last digits.
    let rest = x - twos * 0.693_359_4 + twos * 2.121_944_4e-4;
    let series = (((((1.987_569_2e-4 * rest + 1.398_2e-3) * rest + 8.333_452e-3) * rest + 4.166_579_6e-2) * rest
        + 0.166_666_65)
        * rest
        + 0.5)
        * rest
        * rest
        + rest
        + 1.0;
    series * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_erf_are_what_they_are_called() {
        for n in -8700..=0 {
            let x = n as f32 / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 3e-7, "e to the {x} is {}", exp(x));
        }
        // erf of 0, 0.5, 1, 2 and 4.
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (4.0, 1.0)] {
            assert!((erf(x) - expected).abs() < 3e-7, "{x}: {}", erf(x));
            assert!((erf(-x) + expected).abs() < 3e-7, "-{x}: {}", erf(-x));
        }
    }

    #[test]
    fn a_softmax_is_positive_and_one_in_all_whatever_the_scores() {
        for mut row in [vec![1.0, 2.0, 3.0], vec![-1e4, 0.0, 50.0], vec![7.0; 21]] {
            softmax(&mut row);
            assert!(row.iter().all(|x| *x >= 0.0 && x.is_finite()));
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
