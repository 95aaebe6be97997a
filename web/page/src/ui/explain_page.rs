//! Reading attributes in a picture of the visitor.

use super::{
    alert::Notices,
    blob::BlobUrl,
    explanation::{Explanations, Subject, UploadedExplanation},
    worker::{Worker, describe},
};
use atelier_web_messages::{Pixels, Reply, Request};
use js_sys::Uint8Array;
use leptos::{ev, html::Input, prelude::*};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ClipboardEvent, DataTransfer, DragEvent, File, FileList};

/// Larger files than any camera writes: reading them would only fill the memory.
const MAX_MEGABYTES: f64 = 64.0;

/// The picture that was uploaded last.
#[derive(Clone, Copy)]
pub struct Uploads {
    picture: RwSignal<Option<Upload>>,
    /// What it shows, in the visitor's words.
    caption: RwSignal<String>,
    is_opening: RwSignal<bool>,
    worker: Worker,
    notices: Notices,
    explanations: Explanations,
}

#[derive(Clone)]
struct Upload {
    url: BlobUrl,
    pixels: Pixels,
}

impl Uploads {
    pub fn provide(worker: Worker, notices: Notices, explanations: Explanations) {
        provide_context(Self {
            picture: RwSignal::new(None),
            caption: RwSignal::new(String::new()),
            is_opening: RwSignal::new(false),
            worker,
            notices,
            explanations,
        });
    }

    /// Opens the first of `files`.
    fn open(self, files: Option<FileList>) {
        let Some(file) = files.and_then(|files| files.get(0)) else { return };
        if file.size() > MAX_MEGABYTES * 1e6 {
            let size = file.size() / 1e6;
            return self.notices.alert(format!(
                "{} has {size:.0} MB, and at most {MAX_MEGABYTES:.0} MB can be opened: choose a smaller picture.",
                file.name()
            ));
        }
        self.is_opening.set(true);
        leptos::task::spawn_local(async move {
            match bytes(&file).await {
                Ok(bytes) => self.send(bytes),
                Err(reason) => {
                    self.is_opening.set(false);
                    self.notices.alert(format!("{} could not be read: {reason}.", file.name()));
                }
            }
        });
    }

    fn send(self, bytes: Vec<u8>) {
        let job = self.worker.next_job();
        self.worker.run(job, &Request::OpenPicture { job, bytes }, move |reply| {
            self.is_opening.set(false);
            match reply {
                Reply::Opened { pixels, png, .. } => {
                    self.explanations.drop_upload();
                    self.caption.set(String::new());
                    self.picture.set(Some(Upload { url: BlobUrl::of_png(&png), pixels }));
                    self.notices.dismiss();
                    self.notices.say("The picture is open.");
                }
                Reply::Failed { message, .. } => self.notices.alert(message),
                _ => {}
            }
        });
    }

    fn explain(self) {
        if let Some(Upload { url, pixels }) = self.picture.get_untracked() {
            let caption = self.caption.get_untracked().trim().to_owned();
            self.explanations.explain(Subject::uploaded(url, pixels, caption));
        }
    }
}

async fn bytes(file: &File) -> Result<Vec<u8>, String> {
    let buffer = JsFuture::from(file.array_buffer()).await.map_err(|error| describe(&error))?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

#[component]
pub fn ExplainPage() -> impl IntoView {
    let uploads: Uploads = expect_context();
    let paste = window_event_listener(ev::paste, move |event: ClipboardEvent| {
        uploads.open(event.clipboard_data().and_then(|data: DataTransfer| data.files()));
    });
    on_cleanup(move || paste.remove());
    view! {
        <div class="reading-room">
            <header class="lead">
                <h2>"Explain a picture of your own"</h2>
                <p>
                    "A photograph of a painting works best. It is cropped to a square, made as small as the model's own pictures, and read. "
                    <strong>"It never leaves your browser."</strong>
                </p>
            </header>
            <DropZone />
            <Uploaded />
            <UploadedExplanation />
        </div>
    }
}

#[component]
fn DropZone() -> impl IntoView {
    let uploads: Uploads = expect_context();
    let input = NodeRef::<Input>::new();
    let is_over = RwSignal::new(false);
    let on_change = move |_| {
        if let Some(input) = input.get_untracked() {
            uploads.open(input.files());
            // Lets the same file be chosen again.
            input.set_value("");
        }
    };
    let on_drop = move |event: DragEvent| {
        event.prevent_default();
        is_over.set(false);
        uploads.open(event.data_transfer().and_then(|data| data.files()));
    };
    view! {
        <div
            id="drop-zone"
            class:over=is_over
            on:dragover=move |event: DragEvent| {
                event.prevent_default();
                is_over.set(true);
            }
            on:dragleave=move |_| is_over.set(false)
            on:drop=on_drop
        >
            <label for="upload">"Choose a picture"</label>
            <input node_ref=input id="upload" type="file" accept="image/png,image/jpeg,image/webp" on:change=on_change />
            <p class="hint">
                {move || {
                    if uploads.is_opening.get() { "Opening …" } else { "or drop it here, or paste it. PNG, JPEG or WebP." }
                }}
            </p>
        </div>
    }
}

#[component]
fn Uploaded() -> impl IntoView {
    let uploads: Uploads = expect_context();
    move || {
        uploads.picture.get().map(|upload| {
            view! {
                <figure class="uploaded">
                    <div class="plate"><img src=upload.url.get() alt="Your picture, as the model sees it" /></div>
                    <figcaption>
                        <div class="field">
                            <label for="upload-caption">"What does it show? (You may leave this empty.)"</label>
                            <input
                                id="upload-caption"
                                type="text"
                                maxlength="200"
                                placeholder="a landscape with a river and tall trees at dawn"
                                prop:value=move || uploads.caption.get()
                                on:input=move |event| uploads.caption.set(event_target_value(&event))
                            />
                        </div>
                        <button class="explain primary" type="button" on:click=move |_| uploads.explain()>"Explain"</button>
                    </figcaption>
                </figure>
            }
        })
    }
}
