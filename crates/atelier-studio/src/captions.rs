//! What a painting shows: genre, things and light, and the caption that says so.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The genre of a painting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Genre {
    /// Land under a sky.
    Landscape,
    /// The sea under a sky.
    Seascape,
    /// A vessel and fruit on a table.
    StillLife,
    /// Flowers in a vase on a table.
    FlowerPiece,
}

/// The main thing of a painting: what stands at the focal point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the things")]
pub enum Motif {
    Farmhouse,
    Church,
    Trees,
    Windmill,
    SailingBoat,
    RowingBoat,
    Lighthouse,
    BlueJug,
    WineBottle,
    CopperPot,
    GlassVase,
    ClayJug,
    BlueVase,
}

/// What accompanies the main thing: the lie of the land, the kind of coast, the fruit or the flowers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the things")]
pub enum Companion {
    Hills,
    Mountains,
    River,
    Cliffs,
    Beach,
    Rocks,
    Apples,
    Pears,
    Lemons,
    Plums,
    Poppies,
    Sunflowers,
    Daisies,
    Irises,
}

/// The light of a painting; the first five fall outdoors, the others indoors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the times")]
pub enum Moment {
    Dawn,
    Noon,
    Sunset,
    Moonlight,
    Overcast,
    Morning,
    Window,
    Evening,
    Candle,
    Night,
}

impl Genre {
    /// Every genre.
    pub const ALL: [Self; 4] = [Self::Landscape, Self::Seascape, Self::StillLife, Self::FlowerPiece];

    /// The genre's name in a caption.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Landscape => "a landscape",
            Self::Seascape => "a seascape",
            Self::StillLife => "a still life",
            Self::FlowerPiece => "a flower piece",
        }
    }

    /// Whether the picture is lit by the sky.
    #[must_use]
    pub const fn is_outdoors(self) -> bool {
        matches!(self, Self::Landscape | Self::Seascape)
    }

    /// The things that can be the main motif.
    #[must_use]
    pub const fn motifs(self) -> &'static [Motif] {
        match self {
            Self::Landscape => &[Motif::Farmhouse, Motif::Church, Motif::Trees, Motif::Windmill],
            Self::Seascape => &[Motif::SailingBoat, Motif::RowingBoat, Motif::Lighthouse],
            Self::StillLife => &[Motif::BlueJug, Motif::WineBottle, Motif::CopperPot],
            Self::FlowerPiece => &[Motif::GlassVase, Motif::ClayJug, Motif::BlueVase],
        }
    }

    /// The things that can accompany the main motif.
    #[must_use]
    pub const fn companions(self) -> &'static [Companion] {
        match self {
            Self::Landscape => &[Companion::Hills, Companion::Mountains, Companion::River],
            Self::Seascape => &[Companion::Cliffs, Companion::Beach, Companion::Rocks],
            Self::StillLife => &[Companion::Apples, Companion::Pears, Companion::Lemons, Companion::Plums],
            Self::FlowerPiece => {
                &[Companion::Poppies, Companion::Sunflowers, Companion::Daisies, Companion::Irises]
            }
        }
    }

    /// The lights that suit the genre.
    #[must_use]
    pub const fn moments(self) -> &'static [Moment] {
        if self.is_outdoors() {
            &[Moment::Dawn, Moment::Noon, Moment::Sunset, Moment::Moonlight, Moment::Overcast]
        } else {
            &[Moment::Morning, Moment::Window, Moment::Evening, Moment::Candle, Moment::Night]
        }
    }
}

impl Motif {
    /// The motif's words in a caption.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Farmhouse => "a farmhouse",
            Self::Church => "a church",
            Self::Trees => "tall trees",
            Self::Windmill => "a windmill",
            Self::SailingBoat => "a sailing boat",
            Self::RowingBoat => "a rowing boat",
            Self::Lighthouse => "a lighthouse",
            Self::BlueJug => "a blue jug",
            Self::WineBottle => "a wine bottle",
            Self::CopperPot => "a copper pot",
            Self::GlassVase => "a glass vase",
            Self::ClayJug => "a clay jug",
            Self::BlueVase => "a blue vase",
        }
    }
}

