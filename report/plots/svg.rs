//! Lines, areas and text on an SVG drawing, in pixels with y pointing down.
//!
//! Colours are classes of a style sheet, which has a value of each for light and for dark viewers.

use std::fmt::Write;

/// The style sheet of all drawings; a page with drawings in its text has it once.
pub(crate) const STYLE: &str = include_str!("style.css");

/// A colour by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// Text and frames.
    Ink,
    /// Secondary text.
    Muted,
    /// Grid lines.
    Grid,
    /// The colour of the paper: an outline that sets a mark off from what is below.
    Page,
    /// One of seven that people with any colour vision can tell apart: those of Okabe and Ito (2008) without their
    /// yellow, which is too faint for lines on white, and with white for black in the dark.
    Series(usize),
    /// The same in light and dark: red, green, blue.
    Fixed([u8; 3]),
}

/// Colours for series.
const SERIES: usize = 7;

/// Dash and gap in pixels; solid, dashed, dotted, long dashes.
const DASHES: [Option<(f64, f64)>; 4] = [None, Some((7.0, 3.0)), Some((2.0, 2.5)), Some((14.0, 4.0))];

impl Color {
    fn attributes(self, property: &str) -> String {
        let class = match self {
            Color::Ink => "ink",
            Color::Muted => "muted",
            Color::Grid => "grid",
            Color::Page => "page",
            Color::Series(index) => ["s0", "s1", "s2", "s3", "s4", "s5", "s6"][index % SERIES],
            Color::Fixed([r, g, b]) => return format!("{property}=\"#{r:02x}{g:02x}{b:02x}\""),
        };
        format!("class=\"{class}\" {property}=\"currentColor\"")
    }
}

/// The look of a line.
#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) color: Color,
    pub(crate) width: f64,
    pub(crate) dash: Option<(f64, f64)>,
}

impl Stroke {
    /// A solid line.
    pub(crate) fn solid(color: Color, width: f64) -> Stroke {
        Stroke { color, width, dash: None }
    }

    /// The look of the series with this index: 28 different ones, as 7 colours and 4 dashes have no common factor.
    pub(crate) fn of_series(index: usize) -> Stroke {
        Stroke { color: Color::Series(index), width: 1.9, dash: DASHES[index % DASHES.len()] }
    }
}

/// Which end of a text lies at its position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// The look of a text.
#[derive(Clone, Copy)]
pub(crate) struct Font {
    size: f64,
    color: Color,
    anchor: Anchor,
    bold: bool,
    upwards: bool,
}

impl Font {
    /// Text that starts at its position.
    pub(crate) fn left(size: f64, color: Color) -> Font {
        Font { size, color, anchor: Anchor::Start, bold: false, upwards: false }
    }

    /// Text around its position.
    pub(crate) fn center(size: f64, color: Color) -> Font {
        Font { anchor: Anchor::Middle, ..Font::left(size, color) }
    }

    /// Text that ends at its position.
    pub(crate) fn right(size: f64, color: Color) -> Font {
        Font { anchor: Anchor::End, ..Font::left(size, color) }
    }

    pub(crate) fn bold(self) -> Font {
        Font { bold: true, ..self }
    }

    /// Read from bottom to top.
    pub(crate) fn upwards(self) -> Font {
        Font { upwards: true, ..self }
    }
}

/// A drawing.
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// A hundredth of a pixel is fine enough, and short.
fn number(value: f64) -> String {
    // Adding zero makes a rounded -0 a 0.
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    rounded.to_string()
}

fn points(points: &[(f64, f64)]) -> String {
    points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect::<Vec<_>>().join(" ")
}

/// A text with the five characters replaced that mean something in XML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in crate::text::plain(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

