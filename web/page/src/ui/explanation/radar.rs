//! The radar chart: seven dimensions at a glance, base against aligned.

use super::state::{Explanation, Explanations, Place};
use crate::logic::radar::{self, Reading};
use atelier_criteria::CriteriaTree;
use leptos::prelude::*;

/// The distance of full marks from the middle.
const RADIUS: f64 = 100.0;

#[component]
pub fn Radar(place: Place) -> impl IntoView {
    let explanations: Explanations = expect_context();
    let tree = CriteriaTree::embedded();
    let count = tree.dimensions().len();
    let scores = Memo::new(move |_| {
        let of = |explanation: &Explanation| {
            let readings = explanation.each(|leaf, reading| Reading {
                leaf,
                probability: reading.probability,
                certain: reading.certain,
            });
            (explanation.subject.key(), explanation.subject.name.clone(), radar::scores(tree, &readings))
        };
        explanations.at(place).iter().map(of).collect::<Vec<_>>()
    });
    let rings = [0.25, 0.5, 0.75, 1.0].map(|share| {
        let ring = radar::polygon(&vec![Some(share); count], RADIUS);
        view! { <polygon class="ring" class:middle={share == 0.5} points=ring></polygon> }
    });
    let axes = (0..count).map(|index| {
        let (x, y) = radar::point(index, count, RADIUS);
        view! { <line class="axis" x1="0" y1="0" x2=format!("{x:.2}") y2=format!("{y:.2}")></line> }
    });
    let labels = tree.dimensions().iter().enumerate().map(|(index, dimension)| {
        let (x, y) = radar::point(index, count, RADIUS + 12.0);
        let anchor = if x.abs() < 1.0 {
            "middle"
        } else if x > 0.0 {
            "start"
        } else {
            "end"
        };
        // Two lines: "Brushstroke and Texture" is wide.
        let lines: Vec<String> = match dimension.name.split_once(" and ") {
            Some((first, second)) => vec![format!("{first}"), format!("and {second}")],
            None => vec![dimension.name.clone()],
        };
        let first = y + 4.0 - 6.5 * (lines.len() as f64 - 1.0);
        let lines = lines.into_iter().enumerate().map(|(line, text)| {
            let y = first + 13.0 * line as f64;
            view! { <tspan x=format!("{x:.2}") y=format!("{y:.2}")>{text}</tspan> }
        });
        view! { <text text-anchor=anchor>{lines.collect::<Vec<_>>()}</text> }
    });
    let areas = move || {
        let area = |(key, _, scores): (&'static str, String, Vec<Option<f64>>)| {
            let points = scores.iter().enumerate().map(|(index, score)| {
                let (x, y) = radar::point(index, count, RADIUS * score.unwrap_or(0.5));
                let class = if score.is_some() { "known" } else { "unknown" };
                view! { <circle class=class cx=format!("{x:.2}") cy=format!("{y:.2}") r="2.5"></circle> }
            });
            view! {
                <g class="area" data-model=key>
                    <polygon points=radar::polygon(&scores, RADIUS)></polygon>
                    {points.collect::<Vec<_>>()}
                </g>
            }
        };
        scores.get().into_iter().map(area).collect::<Vec<_>>()
    };
    let spoken = move || {
        let one = |(_, name, scores): (&'static str, String, Vec<Option<f64>>)| {
            format!("{name}: {}", radar::spoken(tree, &scores))
        };
        let parts: Vec<String> = scores.get().into_iter().map(one).collect();
        format!("The seven dimensions. {}", parts.join(". "))
    };
    let key = move || {
        let entry = |(key, name, _): (&'static str, String, _)| view! { <li data-model=key>{name}</li> };
        scores.get().into_iter().map(entry).collect::<Vec<_>>()
    };
    view! {
        <figure class="radar-figure">
            <svg class="radar" viewBox="-200 -132 400 262" role="img" aria-label=spoken>
                {rings.to_vec()} {axes.collect::<Vec<_>>()} {areas} {labels.collect::<Vec<_>>()}
            </svg>
            <figcaption>
                <ul class="key">{key}</ul>
                <p class="hint">"Outside: the good side of everything that is certain. The dark ring: in balance."</p>
            </figcaption>
        </figure>
    }
}
