//! Colour in Oklab (Ottosson 2020, "A perceptual color space for image processing"), the painter's mixing space.
//!
//! The functions use `libm` instead of the platform's mathematics, so that a picture has the same bytes on every
//! machine.

/// A colour in Oklab: lightness `l` in `[0, 1]`, green to red `a` and blue to yellow `b`, both about `[-0.35, 0.35]`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lab {
    /// Lightness, 0 for black and 1 for white.
    pub l: f32,
    /// Green (negative) to red (positive).
    pub a: f32,
    /// Blue (negative) to yellow (positive).
    pub b: f32,
}

impl Lab {
    /// A colour from its Oklab coordinates.
    #[must_use]
    pub const fn new(l: f32, a: f32, b: f32) -> Self {
        Self { l, a, b }
    }

    /// A colour from OKLCH: lightness, chroma, and hue in degrees.
    #[must_use]
    pub fn lch(lightness: f32, chroma: f32, hue: f32) -> Self {
        let (sin, cos) = libm::sincosf(hue.to_radians());
        Self::new(lightness, chroma * cos, chroma * sin)
    }

    /// The distance from the grey axis.
    #[must_use]
    pub fn chroma(self) -> f32 {
        (self.a * self.a + self.b * self.b).sqrt()
    }

    /// The hue in degrees, in `(-180, 180]`.
    #[must_use]
    pub fn hue(self) -> f32 {
        libm::atan2f(self.b, self.a).to_degrees()
    }

    /// The colour on the way from `self` (0) to `other` (1).
    #[must_use]
    pub fn mix(self, other: Self, amount: f32) -> Self {
        Self::new(
            self.l + (other.l - self.l) * amount,
            self.a + (other.a - self.a) * amount,
            self.b + (other.b - self.b) * amount,
        )
    }

    /// The same hue and lightness with the chroma multiplied by `factor`.
    #[must_use]
    pub fn scale_chroma(self, factor: f32) -> Self {
        Self::new(self.l, self.a * factor, self.b * factor)
    }

    /// The same colour, lighter (positive) or darker (negative).
    #[must_use]
    pub fn lighter(self, amount: f32) -> Self {
        Self::new(self.l + amount, self.a, self.b)
    }

    /// The same colour with the hue turned by `degrees`.
    #[must_use]
    pub fn turn_hue(self, degrees: f32) -> Self {
        let (sin, cos) = libm::sincosf(degrees.to_radians());
        Self::new(self.l, self.a * cos - self.b * sin, self.a * sin + self.b * cos)
    }

    /// The colour shifted on the `a` and `b` axes.
    #[must_use]
    pub fn tint(self, a: f32, b: f32) -> Self {
        Self::new(self.l, self.a + a, self.b + b)
    }

    /// The distance to another colour in Oklab.
    #[must_use]
    pub fn distance(self, other: Self) -> f32 {
        let (l, a, b) = (self.l - other.l, self.a - other.a, self.b - other.b);
        (l * l + a * a + b * b).sqrt()
    }

    /// The colour of an 8-bit sRGB pixel.
    #[must_use]
    pub fn from_srgb(rgb: [u8; 3]) -> Self {
        let [r, g, b] = rgb.map(|value| {
            let value = f32::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { libm::powf((value + 0.055) / 1.055, 2.4) }
        });
        let l = libm::cbrtf(0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b);
        let m = libm::cbrtf(0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b);
        let s = libm::cbrtf(0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b);
        Self::new(
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        )
    }

    /// The nearest 8-bit sRGB pixel; what lies outside the gamut is clipped per channel.
    #[must_use]
    pub fn to_srgb(self) -> [u8; 3] {
        let l = self.l + 0.396_337_78 * self.a + 0.215_803_76 * self.b;
        let m = self.l - 0.105_561_346 * self.a - 0.063_854_17 * self.b;
        let s = self.l - 0.089_484_18 * self.a - 1.291_485_5 * self.b;
        let (l, m, s) = (l * l * l, m * m * m, s * s * s);
        [
            4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
            -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
            -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
        ]
        .map(|value| {
            let value = value.clamp(0.0, 1.0);
            let encoded = if value <= 0.003_130_8 {
                12.92 * value
            } else {
                1.055 * libm::powf(value, 1.0 / 2.4) - 0.055
            };
            (encoded * 255.0 + 0.5) as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn srgb_survives_the_round_trip(r in any::<u8>(), g in any::<u8>(), b in any::<u8>()) {
            let back = Lab::from_srgb([r, g, b]).to_srgb();
            for (before, after) in [r, g, b].into_iter().zip(back) {
                prop_assert!(before.abs_diff(after) <= 1, "{before} became {after}");
            }
        }

        #[test]
        fn hue_and_chroma_agree_with_lch(l in 0.1f32..0.9, c in 0.02f32..0.3, h in -179.0f32..179.0) {
            let colour = Lab::lch(l, c, h);
            // f32 trigonometry of values near one: a few units in the last place.
            prop_assert!((colour.chroma() - c).abs() < 1e-5);
            prop_assert!((colour.hue() - h).abs() < 1e-2);
        }
    }

    #[test]
    fn white_and_black_are_the_ends_of_the_grey_axis() {
        let white = Lab::from_srgb([255; 3]);
        assert!((white.l - 1.0).abs() < 1e-4 && white.chroma() < 1e-4);
        assert_eq!(Lab::default().to_srgb(), [0; 3]);
    }
}
