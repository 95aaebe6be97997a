//! The leaves of the criteria tree that the painter can render on either side.

/// The ids of the leaves that the painter renders, in the order of [`LeafKnob`].
pub const STUDIO_LEAVES: [&str; 56] = [
    "composition.balance.distribution.weight.lateral",
    "composition.focus.focal-point.presence.clarity",
    "composition.focus.focal-point.placement.off-centre",
    "composition.format.edges.margins.breathing-room",
    "composition.division.horizon.placement.third",
    "composition.division.horizon.levelness.level",
    "composition.economy.selection.number.simplicity",
    "composition.format.edges.containment.vignette",
    "color-relations.harmony.hue.scheme.relatedness",
    "color-relations.purity.mixture.cleanliness.clean",
    "color-relations.harmony.temperature.balance.warm-cool",
    "color-relations.harmony.accent.presence.telling",
    "color-relations.purity.shadow.chroma.coloured",
    "color-relations.variation.area.modulation.broken",
    "color-relations.variation.passage.gradation.graded",
    "color-relations.restraint.intensity.saturation.restrained",
    "light-and-value.range.contrast.span.full",
    "light-and-value.massing.pattern.grouping.masses",
    "light-and-value.direction.source.side.directional",
    "light-and-value.range.extremes.highlights.crisp",
    "light-and-value.range.extremes.darks.open",
    "light-and-value.range.extremes.lights.held",
    "light-and-value.separation.planes.steps.separated",
    "light-and-value.massing.transition.steps.gradual",
    "form-and-drawing.edges.definition.clarity.clear",
    "form-and-drawing.edges.outline.weight.unlined",
    "form-and-drawing.volume.modelling.roundness.rounded",
    "form-and-drawing.structure.axis.uprightness.plumb",
    "form-and-drawing.contour.line.steadiness.confident",
    "form-and-drawing.contour.silhouette.variety.varied",
    "form-and-drawing.edges.economy.loss.lost-found",
    "form-and-drawing.structure.proportion.scale.believable",
    "space-and-depth.atmosphere.recession.contrast.fading",
    "space-and-depth.atmosphere.recession.temperature.cooling",
    "space-and-depth.atmosphere.recession.detail.simplified",
    "space-and-depth.planes.layering.count.three",
    "space-and-depth.planes.foreground.anchor.weighted",
    "space-and-depth.placement.overlap.order.overlapping",
    "space-and-depth.placement.diminution.scale.diminishing",
    "space-and-depth.grounding.contact.shadow.grounded",
    "brushstroke-and-texture.stroke.direction.form.following",
    "brushstroke-and-texture.stroke.vitality.energy.lively",
    "brushstroke-and-texture.stroke.variety.size.varied",
    "brushstroke-and-texture.paint.body.relief.impasto",
    "brushstroke-and-texture.surface.support.grain.canvas",
    "brushstroke-and-texture.surface.cleanliness.specks.clean",
    "brushstroke-and-texture.paint.coverage.ground.covered",
    "brushstroke-and-texture.stroke.direction.variety.varied",
    "subject-and-expression.mood.atmosphere.strength.evocative",
    "subject-and-expression.drama.sky.energy.dramatic",
    "subject-and-expression.life.presence.sign.inhabited",
    "subject-and-expression.emphasis.subject.scale.commanding",
    "subject-and-expression.sentiment.restraint.sweetness.sober",
    "subject-and-expression.movement.dynamics.flow.moving",
    "subject-and-expression.abundance.detail.generosity.generous",
    "subject-and-expression.conviction.light.time.convincing",
];

