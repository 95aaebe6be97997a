//! The explanations of all pictures, and what is read next.

use super::super::{
    alert::Notices,
    blob::BlobUrl,
    painting::{Picture, model_name},
    worker::Worker,
};
use crate::logic::{
    caption,
    decisiveness::{self, Rank},
    explain_queue::{ExplainQueue, Task},
};
use atelier_criteria::{CriteriaTree, Leaf};
use atelier_web_messages::{
    ExplainedPicture, JobId, LeafPhrases, LeafReading, Model, Pixels, Reply, Request,
};
use leptos::prelude::*;
use std::{sync::Arc, time::Duration};

/// How often the list is sorted while readings arrive.
const SORTING: Duration = Duration::from_millis(700);

/// Which pictures are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Those that a job painted from one seed.
    Painted { job: JobId, index: u32 },
    /// The one that was uploaded.
    Uploaded,
}

/// A picture that is explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    pub place: Place,
    /// Who painted it, if that is known.
    pub model: Option<Model>,
    pub name: String,
    pub url: BlobUrl,
    pub picture: ExplainedPicture,
}

impl Subject {
    /// A picture that a job painted.
    pub fn painted(job: JobId, index: u32, picture: &Picture) -> Self {
        Self {
            place: Place::Painted { job, index },
            model: Some(picture.model),
            name: model_name(picture.model).to_owned(),
            url: picture.url.clone(),
            picture: ExplainedPicture {
                pixels: picture.pixels.clone(),
                caption: caption::caption(&picture.recipe.prompt),
            },
        }
    }

    /// A picture of the visitor; `caption` is what it shows, if the visitor said so.
    pub fn uploaded(url: BlobUrl, pixels: Pixels, caption: String) -> Self {
        Self {
            place: Place::Uploaded,
            model: None,
            name: "Your picture".to_owned(),
            url,
            picture: ExplainedPicture { pixels, caption },
        }
    }

    /// The word of HTML attributes.
    pub const fn key(&self) -> &'static str {
        match self.model {
            Some(model) => model.key(),
            None => "upload",
        }
    }
}

/// How far an explanation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    /// Bytes of the models arrive: received and total.
    Download(u64, u64),
    /// Parts that are done, and all parts at the most.
    Reading(u32, u32),
    Done,
    /// The reader stopped it, or it failed.
    Stopped,
}

/// The explanation of one picture.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub id: u32,
    pub subject: Arc<Subject>,
    pub stage: ArcRwSignal<Stage>,
    /// What was read, in the order of its arrival.
    pub readings: ArcRwSignal<Vec<LeafState>>,
    /// Places of leaves in the tree, the most decisive reading first.
    pub order: ArcRwSignal<Vec<usize>>,
    /// Places of leaves that the reader asked for, the last one first.
    pub asked: ArcRwSignal<Vec<usize>>,
    taught: ArcRwSignal<Vec<String>>,
    /// Whether the list is going to be sorted.
    sorting: ArcRwSignal<bool>,
}

/// The reading of one leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafState {
    /// The leaf's place in the tree.
    pub leaf: usize,
    pub reading: ArcRwSignal<LeafReading>,
}

impl Explanation {
    fn new(id: u32, subject: Subject) -> Self {
        Self {
            id,
            subject: Arc::new(subject),
            stage: ArcRwSignal::new(Stage::Waiting),
            readings: ArcRwSignal::default(),
            order: ArcRwSignal::default(),
            asked: ArcRwSignal::default(),
            taught: ArcRwSignal::default(),
            sorting: ArcRwSignal::new(false),
        }
    }

    /// What was read of a leaf.
    pub fn reading(&self, leaf: usize) -> Option<ArcRwSignal<LeafReading>> {
        self.readings.with(|readings| {
            readings.iter().find(|state| state.leaf == leaf).map(|state| state.reading.clone())
        })
    }

    /// Something of every reading; whoever calls it in a memo follows all of them.
    pub fn each<T>(&self, map: impl Fn(usize, &LeafReading) -> T) -> Vec<T> {
        self.readings.with(|readings| {
            readings.iter().map(|state| state.reading.with(|reading| map(state.leaf, reading))).collect()
        })
    }

    pub fn is_done(&self) -> bool {
        self.stage.get() == Stage::Done
    }

    fn sort(&self) {
        let ranks = untrack(|| {
            self.each(|leaf, reading| Rank {
                leaf,
                probability: reading.probability,
                error: reading.probability_error,
            })
        });
        let order = decisiveness::most_decisive_first(ranks);
        if self.order.with_untracked(|old| *old != order) {
            self.order.set(order);
        }
    }

