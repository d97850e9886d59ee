//! What was probably meant.

/// `; did you mean 'x'?` if something is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    most_similar(candidates.map(|candidate| (similarity(word, candidate), candidate)))
}

/// The same among dotted keys and their sections: by their last words, of equally near ones that of the same section;
/// or else as a whole.
pub(super) fn nearest_key(key: &str, known: &[String]) -> String {
    let (section, last) = parts(key);
    let sections = known.iter().map(|known| parts(known).0).filter(|section| !section.is_empty());
    let candidates: Vec<&str> = known.iter().map(String::as_str).chain(sections).collect();
    let by_last_word = most_similar(candidates.iter().map(|candidate| {
        let (of, name) = parts(candidate);
        let near = similarity(last, name);
        (if of == section { near } else { near * 0.95 }, *candidate)
    }));
    if by_last_word.is_empty() { nearest(key, candidates.into_iter()) } else { by_last_word }
}

/// Capitals tell nothing.
fn similarity(word: &str, candidate: &str) -> f64 {
    strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase())
}

/// A key's section and its last word.
fn parts(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn most_similar<'a>(candidates: impl Iterator<Item = (f64, &'a str)>) -> String {
    candidates
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean '{candidate}'?"))
}