impl Companion {
    /// The companion's words in a caption.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Hills => "rolling hills",
            Self::Mountains => "mountains",
            Self::River => "a river",
            Self::Cliffs => "cliffs",
            Self::Beach => "a beach",
            Self::Rocks => "rocks",
            Self::Apples => "apples",
            Self::Pears => "pears",
            Self::Lemons => "lemons",
            Self::Plums => "plums",
            Self::Poppies => "red poppies",
            Self::Sunflowers => "yellow sunflowers",
            Self::Daisies => "white daisies",
            Self::Irises => "purple irises",
        }
    }
}

impl Moment {
    /// The light's words in a caption.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Dawn => "at dawn",
            Self::Noon => "at noon",
            Self::Sunset => "at sunset",
            Self::Moonlight => "by moonlight",
            Self::Overcast => "on a grey day",
            Self::Morning => "in morning light",
            Self::Window => "by a window",
            Self::Evening => "in evening light",
            Self::Candle => "by candlelight",
            Self::Night => "at night",
        }
    }
}

/// What a painting shows, apart from how well it is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SceneSpec {
    /// The genre, which [`SceneSpec::motif`], [`SceneSpec::companion`] and [`SceneSpec::moment`] belong to.
    pub genre: Genre,
    /// The main thing.
    pub motif: Motif,
    /// What accompanies it.
    pub companion: Companion,
    /// The light.
    pub moment: Moment,
}

impl SceneSpec {
    /// A specification whose genre and facets are uniformly distributed.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        fn choose<T: Copy>(rng: &mut ChaCha8Rng, options: &[T]) -> T {
            options[rng.random_range(0..options.len())]
        }
        let genre = choose(rng, &Genre::ALL);
        Self {
            genre,
            motif: choose(rng, genre.motifs()),
            companion: choose(rng, genre.companions()),
            moment: choose(rng, genre.moments()),
        }
    }

    /// Every specification that [`SceneSpec::draw`] can return.
    pub fn all() -> impl Iterator<Item = Self> {
        Genre::ALL.into_iter().flat_map(|genre| {
            genre.motifs().iter().flat_map(move |&motif| {
                genre.companions().iter().flat_map(move |&companion| {
                    genre.moments().iter().map(move |&moment| Self { genre, motif, companion, moment })
                })
            })
        })
    }

    /// The sentence that names genre, things and light: "a landscape with rolling hills and a farmhouse at sunset".
    #[must_use]
    pub fn caption(&self) -> String {
        let joint = if self.genre == Genre::FlowerPiece { "in" } else { "and" };
        let (genre, companion) = (self.genre.phrase(), self.companion.phrase());
        format!("{genre} with {companion} {joint} {} {}", self.motif.phrase(), self.moment.phrase())
    }
}

/// The words of all captions, sorted, each once: what a tokenizer must know.
#[must_use]
pub fn vocabulary() -> Vec<String> {
    let words: std::collections::BTreeSet<String> = SceneSpec::all()
        .flat_map(|spec| spec.caption().split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    words.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_short_and_distinct() {
        let captions: std::collections::BTreeSet<String> =
            SceneSpec::all().map(|spec| spec.caption()).collect();
        assert_eq!(captions.len(), SceneSpec::all().count());
        for caption in &captions {
            assert!(caption.split(' ').count() <= 14, "{caption}");
        }
    }

    #[test]
    fn the_example_of_the_documentation_is_a_caption() {
        let spec = SceneSpec {
            genre: Genre::Landscape,
            motif: Motif::Farmhouse,
            companion: Companion::Hills,
            moment: Moment::Sunset,
        };
        assert_eq!(spec.caption(), "a landscape with rolling hills and a farmhouse at sunset");
        assert!(vocabulary().contains(&"farmhouse".to_owned()));
    }
}