    /// What is left of `task`: the leaves whose side is not certain.
    fn rest(&self, task: Task) -> Option<Task> {
        untrack(|| {
            let all = if task.leaves.is_empty() { self.taught.get() } else { task.leaves.clone() };
            if all.is_empty() {
                return Some(task);
            }
            let tree = CriteriaTree::embedded();
            let certain = self.each(|leaf, reading| reading.certain.then_some(leaf));
            let is_open = |id: &String| !certain.contains(&tree.leaf_index(id));
            let leaves: Vec<String> = all.into_iter().filter(is_open).collect();
            (!leaves.is_empty()).then_some(Task { leaves, ..task })
        })
    }
}

/// Everything about explanations.
#[derive(Clone, Copy)]
pub struct Explanations {
    all: RwSignal<Vec<Explanation>>,
    /// The painted pictures that are looked at.
    open: RwSignal<Option<Place>>,
    /// The leaf under the pointer, and the one with the focus.
    pub hovered: RwSignal<Option<usize>>,
    pub focused: RwSignal<Option<usize>>,
    /// Whether the list is being read, so that it should stand still.
    pub held: RwSignal<bool>,
    queue: StoredValue<ExplainQueue>,
    ids: StoredValue<u32>,
    worker: Worker,
    notices: Notices,
}

impl Explanations {
    pub fn provide(worker: Worker, notices: Notices) -> Self {
        let explanations = Self {
            all: RwSignal::new(Vec::new()),
            open: RwSignal::new(None),
            hovered: RwSignal::new(None),
            focused: RwSignal::new(None),
            held: RwSignal::new(false),
            queue: StoredValue::new(ExplainQueue::default()),
            ids: StoredValue::new(0),
            worker,
            notices,
        };
        provide_context(explanations);
        explanations
    }

    /// The explanations of one place, base before aligned.
    pub fn at(self, place: Place) -> Vec<Explanation> {
        let mut found: Vec<Explanation> = self.all.with(|all| {
            all.iter().filter(|explanation| explanation.subject.place == place).cloned().collect()
        });
        found.sort_by_key(|explanation| explanation.subject.model);
        found
    }

    /// The painted pictures that are looked at.
    pub fn open_place(self) -> Option<Place> {
        self.open.get()
    }

    /// The leaf whose maps are shown.
    pub fn shown(self) -> Option<usize> {
        self.hovered.get().or_else(|| self.focused.get())
    }

    /// Begins to explain a picture, or shows what is known of it.
    pub fn explain(self, subject: Subject) {
        self.open.set(Some(subject.place));
        let known = self.all.with_untracked(|all| {
            let is_it = |known: &&Explanation| *known.subject == subject;
            all.iter().find(is_it).cloned()
        });
        if known.is_none() && subject.place == Place::Uploaded {
            self.drop_upload();
        }
        let task = match known {
            Some(known) if known.stage.get_untracked() == Stage::Stopped => {
                let all = Task { explanation: known.id, leaves: Vec::new(), asked: false };
                known.stage.set(Stage::Waiting);
                known.rest(all)
            }
            Some(_) => None,
            None => {
                let id = self.ids.try_update_value(|ids| {
                    *ids += 1;
                    *ids
                });
                let id = id.unwrap_or_default();
                self.all.update(|all| all.push(Explanation::new(id, subject)));
                Some(Task { explanation: id, leaves: Vec::new(), asked: false })
            }
        };
        if let Some(task) = task {
            self.push(task);
        }
    }

    /// Reads a leaf in all pictures of a place, before anything else.
    pub fn ask(self, place: Place, leaf: usize) {
        let tree = CriteriaTree::embedded();
        for explanation in untrack(|| self.at(place)) {
            explanation.asked.update(|asked| {
                asked.retain(|other| *other != leaf);
                asked.insert(0, leaf);
            });
            let is_read = untrack(|| explanation.reading(leaf)).is_some();
            if !is_read {
                let leaves = vec![tree.leaves()[leaf].id.clone()];
                self.push(Task { explanation: explanation.id, leaves, asked: true });
            }
        }
    }

    pub fn stop(self, explanation: &Explanation) {
        explanation.stage.set(Stage::Stopped);
        self.cancel(self.with_queue(|queue| queue.drop_explanation(explanation.id)));
    }

    /// Forgets the explanations of painted pictures.
    pub fn drop_paintings(self) {
        self.drop_where(|place| place != Place::Uploaded);
        self.open.set(None);
    }

    /// Forgets the explanation of the uploaded picture.
    pub fn drop_upload(self) {
        self.drop_where(|place| place == Place::Uploaded);
    }

    fn drop_where(self, is_dropped: impl Fn(Place) -> bool) {
        let dropped: Vec<Explanation> = self.all.with_untracked(|all| {
            all.iter().filter(|explanation| is_dropped(explanation.subject.place)).cloned().collect()
        });
        if dropped.is_empty() {
            return;
        }
        self.all.update(|all| all.retain(|explanation| !is_dropped(explanation.subject.place)));
        for explanation in dropped {
            self.stop(&explanation);
        }
    }

