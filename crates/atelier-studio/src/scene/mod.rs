//! A scene: coloured outlines from the backdrop to the foreground, before any of it is painted.

mod flowers;
mod landscape;
mod layout;
mod light;
mod props;
mod seascape;
mod still_life;
mod table;

pub(crate) use layout::Layout;
pub(crate) use light::Light;

use crate::captions::{Genre, SceneSpec};
use crate::colour::Lab;
use crate::knobs::Knobs;
use crate::shape::Outline;

/// The part that a form plays in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Sky or wall.
    Backdrop,
    /// Clouds, drapery, sun.
    Sky,
    /// Distant planes.
    Far,
    /// Land, water or table.
    Ground,
    /// Things round the subject.
    Prop,
    /// The subject itself.
    Subject,
    /// A mark that keeps its colour whatever happens to the palette: accents and signs of life.
    Mark,
    /// A darkening that is mixed over what lies below it.
    Shadow,
}

/// How strokes run on a form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grain {
    /// Along one angle in radians, 0 being horizontal.
    Along(f32),
    /// Round the form, across its surface normal.
    Around,
}

/// One coloured outline.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub outline: Outline,
    /// The colour at the outline's top.
    pub upper: Lab,
    /// The colour at the outline's bottom.
    pub lower: Lab,
    pub layer: Layer,
    /// 0 near, 1 far.
    pub depth: f32,
    /// How strongly light models the form, 0 for a flat one.
    pub volume: f32,
    pub grain: Grain,
    /// The width of the edge in picture units, before any knob.
    pub softness: f32,
    /// How much of what lies below is covered.
    pub opacity: f32,
    /// The height of the foot that the form leans about, if it is upright.
    pub foot: Option<f32>,
}

impl Form {
    /// A form of one colour, flat and opaque.
    pub fn new(outline: Outline, colour: Lab, layer: Layer) -> Self {
        Self {
            outline,
            upper: colour,
            lower: colour,
            layer,
            depth: 0.3,
            volume: 0.0,
            grain: Grain::Along(0.0),
            softness: 0.0,
            opacity: 1.0,
            foot: None,
        }
    }

    pub fn fading_to(mut self, lower: Lab) -> Self {
        self.lower = lower;
        self
    }

    pub fn at_depth(mut self, depth: f32) -> Self {
        self.depth = depth;
        self
    }

    pub fn round(mut self, volume: f32) -> Self {
        self.volume = volume;
        self.grain = Grain::Around;
        self
    }

    pub fn grained(mut self, angle: f32) -> Self {
        self.grain = Grain::Along(angle);
        self
    }

    pub fn soft(mut self, softness: f32) -> Self {
        self.softness = softness;
        self
    }

    pub fn veil(mut self, opacity: f32) -> Self {
        self.opacity = opacity;
        self
    }

    pub fn upright(mut self, foot: f32) -> Self {
        self.foot = Some(foot);
        self
    }
}

/// A place for a thing: a thing's own coordinates are `u` to the right and `v` upwards from the middle of its foot,
/// in units of its height.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub x: f32,
    pub foot: f32,
    pub width: f32,
    pub height: f32,
}

impl Place {
    pub fn at(self, u: f32, v: f32) -> (f32, f32) {
        (self.x + u * self.width, self.foot - v * self.height)
    }

    pub fn polygon(self, points: &[(f32, f32)]) -> Outline {
        Outline::Polygon { points: points.iter().map(|&(u, v)| self.at(u, v)).collect() }
    }

    pub fn ellipse(self, centre: (f32, f32), radii: (f32, f32)) -> Outline {
        self.tilted_ellipse(centre, radii, 0.0)
    }

    pub fn tilted_ellipse(self, centre: (f32, f32), radii: (f32, f32), angle: f32) -> Outline {
        let radii = (radii.0 * self.width, radii.1 * self.height);
        Outline::Ellipse { centre: self.at(centre.0, centre.1), radii, angle }
    }

    pub fn lathe(self, u: f32, low: f32, high: f32, profile: &[f32]) -> Outline {
        let profile = profile.iter().map(|half| half * self.width).collect();
        let (axis, foot) = self.at(u, low);
        Outline::Lathe { axis, foot, top: self.at(u, high).1, profile }
    }

    pub fn rectangle(self, left: f32, low: f32, right: f32, high: f32) -> Outline {
        let ((left, top), (right, bottom)) = (self.at(left, high), self.at(right, low));
        Outline::rectangle(left, top, right, bottom)
    }
}

/// Everything that is to be painted, from back to front.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub layout: Layout,
    pub light: Light,
    pub forms: Vec<Form>,
}

impl Scene {
    /// Composes the scene of a specification.
    pub fn compose(spec: &SceneSpec, knobs: &Knobs, seed: u64) -> Self {
        let layout = Layout::new(spec, knobs, seed);
        let light = Light::new(spec.moment);
        let mut stage = Stage { spec, knobs, seed, layout, light, forms: Vec::with_capacity(128) };
        stage.backdrop();
        match spec.genre {
            Genre::Landscape => landscape::ground(&mut stage),
            Genre::Seascape => seascape::ground(&mut stage),
            Genre::StillLife | Genre::FlowerPiece => table::ground(&mut stage),
        }
        stage.planes();
        stage.repeated();
        stage.masses();
        stage.shadows();
        stage.companions(false);
        stage.halo();
        let place = stage.layout.subject;
        match spec.genre {
            Genre::Landscape => landscape::subject(&mut stage, place),
            Genre::Seascape => seascape::subject(&mut stage, place),
            Genre::StillLife => still_life::subject(&mut stage, place),
            Genre::FlowerPiece => flowers::subject(&mut stage, place),
        }
        stage.companions(true);
        stage.clutter();
        stage.accent();
        stage.life();
        stage.foreground();
        Self { layout: stage.layout, light: stage.light, forms: stage.forms }
    }
}

/// A scene in the making.
struct Stage<'a> {
    spec: &'a SceneSpec,
    knobs: &'a Knobs,
    seed: u64,
    layout: Layout,
    light: Light,
    forms: Vec<Form>,
}

impl Stage<'_> {
    fn add(&mut self, form: Form) {
        self.forms.push(form);
    }
}
