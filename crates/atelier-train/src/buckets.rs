//! Aspect-ratio buckets: sizes of about the same area, for pictures of different shapes.

use crate::error::TrainError;
use std::cmp::Reverse;

/// The sizes that pictures are trained at, `[width, height]` in pixels, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    sizes: Vec<[u32; 2]>,
}

impl Buckets {
    /// A square of `size` pixels a side for every picture.
    pub fn square(size: u32) -> Self {
        Self { sizes: vec![[size; 2]] }
    }

    /// A square, and sizes from half of `size` to twice of it that are as high, or as wide, as an area of `size * size`
    /// pixels allows; all sides are multiples of `step`.
    ///
    /// These are the buckets of kohya's `make_bucket_resolutions`. But for the square, an area is larger than
    /// `size * size` less `step` times its longer side.
    ///
    /// # Errors
    /// [`TrainError::Option`] if not even one step fits into `size`.
    pub fn of_area(size: u32, step: u32) -> Result<Self, TrainError> {
        if size < step {
            return Err(TrainError::Option(format!(
                "--aspect-ratio-buckets: sides are multiples of {step} pixels for this model, so --size must be at least \
                 {step}, not {size}"
            )));
        }
        let multiple = |side: u32| side / step * step;
        let shortest = size.div_ceil(2).next_multiple_of(step);
        let mut sizes: Vec<[u32; 2]> = (shortest..=2 * size)
            .step_by(step as usize)
            .map(|width| [width, multiple(size * size / width)])
            .filter(|[_, height]| *height >= shortest)
            .flat_map(|[width, height]| [[width, height], [height, width]])
            .chain([[multiple(size); 2]])
            .collect();
        // Of two buckets that suit a picture alike, the first is taken: the larger one.
        sizes.sort_by_key(|[width, height]| (Reverse(width * height), *width));
        sizes.dedup();
        Ok(Self { sizes })
    }

    /// All sizes, the largest areas first.
    pub fn sizes(&self) -> &[[u32; 2]] {
        &self.sizes
    }

    /// The size of which a picture of `[width, height]` pixels fills most: the part of it with the shape of that size is
    /// the largest. It is the size whose logarithmic aspect ratio is nearest.
    pub fn choose(&self, [width, height]: [u32; 2]) -> [u32; 2] {
        let kept = |[bucket_width, bucket_height]: [u32; 2]| {
            let across = f64::from(width) * f64::from(bucket_height);
            let down = f64::from(height) * f64::from(bucket_width);
            across.min(down) / across.max(down)
        };
        let better = |best: [u32; 2], size: [u32; 2]| if kept(size) > kept(best) { size } else { best };
        self.sizes.iter().copied().reduce(better).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets() -> impl Strategy<Value = (u32, u32, Buckets)> {
        (1..9_u32, 0..2000_u32).prop_map(|(step, more)| {
            let step = 8 * step;
            let size = step + more;
            (size, step, Buckets::of_area(size, step).expect("a step fits"))
        })
    }

    proptest! {
        #[test]
        fn sides_and_areas_keep_their_bounds((size, step, buckets) in buckets()) {
            for &[width, height] in buckets.sizes() {
                prop_assert!(width.is_multiple_of(step) && height.is_multiple_of(step));
                let (shorter, longer) = (width.min(height), width.max(height));
                prop_assert!(longer <= 2 * size && 2 * shorter >= size);
                prop_assert!(width * height <= size * size);
                prop_assert!(width == height || width * height + step * longer > size * size);
                prop_assert!(buckets.sizes().contains(&[height, width]), "no {height}x{width}");
            }
            let square = size / step * step;
            prop_assert!(buckets.sizes().contains(&[square; 2]));
        }

        #[test]
        fn no_other_bucket_keeps_more_of_the_picture(
            (_, _, buckets) in buckets(),
            width in 1..5000_u32,
            height in 1..5000_u32,
        ) {
            let distance = |[w, h]: [u32; 2]| {
                (f64::from(width) / f64::from(height)).ln() - (f64::from(w) / f64::from(h)).ln()
            };
            let chosen = distance(buckets.choose([width, height])).abs();
            for &size in buckets.sizes() {
                // Logarithms and divisions round in their last digits.
                prop_assert!(chosen <= distance(size).abs() + 1e-12);
            }
            // Turned pictures go to turned buckets.
            let [w, h] = buckets.choose([width, height]);
            prop_assert!((distance([w, h]).abs() - distance_of_turned(&buckets, width, height)).abs() < 1e-12);
        }
    }

    fn distance_of_turned(buckets: &Buckets, width: u32, height: u32) -> f64 {
        let [w, h] = buckets.choose([height, width]);
        ((f64::from(height) / f64::from(width)).ln() - (f64::from(w) / f64::from(h)).ln()).abs()
    }

    #[test]
    fn stable_diffusion_gets_the_buckets_of_kohya() {
        let mut expected: Vec<[u32; 2]> = vec![[512, 512]];
        let wide =
            [[576, 448], [640, 384], [704, 320], [768, 320], [832, 256], [896, 256], [960, 256], [1024, 256]];
        expected.extend(wide.into_iter().flat_map(|[width, height]| [[width, height], [height, width]]));
        expected.sort_unstable();
        let mut sizes = Buckets::of_area(512, 64).expect("buckets").sizes().to_vec();
        sizes.sort_unstable();
        assert_eq!(sizes, expected);
    }

    #[test]
    fn a_size_below_one_step_is_refused() {
        let error = Buckets::of_area(48, 64).expect_err("too small").to_string();
        assert!(error.contains("multiples of 64") && error.contains("not 48"), "{error}");
        assert_eq!(Buckets::of_area(64, 64).expect("one step").sizes(), [[64, 64]]);
    }
}