    /// Lets a painting pass.
    pub fn pause(self) {
        self.cancel(self.with_queue(ExplainQueue::pause));
    }

    pub fn resume(self) {
        self.with_queue(|queue| {
            queue.resume();
            None
        });
        self.hand_over();
    }

    fn push(self, task: Task) {
        self.cancel(self.with_queue(|queue| queue.push(task)));
        self.hand_over();
    }

    fn with_queue(self, change: impl FnOnce(&mut ExplainQueue) -> Option<JobId>) -> Option<JobId> {
        self.queue.try_update_value(change).flatten()
    }

    fn cancel(self, job: Option<JobId>) {
        if let Some(job) = job {
            self.worker.cancel(job);
        }
    }

    /// Gives the worker its next task.
    fn hand_over(self) {
        let job = self.worker.next_job();
        let Some(task) = self.queue.try_update_value(|queue| queue.next(job)).flatten() else { return };
        let Some(explanation) = self.find(task.explanation) else { return };
        explanation.stage.set(Stage::Reading(0, 0));
        let picture = explanation.subject.picture.clone();
        let only_taught = task.leaves.is_empty();
        let leaves = phrases(&task.leaves);
        let request = Request::Explain { job, picture, leaves, only_taught };
        self.worker.run(job, &request, move |reply| self.receive(job, &explanation, reply));
    }

    fn find(self, id: u32) -> Option<Explanation> {
        self.all.with_untracked(|all| all.iter().find(|explanation| explanation.id == id).cloned())
    }

    fn receive(self, job: JobId, explanation: &Explanation, reply: Reply) {
        match reply {
            Reply::Download { received, total, .. } => {
                explanation.stage.set(Stage::Download(received, total));
            }
            Reply::Taught { leaves, .. } => {
                explanation.taught.set(leaves);
            }
            Reply::Leaf { reading, done, total, .. } => {
                explanation.stage.set(Stage::Reading(done, total));
                self.read(explanation, reading);
            }
            Reply::Finished { .. } => {
                let _ = self.queue.try_update_value(|queue| queue.ended(job));
                self.finish(explanation);
            }
            Reply::Cancelled { .. } => {
                let rest = self.queue.try_update_value(|queue| queue.ended(job)).flatten();
                match rest.and_then(|task| explanation.rest(task)) {
                    Some(rest) => {
                        explanation.stage.set(Stage::Waiting);
                        self.push(rest);
                    }
                    None if explanation.stage.get_untracked() != Stage::Stopped => self.finish(explanation),
                    None => self.hand_over(),
                }
            }
            Reply::Failed { message, .. } => {
                let _ = self.queue.try_update_value(|queue| queue.ended(job));
                explanation.stage.set(Stage::Stopped);
                self.notices.alert(message);
                self.hand_over();
            }
            _ => {}
        }
    }

    fn finish(self, explanation: &Explanation) {
        explanation.sort();
        let has_more = self.queue.with_value(|queue| queue.has(explanation.id));
        explanation.stage.set(if has_more { Stage::Waiting } else { Stage::Done });
        if !has_more {
            self.notices.say(format!("{} is explained.", explanation.subject.name));
        }
        self.hand_over();
    }

    fn read(self, explanation: &Explanation, reading: LeafReading) {
        let Some(leaf) = CriteriaTree::embedded().leaf_index(&reading.leaf) else { return };
        if let Some(known) = untrack(|| explanation.reading(leaf)) {
            // A task that was interrupted begins anew; until it is further than before, the old reading is the better one.
            if known.with_untracked(|known| known.draws <= reading.draws) {
                known.set(reading);
            }
        } else {
            let reading = ArcRwSignal::new(reading);
            explanation.readings.update(|readings| readings.push(LeafState { leaf, reading }));
            explanation.order.update(|order| order.push(leaf));
        }
        if !explanation.sorting.get_untracked() {
            explanation.sorting.set(true);
            self.sort_soon(explanation.clone());
        }
    }

    /// Sorts the list after a while; as long as somebody reads it, it stands still.
    fn sort_soon(self, explanation: Explanation) {
        set_timeout(
            move || {
                if self.held.get_untracked() {
                    self.sort_soon(explanation);
                } else {
                    explanation.sorting.set(false);
                    explanation.sort();
                }
            },
            SORTING,
        );
    }
}

/// The leaves with these ids as the worker needs them; all if there is none.
fn phrases(ids: &[String]) -> Vec<LeafPhrases> {
    let leaves = CriteriaTree::embedded().leaves().iter();
    let chosen = leaves.filter(|leaf| ids.is_empty() || ids.contains(&leaf.id));
    let of = |leaf: &Leaf| LeafPhrases {
        id: leaf.id.clone(),
        positive: leaf.positive.phrase.clone(),
        negative: leaf.negative.phrase.clone(),
    };
    chosen.map(of).collect()
}
