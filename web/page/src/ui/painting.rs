//! Paintings in work and finished, as the worker reports them.

use super::{
    alert::Notices, blob::BlobUrl, explanation::Explanations, form::Form, gallery::Gallery, worker::Worker,
};
use crate::logic::{
    figures,
    progress::{StepClock, Steps},
};
use atelier_web_messages::{Choice, JobId, Model, Pixels, Recipe, Reply, Request};
use leptos::prelude::*;
use std::sync::Arc;

/// A finished picture.
#[derive(Debug, PartialEq)]
pub struct Picture {
    pub model: Model,
    /// The recipe of this picture alone.
    pub recipe: Recipe,
    pub pixels: Pixels,
    pub png: Vec<u8>,
    pub url: BlobUrl,
}

impl Picture {
    /// The query of the link that reproduces it.
    pub fn query(&self) -> String {
        let choice = match self.model {
            Model::Base => Choice::Base,
            Model::Aligned => Choice::Aligned,
        };
        self.recipe.to_query(choice)
    }

    pub fn file_name(&self) -> String {
        file_name(self.model, self.recipe.seed)
    }
}

/// The name of a downloaded picture.
pub fn file_name(model: Model, seed: u64) -> String {
    format!("atelier-{}-{seed}.png", model.key())
}

pub const fn model_name(model: Model) -> &'static str {
    match model {
        Model::Base => "Base",
        Model::Aligned => "Aligned",
    }
}

/// Where one of a job's pictures comes to be.
#[derive(Debug, Clone)]
pub struct Easel {
    pub job: JobId,
    pub model: Model,
    /// Which of the recipe's pictures.
    pub index: u32,
    pub seed: u64,
    pub state: ArcRwSignal<EaselState>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EaselState {
    Waiting,
    /// Steps done, and what the picture looks like.
    InWork(u32, Pixels),
    Finished(Arc<Picture>),
}

/// What the job in work does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// The worker has not begun.
    Waiting,
    Download {
        received: u64,
        total: u64,
        is_stored: bool,
    },
    Paint {
        steps: Steps,
        rate: Option<f64>,
        seconds: Option<f64>,
    },
}

/// Everything about painting.
#[derive(Clone, Copy)]
pub struct Painting {
    /// The easels of the last job, and what was finished on them.
    pub easels: RwSignal<Vec<Easel>>,
    /// The job in work.
    pub job: RwSignal<Option<JobId>>,
    pub phase: RwSignal<Phase>,
    clock: StoredValue<StepClock>,
    worker: Worker,
    notices: Notices,
    gallery: Gallery,
    form: Form,
    explanations: Explanations,
}

impl Painting {
    pub fn provide(
        worker: Worker,
        notices: Notices,
        gallery: Gallery,
        form: Form,
        explanations: Explanations,
    ) {
        provide_context(Self {
            easels: RwSignal::new(Vec::new()),
            job: RwSignal::new(None),
            phase: RwSignal::new(Phase::Waiting),
            clock: StoredValue::new(StepClock::default()),
            worker,
            notices,
            gallery,
            form,
            explanations,
        });
    }

    /// Paints what the form says; the pictures before go.
    pub fn start(self) {
        if self.job.get_untracked().is_some() {
            return;
        }
        let (recipe, choice) = (self.form.recipe.get_untracked(), self.form.choice.get_untracked());
        let job = self.worker.next_job();
        let easel = |index: u32, model: Model| Easel {
            job,
            model,
            index,
            seed: recipe.seed_of(index),
            state: ArcRwSignal::new(EaselState::Waiting),
        };
        let easels =
            (0..recipe.count).flat_map(|index| choice.models().iter().map(move |&model| easel(index, model)));
        self.explanations.drop_paintings();
        self.explanations.pause();
        self.easels.set(easels.collect());
        self.phase.set(Phase::Waiting);
        self.clock.set_value(StepClock::default());
        self.job.set(Some(job));
        self.notices.dismiss();
        self.notices.say("Painting begins.");
        let request = Request::Paint { job, recipe: recipe.clone(), choice };
        self.worker.run(job, &request, move |reply| self.receive(&recipe, reply));
    }

