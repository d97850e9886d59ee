//! Lines, areas and text on an SVG page, in pixels with y pointing down.

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What a drawing operation can return.
pub(crate) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// Drawing units per pixel. The SVG backend rounds to whole units, which would show as stairs in a flat
/// curve.
const SCALE: f64 = 8.0;

/// Text and frames.
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
/// Secondary text.
pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);
/// Grid lines.
pub(crate) const PALE: RGBColor = RGBColor(225, 225, 225);

/// The palette of Okabe and Ito (2008), which people with any colour vision can tell apart, without its
/// yellow, which is too faint for lines on white.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Dash and gap in pixels; solid, dashed, dotted, long dashes.
const DASHES: [Option<(f64, f64)>; 4] = [None, Some((7.0, 3.0)), Some((2.0, 2.5)), Some((14.0, 4.0))];

/// The look of a line.
#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) color: RGBColor,
    pub(crate) width: f64,
    pub(crate) dash: Option<(f64, f64)>,
}

impl Stroke {
    /// A solid line.
    pub(crate) fn solid(color: RGBColor, width: f64) -> Stroke {
        Stroke { color, width, dash: None }
    }

    /// The look of the curve with this index: 28 different ones, as 7 colours and 4 dashes have no common
    /// factor.
    pub(crate) fn of_curve(index: usize) -> Stroke {
        Stroke { color: COLORS[index % COLORS.len()], width: 1.8, dash: DASHES[index % DASHES.len()] }
    }
}

/// The look of a text.
#[derive(Clone, Copy)]
pub(crate) struct Font {
    pub(crate) size: f64,
    pub(crate) color: RGBColor,
    pub(crate) bold: bool,
    pub(crate) horizontal: HPos,
    /// Read from bottom to top.
    pub(crate) upwards: bool,
}

impl Font {
    /// Text that starts at its position.
    pub(crate) fn left(size: f64, color: RGBColor) -> Font {
        Font { size, color, bold: false, horizontal: HPos::Left, upwards: false }
    }

    /// Text around its position.
    pub(crate) fn center(size: f64, color: RGBColor) -> Font {
        Font { horizontal: HPos::Center, ..Font::left(size, color) }
    }

    /// Text that ends at its position.
    pub(crate) fn right(size: f64, color: RGBColor) -> Font {
        Font { horizontal: HPos::Right, ..Font::left(size, color) }
    }
}

/// A page being drawn.
pub(crate) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a page of this size, on white so that it can be read in a dark viewer too, and returns the SVG.
pub(crate) fn draw_svg(
    (width, height): (f64, f64),
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let (wide, high) = ((width * SCALE) as u32, (height * SCALE) as u32);
    let mut svg = String::new();
    {
        let canvas = Canvas { area: SVGBackend::with_string(&mut svg, (wide, high)).into_drawing_area() };
        canvas.area.fill(&WHITE)?;
        draw(&canvas)?;
        canvas.area.present()?;
    }
    // The view box keeps the fine units, the page gets its size in pixels.
    let (fine, pixels) = (
        format!("width=\"{wide}\" height=\"{high}\" viewBox"),
        format!("width=\"{width}\" height=\"{height}\" viewBox"),
    );
    Ok(svg.replacen(&fine, &pixels, 1))
}

fn unit((x, y): (f64, f64)) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

fn style(color: impl Color, width: f64) -> ShapeStyle {
    color.stroke_width((width * SCALE) as u32)
}

impl Canvas<'_> {
    /// A line through all points.
    pub(crate) fn line(&self, points: &[(f64, f64)], stroke: Stroke) -> Result<(), DrawError> {
        let points: Vec<_> = points.iter().copied().map(unit).collect();
        let style = style(stroke.color, stroke.width);
        match stroke.dash {
            None => self.area.draw(&PathElement::new(points, style)),
            Some((dash, gap)) => {
                let (dash, gap) = ((dash * SCALE) as i32, (gap * SCALE) as i32);
                self.area.draw(&DashedPathElement::new(points, dash, gap, style))
            }
        }
    }

    /// A filled area, of this opacity.
    pub(crate) fn area(
        &self,
        corners: &[(f64, f64)],
        color: RGBColor,
        opacity: f64,
    ) -> Result<(), DrawError> {
        let corners: Vec<_> = corners.iter().copied().map(unit).collect();
        self.area.draw(&Polygon::new(corners, color.mix(opacity).filled()))
    }

    /// A filled circle, of this opacity.
    pub(crate) fn dot(
        &self,
        center: (f64, f64),
        radius: f64,
        color: RGBColor,
        opacity: f64,
    ) -> Result<(), DrawError> {
        let radius = (radius * SCALE) as i32;
        self.area.draw(&Circle::new(unit(center), radius, color.mix(opacity).filled()))
    }

    /// Text whose middle line runs through the position.
    pub(crate) fn text(&self, text: &str, position: (f64, f64), font: Font) -> Result<(), DrawError> {
        // The backend divides the size by this factor again.
        const BACKEND_FACTOR: f64 = 1.24;
        let slant = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
        let mut desc = FontDesc::new(FontFamily::SansSerif, font.size * SCALE * BACKEND_FACTOR, slant);
        if font.upwards {
            desc = desc.transform(FontTransform::Rotate270);
        }
        let style = TextStyle::from(desc).color(&font.color).pos(Pos::new(font.horizontal, VPos::Center));
        self.area.draw(&Text::new(text.to_string(), unit(position), style))
    }
}

/// Breaks a label into lines of at most `width` characters, between words where it can.
pub(crate) fn wrap(label: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in label.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let line = lines.last_mut().map_or(0, |line| line.chars().count());
            let space = usize::from(line > 0);
            if line + space + rest.len() <= width {
                if let Some(last) = lines.last_mut() {
                    last.extend(std::iter::repeat_n(' ', space).chain(rest.drain(..)));
                }
            } else if line > 0 {
                lines.push(String::new());
            } else {
                let head: String = rest.drain(..width.max(1)).collect();
                if let Some(last) = lines.last_mut() {
                    last.push_str(&head);
                }
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_between_words_and_within_long_ones() {
        assert_eq!(wrap("mlp 512-256, none", 40), ["mlp 512-256, none"]);
        assert_eq!(wrap("mlp 512-256, none", 12), ["mlp 512-256,", "none"]);
        assert_eq!(wrap("a abcdefgh", 3), ["a", "abc", "def", "gh"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn the_page_is_white_and_has_its_size_in_pixels() {
        let svg = draw_svg((100.0, 50.0), |canvas| {
            canvas.text("a < b", (50.0, 25.0), Font::center(12.0, INK))?;
            canvas.line(&[(0.0, 0.0), (100.0, 50.0)], Stroke::of_curve(1))
        })
        .unwrap();
        assert!(svg.starts_with("<svg width=\"100\" height=\"50\" viewBox=\"0 0 800 400\""), "{svg}");
        assert!(svg.contains("fill=\"#FFFFFF\"") && svg.contains("a &lt; b"), "{svg}");
        assert!(svg.matches("<polyline").count() > 5, "dashes: {svg}");
    }
}
