use super::super::simd::tests::{numbers, with_every_length};
use super::*;
use proptest::prelude::*;

/// Output and the gradients of query, key and value in double precision, all `[batch, length, heads, channels]`.
fn reference(shape: &AttentionShape, inputs: [&[f32]; 3], gradient: &[f32]) -> [Vec<f64>; 4] {
    let AttentionShape { batch, heads, queries, keys, channels, value_channels, scale } = *shape;
    let scale = f64::from(scale);
    let [query, key, value] = inputs;
    let mut results = [queries * value_channels, queries * channels, keys * channels, keys * value_channels]
        .map(|size| vec![0.0; batch * heads * size]);
    for (sequence, head) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        let at = |length: usize, row: usize, channels: usize| {
            let start = ((sequence * length + row) * heads + head) * channels;
            start..start + channels
        };
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for q in 0..queries {
            let place = at(queries, q, channels);
            let out = at(queries, q, value_channels);
            let scores: Vec<f64> =
                (0..keys).map(|k| scale * dot(&query[place.clone()], &key[at(keys, k, channels)])).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            let slopes: Vec<f64> =
                (0..keys).map(|k| dot(&gradient[out.clone()], &value[at(keys, k, value_channels)])).collect();
            let mean: f64 = weights.iter().zip(&slopes).map(|(w, s)| w / total * s).sum();
            for k in 0..keys {
                let weight = weights[k] / total;
                let slope = scale * weight * (slopes[k] - mean);
                for (o, v) in out.clone().zip(at(keys, k, value_channels)) {
                    results[0][o] += weight * f64::from(value[v]);
                    results[3][v] += weight * f64::from(gradient[o]);
                }
                for (q, k) in place.clone().zip(at(keys, k, channels)) {
                    results[1][q] += slope * f64::from(key[k]);
                    results[2][k] += slope * f64::from(query[q]);
                }
            }
        }
    }
    results
}

fn check(shape: &AttentionShape) {
    let AttentionShape { batch, heads, queries, keys, channels, value_channels, .. } = *shape;
    let size = |length: usize, channels: usize| batch * heads * length * channels;
    let query = numbers(1, size(queries, channels));
    let key = numbers(2, size(keys, channels));
    let value = numbers(3, size(keys, value_channels));
    let gradient = numbers(4, size(queries, value_channels));
    let expected = reference(shape, [&query, &key, &value], &gradient);
    let inputs = [
        Rows::interleaved(&query, queries, heads, channels),
        Rows::interleaved(&key, keys, heads, channels),
        Rows::interleaved(&value, keys, heads, value_channels),
    ];
    with_every_length(|| {
        let mut output = vec![f32::NAN; gradient.len()];
        let mut logarithms = vec![f32::NAN; batch * heads * queries];
        attention(shape, inputs, &mut output, &mut logarithms);
        let given = AttentionGradients {
            inputs,
            output: Rows::interleaved(&output, queries, heads, value_channels),
            logarithms: &logarithms,
            gradient: Rows::interleaved(&gradient, queries, heads, value_channels),
        };
        let mut results = [&query, &key, &value].map(|input| vec![f32::NAN; input.len()]);
        let [of_query, of_key, of_value] = &mut results;
        attention_gradients(shape, given, [of_query, of_key, of_value]);
        let names = ["output", "of query", "of key", "of value"];
        let found = std::iter::once(&output).chain(&results);
        for ((name, found), expected) in names.into_iter().zip(found).zip(&expected) {
            // Rounding is proportional to the largest terms of the sums, not to these, which may cancel to nothing.
            let largest = expected.iter().fold(0.1, |largest: f64, number| largest.max(number.abs()));
            for (found, expected) in found.iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error <= 2e-5 * largest, "{name}: {found} instead of {expected} in {shape:?}");
            }
        }
    });
}

#[test]
fn attentions_longer_than_every_block_agree_with_plain_sums() {
    for (queries, keys, channels, value_channels) in
        [(1, 1, 1, 1), (64, 64, 64, 64), (100, 300, 40, 40), (200, 77, 33, 7), (49, 513, 8, 17)]
    {
        let scale = (channels as f32).sqrt().recip();
        check(&AttentionShape { batch: 1, heads: 2, queries, keys, channels, value_channels, scale });
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let shape = AttentionShape {
        batch: 1,
        heads: 1,
        queries: 1,
        keys: 2,
        channels: 1,
        value_channels: 1,
        scale: 1.0,
    };
    let rows = |numbers| Rows::interleaved(numbers, 2, 1, 1);
    let (mut output, mut logarithms) = ([0.0], [0.0]);
    attention(
        &shape,
        [rows(&[100.0]), rows(&[-50.0, 60.0]), rows(&[3.0, 4.0])],
        &mut output,
        &mut logarithms,
    );
    assert_eq!((output, logarithms), ([4.0], [6000.0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attentions_agree_with_plain_sums(
        batch in 1..4_usize,
        heads in 1..4_usize,
        queries in 1..70_usize,
        keys in 1..70_usize,
        channels in 1..70_usize,
        value_channels in 1..70_usize,
    ) {
        check(&AttentionShape { batch, heads, queries, keys, channels, value_channels, scale: 0.3 });
    }
}