    pub fn cancel(self) {
        if let Some(job) = self.job.get_untracked() {
            self.worker.cancel(job);
        }
    }

    /// Takes a finished picture away; the gallery keeps it.
    pub fn remove(self, easel: &Easel) {
        self.easels.update(|easels| {
            easels.retain(|other| {
                (other.job, other.model, other.index) != (easel.job, easel.model, easel.index)
            });
        });
    }

    fn receive(self, recipe: &Recipe, reply: Reply) {
        match reply {
            Reply::Download { received, total, is_stored, .. } => {
                if !is_stored && !matches!(self.phase.get_untracked(), Phase::Download { .. }) {
                    self.notices.say("Downloading the models.");
                }
                self.phase.set(Phase::Download { received, total, is_stored });
            }
            Reply::Step { job, model, index, step, steps, preview } => {
                self.step(job, model, index, (step, steps), preview);
            }
            Reply::Painted { job, model, index, seed, pixels, png } => {
                let recipe = Recipe { seed, count: 1, ..recipe.clone() };
                self.finish_picture(
                    job,
                    index,
                    Picture { model, recipe, pixels, url: BlobUrl::of_png(&png), png },
                );
            }
            Reply::Finished { milliseconds, .. } => {
                if !self.form.locked.get_untracked() {
                    self.form.throw_dice();
                }
                self.end(format!("Finished after {}.", figures::duration(milliseconds / 1000.0)));
            }
            Reply::Cancelled { .. } => self.end("The painting is cancelled.".to_owned()),
            Reply::Failed { message, .. } => {
                self.notices.alert(message);
                self.end("The painting failed.".to_owned());
            }
            _ => {}
        }
    }

    fn step(self, job: JobId, model: Model, index: u32, (step, steps): (u32, u32), preview: Pixels) {
        let now = window().performance().map_or(0.0, |clock| clock.now());
        let clock = self.clock.try_update_value(|clock| {
            clock.step(now);
            clock.clone()
        });
        let clock = clock.unwrap_or_default();
        if let Some(easel) = self.easel(job, model, index) {
            easel.state.set(EaselState::InWork(step, preview));
        }
        let (finished, pictures) =
            self.easels.with_untracked(|easels| (finished(easels), easels.len() as u32));
        let steps = Steps { finished, pictures, step, steps };
        self.phase.set(Phase::Paint { steps, rate: clock.rate(), seconds: clock.seconds_for(steps.left()) });
    }

    fn finish_picture(self, job: JobId, index: u32, picture: Picture) {
        self.gallery.keep(&picture);
        let picture = Arc::new(picture);
        if let Some(easel) = self.easel(job, picture.model, index) {
            easel.state.set(EaselState::Finished(picture));
        }
        let (finished, all) = self.easels.with_untracked(|easels| (finished(easels), easels.len()));
        if (finished as usize) < all {
            self.notices.say(format!("Picture {finished} of {all} is finished."));
        }
    }

    fn end(self, milestone: String) {
        self.job.set(None);
        // What was not finished is not shown.
        self.easels.update(|easels| easels.retain(|easel| easel.state.with_untracked(is_finished)));
        self.notices.say(milestone);
        self.explanations.resume();
    }

    fn easel(self, job: JobId, model: Model, index: u32) -> Option<Easel> {
        self.easels.with_untracked(|easels| {
            let is_it = |easel: &&Easel| (easel.job, easel.model, easel.index) == (job, model, index);
            easels.iter().find(is_it).cloned()
        })
    }
}

const fn is_finished(state: &EaselState) -> bool {
    matches!(state, EaselState::Finished(_))
}

fn finished(easels: &[Easel]) -> u32 {
    easels.iter().filter(|easel| easel.state.with_untracked(is_finished)).count() as u32
}