/// One leaf that the painter can render; the discriminant is its place in [`STUDIO_LEAVES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeafKnob {
    /// Balanced visual weight, or lopsided visual weight.
    LateralBalance,
    /// Clear focal point, or no focal point.
    FocalPoint,
    /// Subject placed off centre, or subject stuck in the middle.
    Placement,
    /// Room around the subject, or subject cut by the frame.
    BreathingRoom,
    /// Horizon on a third, or horizon splitting the picture.
    HorizonHeight,
    /// Level horizon, or tilted horizon.
    LevelHorizon,
    /// Simple uncluttered design, or cluttered design.
    Simplicity,
    /// Eye held inside the picture, or bright corners pull outward.
    Containment,
    /// Harmonious colour scheme, or clashing colour scheme.
    RelatedHues,
    /// Clean colour, or muddy colour.
    CleanMixtures,
    /// Warm and cool balance, or one-sided colour temperature.
    WarmCool,
    /// Telling colour accent, or no colour accent.
    TellingAccent,
    /// Coloured shadows, or dead grey shadows.
    ColouredShadows,
    /// Broken vibrating colour, or flat uniform colour.
    BrokenColour,
    /// Graded colour passages, or unmodulated colour areas.
    ColourGradation,
    /// Restrained colour intensity, or garish colour intensity.
    RestrainedIntensity,
    /// Full value range, or washed out values.
    ValueRange,
    /// Massed lights and darks, or scattered lights and darks.
    MassedValues,
    /// Clear light direction, or flat frontal light.
    DirectionalLight,
    /// Crisp highlights, or missing highlights.
    Highlights,
    /// Open luminous darks, or crushed black darks.
    OpenDarks,
    /// Well held lights, or bleached lights.
    HeldLights,
    /// Planes separated by value, or planes merging in value.
    SeparatedPlanes,
    /// Gradual value transitions, or posterised value steps.
    GradualTransitions,
    /// Clear subject edges, or fuzzy subject edges.
    ClearEdges,
    /// Forms without outlines, or heavy black outlines.
    UnlinedForms,
    /// Modelled round forms, or flat cut-out forms.
    ModelledVolume,
    /// Plumb verticals, or leaning verticals.
    PlumbVerticals,
    /// Confident contours, or wobbly contours.
    ConfidentContours,
    /// Varied silhouette, or monotonous silhouette.
    VariedSilhouette,
    /// Lost and found edges, or uniformly hard edges.
    LostAndFound,
    /// Believable proportions, or distorted proportions.
    Proportion,
    /// Atmospheric distance, or airless distance.
    AtmosphericDistance,
    /// Distance turning cool, or distance too warm.
    CoolingDistance,
    /// Simplified distant detail, or busy distant detail.
    SimplifiedDistance,
    /// Foreground middle and background, or single shallow plane.
    ThreePlanes,
    /// Anchoring dark foreground, or empty weak foreground.
    WeightedForeground,
    /// Overlapping forms, or forms lined side by side.
    Overlap,
    /// Sizes diminishing with distance, or equal sizes at all depths.
    DiminishingSizes,
    /// Cast shadows ground forms, or forms floating without shadows.
    CastShadows,
    /// Strokes following the form, or strokes in random directions.
    StrokesFollowForm,
    /// Lively brushwork, or lifeless smooth brushwork.
    LivelyBrushwork,
    /// Varied stroke sizes, or uniform stroke size.
    StrokeSizes,
    /// Rich paint body, or thin starved paint.
    PaintBody,
    /// Canvas grain showing, or slick plastic surface.
    LivingSurface,
    /// Clean paint passages, or dirty paint specks.
    CleanPassages,
    /// Full paint coverage, or bare unpainted patches.
    Coverage,
    /// Varied stroke direction, or mechanical parallel hatching.
    StrokeDirections,
    /// Evocative mood, or indifferent mood.
    Mood,
    /// Dramatic sky or backdrop, or blank sky or backdrop.
    DramaticBackground,
    /// Sign of life, or deserted scene.
    SignOfLife,
    /// Commanding main subject, or insignificant main subject.
    CommandingSubject,
    /// Sober sentiment, or sugary sentiment.
    SoberSentiment,
    /// Sense of movement, or frozen stillness.
    Movement,
    /// Telling details, or empty generic treatment.
    TellingDetails,
    /// Convincing time of day, or contradictory time of day.
    ConvincingTime,
}

impl LeafKnob {
    /// Every leaf, in the order of [`STUDIO_LEAVES`].
    pub const ALL: [Self; STUDIO_LEAVES.len()] = [
        Self::LateralBalance,
        Self::FocalPoint,
        Self::Placement,
        Self::BreathingRoom,
        Self::HorizonHeight,
        Self::LevelHorizon,
        Self::Simplicity,
        Self::Containment,
        Self::RelatedHues,
        Self::CleanMixtures,
        Self::WarmCool,
        Self::TellingAccent,
        Self::ColouredShadows,
        Self::BrokenColour,
        Self::ColourGradation,
        Self::RestrainedIntensity,
        Self::ValueRange,
        Self::MassedValues,
        Self::DirectionalLight,
        Self::Highlights,
        Self::OpenDarks,
        Self::HeldLights,
        Self::SeparatedPlanes,
        Self::GradualTransitions,
        Self::ClearEdges,
        Self::UnlinedForms,
        Self::ModelledVolume,
        Self::PlumbVerticals,
        Self::ConfidentContours,
        Self::VariedSilhouette,
        Self::LostAndFound,
        Self::Proportion,
        Self::AtmosphericDistance,
        Self::CoolingDistance,
        Self::SimplifiedDistance,
        Self::ThreePlanes,
        Self::WeightedForeground,
        Self::Overlap,
        Self::DiminishingSizes,
        Self::CastShadows,
        Self::StrokesFollowForm,
        Self::LivelyBrushwork,
        Self::StrokeSizes,
        Self::PaintBody,
        Self::LivingSurface,
        Self::CleanPassages,
        Self::Coverage,
        Self::StrokeDirections,
        Self::Mood,
        Self::DramaticBackground,
        Self::SignOfLife,
        Self::CommandingSubject,
        Self::SoberSentiment,
        Self::Movement,
        Self::TellingDetails,
        Self::ConvincingTime,
    ];

    /// The leaf's place in [`STUDIO_LEAVES`] and [`LeafKnob::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The leaf's id in the criteria tree.
    #[must_use]
    pub const fn id(self) -> &'static str {
        STUDIO_LEAVES[self.index()]
    }

    /// The leaf with this id, if the painter can render it.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|knob| knob.id() == id)
    }
}
