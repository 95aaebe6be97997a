//! Pictures and maps as the bytes of a canvas: red, green, blue and opacity of each pixel.

use atelier_web_messages::Pixels;

/// Where the positive side is read.
const POSITIVE: [u8; 3] = [255, 148, 31];
/// Where the negative side is read.
const NEGATIVE: [u8; 3] = [38, 92, 255];
/// Opacity of the strongest place.
const STRONGEST: f32 = 0.8;

/// `pixels` without any transparency. Bytes that are missing are white, so that the size is always right.
#[must_use]
pub fn opaque(pixels: &Pixels) -> Vec<u8> {
    let count = pixels.width as usize * pixels.height as usize;
    let mut rgba = vec![255; 4 * count];
    for (to, from) in rgba.chunks_exact_mut(4).zip(pixels.rgb.chunks_exact(3)) {
        to[..3].copy_from_slice(from);
    }
    rgba
}

/// `map`, log-odds per pixel of rows of `width` pixels, as colours over a picture: warm where the positive side is read, blue
/// where the negative one is, the more opaque the stronger.
///
/// Single pixels of a map are mostly noise, so neighbours are averaged first. Strength is relative to the map's own strongest
/// places, one in fifty of which may be cut off; weak places are nearly transparent, so that the picture is seen.
#[must_use]
pub fn coloured(map: &[f32], width: u32) -> Vec<u8> {
    let map = smoothed(map, width as usize);
    let mut sizes: Vec<f32> = map.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    let strongest = sizes.get((sizes.len() * 49) / 50).copied().unwrap_or_default().max(f32::MIN_POSITIVE);
    let colour = |&value: &f32| {
        let [red, green, blue] = if value < 0.0 { NEGATIVE } else { POSITIVE };
        let strength = (value.abs() / strongest).min(1.0).powf(1.5);
        [red, green, blue, (255.0 * STRONGEST * strength).round() as u8]
    };
    map.iter().flat_map(colour).collect()
}

/// Each pixel with its neighbours, weighted by the binomial coefficients of [`BINOMIAL`] along both axes; the border goes on
/// outside of the map. What is no number counts as nothing.
fn smoothed(map: &[f32], width: usize) -> Vec<f32> {
    if width == 0 {
        return Vec::new();
    }
    let height = map.len() / width;
    let mut map: Vec<f32> = map[..width * height].to_vec();
    map.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
    let along_rows = averaged(&map, |index, offset| {
        let (row, column) = (index / width, index % width);
        row * width + column.saturating_add_signed(offset).min(width - 1)
    });
    averaged(&along_rows, |index, offset| {
        let (row, column) = (index / width, index % width);
        row.saturating_add_signed(offset).min(height - 1) * width + column
    })
}

/// Weights of a pixel's neighbours, with itself in the middle: a Gaussian of 1.4 pixels.
const BINOMIAL: [f32; 9] = [1.0, 8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0];

fn averaged(map: &[f32], neighbour: impl Fn(usize, isize) -> usize) -> Vec<f32> {
    let reach = (BINOMIAL.len() / 2) as isize;
    let total: f32 = BINOMIAL.iter().sum();
    let at = |index: usize| {
        let weighted =
            BINOMIAL.iter().zip(-reach..).map(|(weight, offset)| weight * map[neighbour(index, offset)]);
        weighted.sum::<f32>() / total
    };
    (0..map.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_right_whatever_arrives() {
        let pixels = Pixels { width: 2, height: 1, rgb: vec![1, 2, 3] };
        assert_eq!(opaque(&pixels), [1, 2, 3, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn signs_have_colours_and_strength_has_opacity() {
        // Two halves, which do not change where they are far from each other.
        let row = [[2.0; 20], [-0.5; 20]].concat();
        let map = coloured(&row, 40);
        assert_eq!(map[..4], [POSITIVE[0], POSITIVE[1], POSITIVE[2], 204]);
        let last = &map[4 * 39..];
        assert_eq!(last[..3], NEGATIVE);
        assert_eq!(last[3], 26, "a quarter to the power of 1.5");
    }

    #[test]
    fn noise_is_averaged_away_and_sums_stay() {
        let checkers: Vec<f32> =
            (0..1024).map(|index| if (index / 32 + index) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        // Away from the upper and lower border, which go on outside.
        assert!(smoothed(&checkers, 32)[4 * 32..28 * 32].iter().all(|value| value.abs() < 1e-5));
        let mut point = vec![0.0; 1024];
        point[16 * 32 + 16] = 3.0;
        let sum: f32 = smoothed(&point, 32).iter().sum();
        assert!((sum - 3.0).abs() < 1e-4, "{sum}");
    }

    #[test]
    fn a_map_of_nothing_is_transparent() {
        assert!(coloured(&[0.0; 4], 2).chunks(4).all(|pixel| pixel[3] == 0));
        assert!(coloured(&[f32::NAN; 4], 2).chunks(4).all(|pixel| pixel[3] == 0));
        assert!(coloured(&[], 3).is_empty() && coloured(&[1.0], 0).is_empty());
    }
}
