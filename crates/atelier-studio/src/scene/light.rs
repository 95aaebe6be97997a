//! The light of a moment: the colours of sky or wall, and what the light does to everything else.

use crate::captions::Moment;
use crate::colour::Lab;

/// The colours that a moment gives to the picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Light {
    /// The top of the sky or the wall.
    pub high: Lab,
    /// The sky above the horizon, or the wall above the table.
    pub low: Lab,
    /// What light adds to `a` and `b` of everything it falls on.
    pub tint: (f32, f32),
    /// What light multiplies the lightness of the ground and of things by.
    pub level: f32,
    /// The sun, the moon or a glow on the wall.
    pub source: Lab,
}

impl Light {
    /// The light of a moment.
    pub fn new(moment: Moment) -> Self {
        let (high, low, tint, level, source) = match moment {
            Moment::Dawn => {
                ((0.74, 0.06, 275.0), (0.88, 0.08, 45.0), (0.012, 0.010), 0.95, (0.95, 0.06, 80.0))
            }
            Moment::Noon => {
                ((0.66, 0.11, 245.0), (0.89, 0.04, 225.0), (0.0, 0.008), 1.06, (0.98, 0.03, 100.0))
            }
            Moment::Sunset => {
                ((0.50, 0.10, 310.0), (0.80, 0.14, 58.0), (0.024, 0.026), 0.86, (0.93, 0.13, 80.0))
            }
            Moment::Moonlight => {
                ((0.36, 0.07, 268.0), (0.52, 0.07, 255.0), (-0.012, -0.04), 0.72, (0.95, 0.03, 100.0))
            }
            Moment::Overcast => {
                ((0.62, 0.02, 250.0), (0.77, 0.02, 235.0), (-0.004, -0.006), 0.92, (0.85, 0.01, 230.0))
            }
            Moment::Morning => {
                ((0.74, 0.05, 95.0), (0.84, 0.06, 90.0), (0.004, 0.016), 1.04, (0.94, 0.07, 95.0))
            }
            Moment::Window => {
                ((0.58, 0.04, 220.0), (0.70, 0.03, 210.0), (-0.006, -0.006), 0.98, (0.88, 0.02, 220.0))
            }
            Moment::Evening => {
                ((0.42, 0.08, 25.0), (0.56, 0.10, 45.0), (0.016, 0.020), 0.86, (0.80, 0.12, 65.0))
            }
            Moment::Candle => {
                ((0.32, 0.05, 60.0), (0.44, 0.08, 60.0), (0.020, 0.040), 0.86, (0.72, 0.13, 75.0))
            }
            Moment::Night => {
                ((0.32, 0.07, 270.0), (0.42, 0.07, 262.0), (-0.010, -0.032), 0.76, (0.55, 0.06, 255.0))
            }
        };
        let colour = |(l, c, h)| Lab::lch(l, c, h);
        Self { high: colour(high), low: colour(low), tint, level, source: colour(source) }
    }

    /// A light that contradicts the moment: night for day, day for night.
    pub fn contrary(moment: Moment) -> Self {
        Self::new(match moment {
            Moment::Dawn | Moment::Noon | Moment::Overcast => Moment::Moonlight,
            Moment::Sunset | Moment::Moonlight => Moment::Noon,
            Moment::Morning | Moment::Window => Moment::Candle,
            Moment::Evening => Moment::Window,
            Moment::Candle | Moment::Night => Moment::Morning,
        })
    }

    /// A colour of the ground or of a thing in this light.
    pub fn on(&self, lightness: f32, chroma: f32, hue: f32) -> Lab {
        Lab::lch(lightness * self.level, chroma * (0.35 + 0.65 * self.level), hue)
            .tint(self.tint.0, self.tint.1)
    }
}
