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

/// `map`, log-odds per pixel, as colours over a picture: warm where the positive side is read, blue where the negative one
/// is, the more opaque the stronger. Strength is relative to the map's own strongest places, one in fifty of which may be
/// cut off.
#[must_use]
pub fn coloured(map: &[f32]) -> Vec<u8> {
    let mut sizes: Vec<f32> = map.iter().map(|value| value.abs()).filter(|size| size.is_finite()).collect();
    sizes.sort_by(f32::total_cmp);
    let strongest = sizes.get((sizes.len() * 49) / 50).copied().unwrap_or_default().max(f32::MIN_POSITIVE);
    let colour = |&value: &f32| {
        let [red, green, blue] = if value < 0.0 { NEGATIVE } else { POSITIVE };
        let strength = if value.is_finite() { (value.abs() / strongest).min(1.0) } else { 0.0 };
        [red, green, blue, (255.0 * STRONGEST * strength).round() as u8]
    };
    map.iter().flat_map(colour).collect()
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
        let map = coloured(&[2.0, -1.0, 0.0, f32::NAN]);
        assert_eq!(map[..4], [POSITIVE[0], POSITIVE[1], POSITIVE[2], 204]);
        assert_eq!(map[4..8], [NEGATIVE[0], NEGATIVE[1], NEGATIVE[2], 102]);
        assert_eq!((map[11], map[15]), (0, 0));
    }

    #[test]
    fn a_map_of_nothing_is_transparent() {
        assert!(coloured(&[0.0; 4]).chunks(4).all(|pixel| pixel[3] == 0));
        assert!(coloured(&[]).is_empty());
    }
}