impl Svg {
    /// An empty drawing of this size.
    pub(crate) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = writeln!(self.body, "{element}");
    }

    /// A line through all points.
    pub(crate) fn line(&mut self, line: &[(f64, f64)], stroke: Stroke) {
        let dash =
            stroke.dash.map(|(dash, gap)| format!(" stroke-dasharray=\"{dash} {gap}\"")).unwrap_or_default();
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" {} stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}/>",
            points(line),
            stroke.color.attributes("stroke"),
            stroke.width
        ));
    }

    /// Level lines from x to x at a y, all of one look, as one element.
    pub(crate) fn level_lines(&mut self, lines: &[[f64; 3]], stroke: Stroke) {
        let line =
            |&[from, to, y]: &[f64; 3]| format!("M{} {}h{}", number(from), number(y), number(to - from));
        self.push(format_args!(
            "<path d=\"{}\" {} stroke-width=\"{}\" shape-rendering=\"crispEdges\"/>",
            lines.iter().map(line).collect::<String>(),
            stroke.color.attributes("stroke"),
            stroke.width
        ));
    }

    /// A filled area.
    pub(crate) fn area(&mut self, corners: &[(f64, f64)], color: Color, opacity: f64) {
        self.push(format_args!(
            "<polygon points=\"{}\" {} fill-opacity=\"{opacity}\"/>",
            points(corners),
            color.attributes("fill")
        ));
    }

    /// A filled rectangle between two corners.
    pub(crate) fn rectangle(
        &mut self,
        (x0, y0): (f64, f64),
        (x1, y1): (f64, f64),
        color: Color,
        opacity: f64,
    ) {
        self.area(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, opacity);
    }

    /// A filled circle.
    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, color: Color, opacity: f64) {
        self.push(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" {} fill-opacity=\"{opacity}\"/>",
            number(x),
            number(y),
            color.attributes("fill")
        ));
    }

    /// A diamond in this colour with an outline that sets it off.
    pub(crate) fn diamond(&mut self, (x, y): (f64, f64), radius: f64, color: Color) {
        let corners = |r: f64| [(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
        self.area(&corners(radius + 2.0), Color::Page, 1.0);
        self.area(&corners(radius), color, 1.0);
    }

    /// The mark of the series with this index, of the same colours as its line: seven colours and four shapes.
    pub(crate) fn mark(&mut self, (x, y): (f64, f64), index: usize) {
        let (color, opacity) = (Color::Series(index), 0.75);
        match index % 4 {
            0 => self.dot((x, y), 4.0, color, opacity),
            1 => self.rectangle((x - 3.6, y - 3.6), (x + 3.6, y + 3.6), color, opacity),
            2 => self.area(&[(x - 4.6, y + 3.6), (x, y - 4.6), (x + 4.6, y + 3.6)], color, opacity),
            _ => self.area(&[(x - 4.8, y), (x, y - 4.8), (x + 4.8, y), (x, y + 4.8)], color, opacity),
        }
    }

    /// Text whose middle line runs through the position.
    pub(crate) fn text(&mut self, text: &str, (x, y): (f64, f64), font: Font) {
        let anchor = match font.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if font.bold { " font-weight=\"600\"" } else { "" };
        let (x, y) = (number(x), number(y));
        let turn = if font.upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        // A third of the size lowers the base line to where capitals are centred; not every viewer knows
        // `dominant-baseline`.
        let drop = number(font.size * 0.35);
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"{drop}\" font-size=\"{}\" text-anchor=\"{anchor}\" {}{weight}{turn}>{}</text>",
            font.size,
            font.color.attributes("fill"),
            escape(text)
        ));
    }

    /// What `draw` draws, cut off at the edges of a rectangle.
    pub(crate) fn clipped(
        &mut self,
        (x0, y0): (f64, f64),
        (x1, y1): (f64, f64),
        draw: impl FnOnce(&mut Svg),
    ) {
        // An inner drawing hides what lies outside it, and needs no name as a clip path does: names would meet where
        // several drawings share a page.
        let mut inner = Svg::new(x1 - x0, y1 - y0);
        draw(&mut inner);
        let [x, y, width, height] = [x0, y0, x1 - x0, y1 - y0].map(number);
        self.push(format_args!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" viewBox=\"{x} {y} {width} {height}\" \
             overflow=\"hidden\">\n{}</svg>",
            inner.body
        ));
    }

    /// A title in bold of as many lines as it needs, and the height they take.
    pub(crate) fn title(&mut self, title: &str, left: f64) -> f64 {
        let lines = wrap(title, ((self.width - left - 20.0) / 8.5) as usize);
        for (index, line) in lines.iter().enumerate() {
            self.text(line, (left, 24.0 + index as f64 * 20.0), Font::left(15.0, Color::Ink).bold());
        }
        24.0 + lines.len() as f64 * 20.0
    }

    /// As a part of a page that has [`STYLE`].
    pub(crate) fn inline(&self, label: &str) -> String {
        format!("{}{}</svg>\n", self.open(label), self.body)
    }

    /// As a file that stands for itself, on the colour of a page.
    pub(crate) fn file(&self, label: &str) -> String {
        let page = Color::Page.attributes("fill");
        format!(
            "{}<style>\n{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" {page}/>\n{}</svg>\n",
            self.open(label),
            self.body
        )
    }

    fn open(&self, label: &str) -> String {
        let [width, height] = [self.width, self.height].map(number);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n",
            escape(label)
        )
    }
}

/// Pixels that a text of this size takes at most, near enough for leaving room.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.58
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
    fn a_file_has_its_style_and_a_part_of_a_page_has_not() {
        let mut svg = Svg::new(100.0, 50.5);
        svg.text("a < b & c", (50.0, 25.0), Font::center(12.0, Color::Ink));
        svg.line(&[(0.0, 0.0), (100.0, -0.004)], Stroke::of_series(8));
        let (file, inline) = (svg.file("\"x\""), svg.inline("x"));
        for text in [&file, &inline] {
            assert!(text.contains("width=\"100\" height=\"50.5\" viewBox=\"0 0 100 50.5\""), "{text}");
            assert!(text.contains("a &lt; b &amp; c") && text.contains("points=\"0,0 100,0\""), "{text}");
            assert!(text.contains("class=\"s1\" stroke=\"currentColor\""), "{text}");
        }
        assert!(file.contains("prefers-color-scheme: dark") && file.contains("aria-label=\"&quot;x&quot;\""));
        assert!(!inline.contains("<style>") && !inline.contains("<rect"), "{inline}");
    }
}
