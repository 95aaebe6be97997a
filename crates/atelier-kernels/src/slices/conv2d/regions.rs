//! The output of a convolution, divided among tasks.

use super::geometry::split;
use std::ops::Range;

/// Some output channels of some rows of some pictures.
pub struct Region<'a> {
    pub pictures: Range<usize>,
    pub rows: Range<usize>,
    pub channels: Range<usize>,
    /// The rows of every picture and channel.
    pub output: Vec<&'a mut [f32]>,
}

/// `output` `[batch, channels, size]` in regions of as many pictures, rows and channels each as `each` says.
pub fn regions<'a>(
    output: &'a mut [f32],
    batch: usize,
    channels: usize,
    [height, width]: [usize; 2],
    [pictures, rows, channels_each]: [usize; 3],
) -> Vec<Region<'a>> {
    let mut planes = output.chunks_exact_mut(height * width);
    let mut regions = Vec::new();
    for pictures in split(&(0..batch), pictures) {
        let mut group = Vec::new();
        for rows in split(&(0..height), rows) {
            for channels in split(&(0..channels), channels_each) {
                let (pictures, rows) = (pictures.clone(), rows.clone());
                group.push(Region { pictures, rows, channels, output: Vec::new() });
            }
        }
        for _ in pictures {
            for channel in 0..channels {
                let mut plane = planes.next().unwrap_or_default();
                for region in group.iter_mut().filter(|region| region.channels.contains(&channel)) {
                    let (part, rest) = plane.split_at_mut(region.rows.len() * width);
                    region.output.push(part);
                    plane = rest;
                }
            }
        }
        regions.extend(group);
    }
    regions
}
