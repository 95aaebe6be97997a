//! Small pictures on a canvas, which the browser draws up smoothly.

use crate::logic::overlay;
use atelier_web_messages::{LeafReading, Pixels};
use leptos::{html::Canvas, prelude::*};
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// What a picture in work looks like.
#[component]
pub fn Preview(
    /// Steps done, and the picture after them.
    #[prop(into)]
    state: Signal<(u32, Option<Pixels>)>,
) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        state.with(|(_, pixels)| {
            if let Some(pixels) = pixels {
                draw(&canvas, &overlay::opaque(pixels), pixels.width, pixels.height);
            }
        });
    });
    let step = move || state.with(|(step, _)| step.to_string());
    view! { <canvas node_ref=canvas class="preview" role="img" aria-label="The picture so far" data-step=step></canvas> }
}

/// Where an attribute is read in a picture.
#[component]
pub fn LeafMap(
    /// The reading with its map.
    reading: RwSignal<LeafReading>,
) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        reading.with(|reading| {
            let [height, width] = reading.map_size;
            draw(&canvas, &overlay::coloured(&reading.map, width), width, height);
        });
    });
    view! { <canvas node_ref=canvas class="map" aria-hidden="true"></canvas> }
}

/// Gives `canvas` the size of the picture and its bytes. A picture whose bytes do not fit its size is left out.
fn draw(canvas: &HtmlCanvasElement, rgba: &[u8], width: u32, height: u32) {
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let context = canvas.get_context("2d").ok().flatten();
    let context = context.and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
    let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(rgba), width, height);
    if let (Some(context), Ok(image)) = (context, image) {
        // It fails for no picture of the canvas's own size.
        let _ = context.put_image_data(&image, 0.0, 0.0);
    }
}
