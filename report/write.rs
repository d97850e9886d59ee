//! The files of a report.

use super::group::Comparison;
use super::sections::{self, not_read::LeftOut};
use super::{Error, Method, entry, output};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Writes the report; returns its files in the order of writing.
pub(crate) fn write(
    comparison: &Comparison,
    left_out: &LeftOut<'_>,
    methods: &[Method],
    folder: &Path,
) -> Result<Vec<PathBuf>, Error> {
    let entries = entry::entries(comparison.classifiers(), methods);
    let setups = entry::setups(&entries);
    let found = [
        sections::methods::make(&setups),
        sections::grids::make(&setups),
        sections::continual::make(&setups),
        sections::memorisation::make(comparison.classifiers()),
        sections::sweeps::make(&entries),
        sections::indicators::make(&setups),
        sections::curves::make(comparison.classifiers()),
        sections::agents::make(comparison.agents()),
        sections::plasticity::make(comparison.agents()),
        sections::curvature::make(comparison.agents()),
        sections::results::make(comparison),
        left_out.make(),
    ];
    let mut sections: Vec<output::Section> = found.into_iter().flatten().collect();
    name_files(&mut sections);

    let mut files = Vec::new();
    let mut write = |name: &str, content: &str| {
        let path = folder.join(name);
        let unwritable = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Unwritable { path, source }
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(unwritable(parent))?;
        }
        // A report can be made again, and has many files: none is worth a wait for the disk.
        files::write_not_durable(&path, content.as_bytes()).map_err(unwritable(&path))?;
        files.push(path);
        Ok::<(), Error>(())
    };
    let (title, summary) = ("Report", summary(comparison, left_out));
    write("index.html", &output::page(title, &summary, &sections))?;
    write("report.md", &output::markdown(title, &summary, &sections))?;
    for block in sections.iter().flat_map(|section| &section.blocks) {
        for sheet in block.sheets.iter().chain(&block.data) {
            write(&format!("tables/{}.csv", sheet.stem), &sheet.csv())?;
        }
        for figure in &block.figures {
            write(&format!("figures/{}.svg", figure.stem), &figure.svg.file(&figure.caption))?;
        }
    }
    Ok(files)
}

/// How much there is.
fn summary(comparison: &Comparison, left_out: &LeftOut<'_>) -> String {
    let finished: usize = comparison.groups.iter().map(|group| group.finished.len()).sum();
    let runs = || comparison.groups.iter().flat_map(|group| &group.unfinished);
    let failed = runs().filter(|run| run.failure.is_some()).count();
    let mut words =
        vec![format!("{} configurations", comparison.groups.len()), format!("{finished} finished runs")];
    for (count, what) in [
        (runs().count() - failed, "unfinished runs"),
        (failed, "failed runs"),
        (left_out.not_read.len(), "files or folders that could not be read"),
    ] {
        words.extend((count > 0).then(|| format!("{count} {what}")));
    }
    format!(
        "{}. Figures are mean ± sample standard deviation over the n finished seeds of each configuration.",
        words.join(", ")
    )
}

/// Makes the names of tables differ, and those of figures.
fn name_files(sections: &mut [output::Section]) {
    let (mut tables, mut figures) = (BTreeSet::new(), BTreeSet::new());
    for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
        for sheet in block.sheets.iter_mut().chain(&mut block.data) {
            sheet.stem = distinct(&sheet.stem, &mut tables);
        }
        for figure in &mut block.figures {
            figure.stem = distinct(&figure.stem, &mut figures);
        }
    }
}

/// A name that is not too long for a file system, numbered if two meet.
fn distinct(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name: String = name.chars().take(120).collect();
    let mut candidate = name.clone();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_distinct_and_short() {
        let mut taken = BTreeSet::new();
        assert_eq!(distinct("curves-a", &mut taken), "curves-a");
        assert_eq!(distinct("curves-a", &mut taken), "curves-a-2");
        assert_eq!(distinct("curves-a", &mut taken), "curves-a-3");
        assert_eq!(distinct(&"x".repeat(300), &mut taken).len(), 120);
    }
}
