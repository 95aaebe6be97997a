//! What every genre has: a backdrop, planes, masses, small things, shadows and a foreground.

use rand::Rng;

use super::{Form, Layer, Light, Place, Stage, flowers, still_life};
use crate::captions::{Companion, Genre, Moment};
use crate::colour::Lab;
use crate::leaves::LeafKnob;
use crate::noise::{Purpose, sign, stream, uniform};
use crate::shape::Outline;

impl Stage<'_> {
    /// Sky or wall, with the source of light and with clouds or drapery.
    pub(super) fn backdrop(&mut self) {
        let contradicted = self.knobs.pick(LeafKnob::ConvincingTime, true, false, false);
        let light = if contradicted { Light::contrary(self.spec.moment) } else { self.light };
        let horizon = self.layout.horizon;
        let wall = Outline::rectangle(-0.3, -0.2, 1.3, horizon + 0.12);
        let form = Form::new(wall, light.high, Layer::Backdrop).fading_to(light.low).at_depth(1.0);
        self.add(form.grained(if self.spec.genre.is_outdoors() { 0.12 } else { 1.1 }));

        let side = self.layout.light_side;
        let glow = self.knobs.pick(LeafKnob::Mood, 0.0, 0.25, 0.6);
        let convincing = self.knobs.pick(LeafKnob::ConvincingTime, 0.0, 0.8, 1.0);
        let centre = match self.spec.moment {
            Moment::Dawn | Moment::Sunset => (0.5 + side * 0.27, horizon - 0.09),
            Moment::Noon | Moment::Moonlight => (0.5 + side * 0.30, horizon * 0.30),
            _ => (0.5 + side * 0.34, horizon * 0.45),
        };
        let ring = Outline::Ellipse { centre, radii: (0.42, 0.34), angle: 0.0 };
        self.add(Form::new(ring, light.source, Layer::Sky).at_depth(1.0).soft(0.5).veil(glow + 0.15));
        if matches!(self.spec.moment, Moment::Dawn | Moment::Sunset | Moment::Moonlight) {
            let disc = Outline::Ellipse { centre, radii: (0.055, 0.055), angle: 0.0 };
            self.add(Form::new(disc, light.source, Layer::Sky).at_depth(1.0).veil(convincing));
        }
        let drama = self.knobs.pick(LeafKnob::DramaticBackground, 0.0, 0.22, 0.95);
        if drama > 0.0 {
            if self.spec.genre.is_outdoors() {
                self.clouds(&light, drama);
            } else {
                self.drapery(&light, drama);
            }
        }
    }

    fn clouds(&mut self, light: &Light, drama: f32) {
        let (h, side) = (self.layout.horizon, self.layout.light_side);
        let dark = light.high.lighter(-0.20).scale_chroma(0.8);
        let bright = light.low.lighter(0.10);
        for (x, y, wide, high) in
            [(0.25, 0.22, 0.34, 0.15), (0.78, 0.34, 0.30, 0.12), (0.52, 0.04, 0.46, 0.12)]
        {
            let x = 0.5 + side * (x - 0.5);
            let puff = |dx: f32, dy: f32, scale: f32| Outline::Ellipse {
                centre: (x + dx * wide, (y + dy * high) * (h + 0.25)),
                radii: (wide * scale, high * scale * (h + 0.3)),
                angle: -0.15 * side,
            };
            self.add(
                Form::new(puff(0.1, -0.25, 0.9), bright, Layer::Sky).at_depth(1.0).soft(0.04).veil(drama),
            );
            self.add(Form::new(puff(0.0, 0.15, 0.8), dark, Layer::Sky).at_depth(1.0).soft(0.06).veil(drama));
        }
    }

    fn drapery(&mut self, light: &Light, drama: f32) {
        let side = self.layout.light_side;
        let cloth = light.low.turn_hue(25.0).scale_chroma(1.3);
        for fold in 0..5 {
            let u = fold as f32 * 0.17;
            let at = |x: f32, y: f32| (0.5 + side * (x - 0.5), y);
            let points = vec![
                at(u - 0.16, -0.05),
                at(u, -0.05),
                at(u * 0.75 + 0.02, 0.30),
                at(u * 0.35 - 0.02, 0.70),
                at(u * 0.30 - 0.12, 0.70),
            ];
            let shade = if fold % 2 == 0 { -0.17 } else { 0.13 };
            let form = Form::new(Outline::Polygon { points }, cloth.lighter(shade), Layer::Sky);
            self.add(form.at_depth(1.0).soft(0.02).veil(drama).grained(1.57 - side * 0.5));
        }
    }

    /// Bands of value that part the ground into distance, middle and foreground, or a wash that joins them.
    pub(super) fn planes(&mut self) {
        let h = self.layout.horizon;
        let below = |t: f32| h + (1.0 - h) * t;
        match self.knobs.pick(LeafKnob::ThreePlanes, 0, 1, 2) {
            0 => {
                let wash = self.light.low.mix(self.light.on(0.66, 0.06, 100.0), 0.5);
                self.add(Form::new(Outline::level(h), wash, Layer::Ground).veil(0.65));
            }
            2 => {
                let near = self.light.on(0.30, 0.06, 90.0);
                for (top, veil) in [(0.28, 0.28), (0.62, 0.50)] {
                    let band = Outline::rolling(below(top), 0.05, 2.5, 0.1, self.layout.noise ^ 21);
                    self.add(Form::new(band, near, Layer::Ground).veil(veil).soft(0.012).at_depth(0.3));
                }
            }
            _ => {}
        }
    }

    /// Four like things on the way from the foreground to the horizon.
    pub(super) fn repeated(&mut self) {
        let (layout, light) = (self.layout, self.light);
        let (near, far) =
            self.knobs.pick(LeafKnob::DiminishingSizes, (0.145, 0.145), (0.19, 0.10), (0.25, 0.05));
        for step in (0..4).rev() {
            let t = step as f32 / 3.0;
            let size = near + (far - near) * t;
            let foot = layout.horizon + (1.0 - layout.horizon) * (0.86 - 0.80 * t);
            let x = 0.5 + layout.open_side * (0.43 - 0.22 * t);
            let place = Place { x, foot, width: size, height: size };
            self.cast_shadow(place, 0.22);
            let (outline, colour) = match self.spec.genre {
                Genre::Landscape => {
                    (place.lathe(0.0, 0.0, 1.0, &[0.05, 0.15, 0.17, 0.13, 0.02]), light.on(0.34, 0.09, 145.0))
                }
                Genre::Seascape => (place.rectangle(-0.09, 0.0, 0.09, 0.75), light.on(0.36, 0.05, 55.0)),
                Genre::StillLife => (place.ellipse((0.0, 0.22), (0.24, 0.23)), light.on(0.44, 0.07, 55.0)),
                Genre::FlowerPiece => (place.ellipse((0.0, 0.22), (0.24, 0.23)), light.on(0.42, 0.15, 18.0)),
            };
            self.add(
                Form::new(outline, colour, Layer::Prop).at_depth(0.15 + 0.7 * t).upright(foot).round(0.9),
            );
        }
    }

    /// The masses that balance the picture, or weigh one side of it down.
    pub(super) fn masses(&mut self) {
        match self.knobs.pick(LeafKnob::LateralBalance, 0, 1, 2) {
            0 => {
                let side = self.layout.heavy_side;
                self.mass(side, 0.36, -0.1);
            }
            2 => {
                self.mass(-1.0, 0.14, 0.25);
                self.mass(1.0, 0.14, 0.25);
            }
            _ => {}
        }
    }

    fn mass(&mut self, side: f32, reach: f32, top: f32) {
        let light = self.light;
        let at = |x: f32, y: f32| (0.5 + side * (0.5 - x), y);
        let foot = self.layout.horizon + (1.0 - self.layout.horizon) * 0.45;
        let (colour, points) = match self.spec.genre {
            Genre::Landscape => {
                for (x, y) in [(0.0, top + 0.08), (0.45, top + 0.14), (0.3, top + 0.3), (0.65, top + 0.36)] {
                    let crown =
                        Outline::Ellipse { centre: at(reach * x, y), radii: (reach * 0.5, 0.16), angle: 0.0 };
                    let leaf = light.on(0.26, 0.07, 145.0);
                    self.add(Form::new(crown, leaf, Layer::Prop).at_depth(0.2).round(0.6).upright(foot));
                }
                (
                    light.on(0.24, 0.05, 110.0),
                    vec![
                        at(-0.1, top + 0.2),
                        at(reach * 0.7, top + 0.4),
                        at(reach * 0.55, foot),
                        at(-0.1, foot + 0.08),
                    ],
                )
            }
            Genre::Seascape => (
                light.on(0.28, 0.04, 50.0),
                vec![
                    at(-0.1, top),
                    at(reach * 0.5, top + 0.04),
                    at(reach * 0.75, top + 0.25),
                    at(reach, foot),
                    at(-0.1, foot + 0.05),
                ],
            ),
            _ => (
                light.on(0.24, 0.06, 20.0),
                vec![
                    at(-0.1, -0.1),
                    at(reach, -0.1),
                    at(reach * 0.7, 0.3),
                    at(reach * 0.9, foot),
                    at(-0.1, foot + 0.06),
                ],
            ),
        };
        let form = Form::new(Outline::Polygon { points }, colour, Layer::Prop);
        self.add(form.at_depth(0.2).round(0.5).grained(1.5).upright(foot));
    }

    /// The subject's cast shadow.
    pub(super) fn shadows(&mut self) {
        let half = match self.spec.genre {
            Genre::FlowerPiece => 0.24,
            _ => 0.42,
        };
        self.cast_shadow(self.layout.subject, half);
    }

    fn cast_shadow(&mut self, place: Place, half: f32) {
        let strength = self.knobs.pick(LeafKnob::CastShadows, 0.0, 0.35, 0.75);
        if strength == 0.0 {
            return;
        }
        let away = -self.layout.light_side;
        let (x, y) = place.at(away * half * 0.9, 0.0);
        let radii = (half * 1.5 * place.width, (0.085 * place.height).max(0.016));
        let shadow = Outline::Ellipse { centre: (x, y), radii, angle: 0.0 };
        let dark = self.light.on(0.20, 0.05, 285.0);
        self.add(Form::new(shadow, dark, Layer::Shadow).soft(0.015).veil(strength));
    }

    /// Three things that accompany the subject; `front` are those that stand before it.
    pub(super) fn companions(&mut self, front: bool) {
        let subject = self.layout.subject;
        let half = match self.spec.genre {
            Genre::Landscape => 0.5 * subject.width,
            Genre::Seascape => 0.42 * subject.width,
            Genre::StillLife => 0.32 * subject.width,
            Genre::FlowerPiece => 0.22 * subject.width,
        };
        let size = match self.spec.genre {
            Genre::StillLife => 0.15,
            Genre::Landscape => 0.11,
            _ => 0.10,
        };
        let open = self.layout.open_side;
        let drop = 0.05;
        let places = self.knobs.pick(
            LeafKnob::Overlap,
            [
                (open * (half + 0.9 * size), 0.0, false),
                (open * (half + 2.5 * size), 0.0, false),
                (-open * (half + 0.9 * size), 0.0, false),
            ],
            [
                (open * (half + 0.35 * size), 0.01, true),
                (open * (half + 1.45 * size), 0.0, false),
                (-open * (half + 0.5 * size), 0.0, false),
            ],
            [
                (-open * half * 0.9, -0.02, false),
                (open * half * 0.7, drop, true),
                (open * (half * 0.7 + 0.6 * size), drop + 0.03, true),
            ],
        );
        for (index, (dx, dy, before)) in places.into_iter().enumerate() {
            if before != front {
                continue;
            }
            let scale = size * [1.0, 0.9, 1.08][index];
            let foot = (subject.foot + dy).min(0.985).max(self.layout.horizon + 0.03);
            let place = Place { x: subject.x + dx, foot, width: scale, height: scale };
            self.cast_shadow(place, 0.5);
            self.companion(place, index);
        }
    }

    fn companion(&mut self, place: Place, index: usize) {
        let light = self.light;
        match self.spec.genre {
            Genre::StillLife => still_life::fruit(self, place),
            Genre::FlowerPiece => {
                let (x, foot) = place.at(0.0, 0.4);
                let lying = Place { x, foot, width: 0.5 * place.width, height: 0.42 * place.height };
                flowers::flower(self, lying, index, Layer::Prop, place.foot);
            }
            Genre::Landscape => {
                for (u, v, r, shade) in
                    [(-0.3, 0.32, 0.42, -0.04), (0.32, 0.30, 0.40, 0.0), (0.0, 0.48, 0.50, 0.03)]
                {
                    let bush = place.ellipse((u, v), (r, r * 0.9));
                    let green = light.on(0.44 + shade, 0.11, 128.0);
                    self.add(Form::new(bush, green, Layer::Prop).upright(place.foot).round(1.0));
                }
            }
            Genre::Seascape => {
                let stone =
                    place.polygon(&[(-0.7, 0.0), (-0.5, 0.45), (-0.1, 0.72), (0.35, 0.55), (0.7, 0.0)]);
                let colour =
                    light.on(0.42, 0.04, if self.spec.companion == Companion::Beach { 70.0 } else { 50.0 });
                self.add(Form::new(stone, colour, Layer::Prop).upright(place.foot).round(1.0));
            }
        }
    }

    /// A pool of light that sets the focal point off.
    pub(super) fn halo(&mut self) {
        let strength = self.knobs.pick(LeafKnob::FocalPoint, 0.0, 0.0, 0.5);
        if strength > 0.0 {
            let centre = self.layout.subject.at(0.0, 0.5);
            let halo = Outline::Ellipse { centre, radii: (0.36, 0.36), angle: 0.0 };
            let glow = self.light.source.mix(Lab::lch(0.93, 0.05, 85.0), 0.5);
            self.add(Form::new(halo, glow, Layer::Sky).soft(0.5).veil(strength));
        }
    }

    /// Small scattered things.
    pub(super) fn clutter(&mut self) {
        let rng = &mut stream(self.seed, Purpose::Scatter);
        let count = self.knobs.pick(LeafKnob::Simplicity, 26, 1, 0);
        let h = self.layout.horizon;
        for _ in 0..count {
            let (x, t) = (uniform(rng, 0.03, 0.97), uniform(rng, 0.06, 0.97));
            let (size, hue) = (uniform(rng, 0.016, 0.034), uniform(rng, 0.0, 360.0));
            let (lightness, tall) = (uniform(rng, 0.30, 0.92), rng.random::<bool>());
            let foot = h + (1.0 - h) * t;
            let place = Place { x, foot, width: size, height: size * if tall { 1.7 } else { 1.0 } };
            let colour = self.light.on(lightness, 0.10, hue);
            let form = Form::new(place.ellipse((0.0, 0.8), (0.9, 0.9)), colour, Layer::Prop);
            self.add(form.upright(foot).round(0.8).at_depth(1.0 - t));
        }
    }

    /// A small complementary note beside the subject.
    pub(super) fn accent(&mut self) {
        let size = self.knobs.pick(LeafKnob::TellingAccent, 0.0, 0.0, 1.0);
        if size == 0.0 {
            return;
        }
        let warm = self.light.low.b > 0.03 || self.spec.companion == Companion::Poppies;
        let colour = if warm { Lab::lch(0.58, 0.17, 240.0) } else { Lab::lch(0.64, 0.23, 40.0) };
        let subject = self.layout.subject;
        let unit = 0.075;
        let x = subject.x + self.layout.light_side * (0.20 * subject.width + 0.05);
        let place = Place { x, foot: (subject.foot + 0.05).min(0.96), width: unit, height: unit };
        let cloth = place.polygon(&[(-0.75, 0.0), (-0.6, 0.62), (0.1, 0.95), (0.7, 0.55), (0.85, 0.0)]);
        self.add(Form::new(cloth, colour, Layer::Mark).upright(place.foot).round(0.5));
    }

    /// A small figure with birds, or a butterfly.
    pub(super) fn life(&mut self) {
        let level = self.knobs.pick(LeafKnob::SignOfLife, 0, 0, 1);
        if level == 0 {
            return;
        }
        let (h, open) = (self.layout.horizon, self.layout.open_side);
        let red = Lab::lch(0.55, 0.21, 27.0);
        let dark = Lab::lch(0.20, 0.03, 40.0);
        if self.spec.genre.is_outdoors() {
            let foot = h + (1.0 - h) * 0.62;
            let place = Place { x: 0.5 + open * 0.20, foot, width: 0.15, height: 0.15 };
            self.cast_shadow(place, 0.18);
            let parts = [
                (place.rectangle(-0.13, 0.0, 0.13, 0.40), dark),
                (place.lathe(0.0, 0.30, 0.80, &[0.24, 0.22, 0.15]), red),
                (place.ellipse((0.0, 0.90), (0.13, 0.13)), Lab::lch(0.76, 0.07, 60.0)),
                (place.ellipse((0.0, 0.99), (0.17, 0.05)), dark),
            ];
            for (outline, colour) in parts {
                self.add(Form::new(outline, colour, Layer::Mark).upright(foot));
            }
            for (x, y) in [(0.10, 0.30), (0.22, 0.22), (0.17, 0.42)] {
                let bird = Place { x: 0.5 + open * x, foot: h * y, width: 0.055, height: 0.055 };
                for wing in [-1.0, 1.0] {
                    let points = [
                        (0.0, -0.1),
                        (wing * 0.5, 0.42),
                        (wing * 0.9, 0.30),
                        (wing * 0.45, 0.22),
                        (0.0, -0.32),
                    ];
                    self.add(Form::new(bird.polygon(&points), dark, Layer::Mark));
                }
            }
        } else {
            let place = Place { x: 0.5 + open * 0.30, foot: h * 0.5, width: 0.15, height: 0.15 };
            for wing in [-1.0, 1.0] {
                let upper = place.tilted_ellipse((wing * 0.36, 0.62), (0.36, 0.24), -wing * 0.6);
                let lower = place.tilted_ellipse((wing * 0.26, 0.24), (0.24, 0.18), wing * 0.5);
                for outline in [upper, lower] {
                    self.add(Form::new(outline, red, Layer::Mark));
                }
                let spot = place.ellipse((wing * 0.46, 0.68), (0.10, 0.10));
                self.add(Form::new(spot, dark, Layer::Mark));
            }
            self.add(Form::new(place.ellipse((0.0, 0.44), (0.06, 0.40)), dark, Layer::Mark));
        }
    }

    /// The strip along the lower edge.
    pub(super) fn foreground(&mut self) {
        let rng = &mut stream(self.seed, Purpose::Silhouette);
        let light = self.light;
        match self.knobs.pick(LeafKnob::WeightedForeground, 0, 1, 2) {
            0 => {
                let pale = light.low.mix(Lab::lch(0.92, 0.02, 90.0), 0.7);
                self.add(
                    Form::new(Outline::level(0.80), pale, Layer::Ground).soft(0.05).veil(0.85).at_depth(0.0),
                );
            }
            2 => {
                let dark = light.on(0.25, 0.06, if self.spec.genre.is_outdoors() { 130.0 } else { 30.0 });
                let bank = Outline::rolling(0.90, 0.06, 3.0, 0.2, self.layout.noise ^ 31);
                self.add(Form::new(bank, dark, Layer::Prop).at_depth(0.0).grained(0.3).round(0.5));
                for index in 0..9 {
                    let x = (index as f32 + uniform(rng, 0.1, 0.9)) / 9.0;
                    let (height, lean, tone) =
                        (uniform(rng, 0.07, 0.15), sign(rng), uniform(rng, -0.03, 0.10));
                    let place = Place { x, foot: 0.92, width: 0.035, height };
                    let blade =
                        place.polygon(&[(-0.5, -0.2), (0.5, -0.2), (0.4 * lean, 0.6), (1.0 * lean, 1.0)]);
                    self.add(Form::new(blade, dark.lighter(tone), Layer::Prop).at_depth(0.0).grained(1.4));
                }
            }
            _ => {}
        }
    }
}
