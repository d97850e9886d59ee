//! Plots as SVG that follows a viewer's light or dark colours.

mod axis;
pub(crate) mod bars;
pub(crate) mod cosines;
pub(crate) mod heat_map;
pub(crate) mod lines;
pub(crate) mod scatter;
pub(crate) mod svg;

pub(crate) use svg::{STYLE, Svg};
