//! The report as one HTML page that needs nothing else: no network, no script, figures in its text.

use super::{Block, Section, Sheet};
use crate::plots::{STYLE, svg::escape};
use std::fmt::Write;

const PAGE: &str = include_str!("page.css");

/// Tables of more rows and sections of more figures are folded at first.
const ROWS: usize = 40;
const FIGURES: usize = 6;

/// The whole page.
pub(crate) fn page(title: &str, summary: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{PAGE}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{}</p>\n<nav>\n<ul>\n",
        escape(summary)
    );
    for (index, section) in sections.iter().enumerate() {
        let _ = writeln!(html, "<li><a href=\"#section-{index}\">{}</a></li>", escape(&section.title));
    }
    html.push_str("</ul>\n</nav>\n");
    for (index, section) in sections.iter().enumerate() {
        let (title, intro) = (escape(&section.title), escape(&section.intro));
        let _ = write!(html, "<section id=\"section-{index}\">\n<h2>{title}</h2>\n<p>{intro}</p>\n");
        let mut figures = 0;
        for block in &section.blocks {
            figures += block.figures.len();
            add(&mut html, block, figures > FIGURES);
        }
        html.push_str("</section>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn add(html: &mut String, block: &Block, folded: bool) {
    if folded {
        let _ = write!(html, "<details>\n<summary>{}</summary>\n", escape(&block.title));
    } else if !block.title.is_empty() {
        let _ = writeln!(html, "<h3>{}</h3>", escape(&block.title));
    }
    for paragraph in &block.paragraphs {
        let _ = writeln!(html, "<p>{}</p>", escape(paragraph));
    }
    for figure in &block.figures {
        let caption = escape(&figure.caption);
        let drawing = figure.svg.inline(&figure.caption);
        let _ = write!(
            html,
            "<figure>\n<div class=\"wide\">\n{drawing}</div>\n<figcaption>{caption}</figcaption>\n</figure>\n"
        );
    }
    for sheet in &block.sheets {
        table(html, sheet);
    }
    for (title, lines) in &block.lists {
        let _ = write!(html, "<p>{}:</p>\n<ul>\n", escape(title));
        for line in lines {
            let _ = writeln!(html, "<li>{}</li>", escape(line));
        }
        html.push_str("</ul>\n");
    }
    if folded {
        html.push_str("</details>\n");
    }
}

fn table(html: &mut String, sheet: &Sheet) {
    let caption = escape(&sheet.caption);
    let folded = sheet.rows.len() > ROWS;
    if folded {
        let _ = write!(html, "<details>\n<summary>{caption} ({} rows)</summary>\n", sheet.rows.len());
    } else {
        let _ = writeln!(html, "<p class=\"caption\">{caption}</p>");
    }
    html.push_str("<div class=\"wide\">\n<table>\n<thead><tr>");
    let class = |right: bool| if right { " class=\"figure\"" } else { "" };
    for column in &sheet.columns {
        let _ = write!(html, "<th{}>{}</th>", class(column.is_right()), escape(&column.heading));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &sheet.rows {
        html.push_str("<tr>");
        for (column, cell) in sheet.columns.iter().zip(row) {
            let _ = write!(html, "<td{}>{}</td>", class(column.is_right()), escape(&column.show(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    if folded {
        html.push_str("</details>\n");
    }
}
