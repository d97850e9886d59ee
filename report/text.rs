//! Text from files, made fit to be shown.

/// Text on one line: names and messages come from files, and may hold what moves a terminal's cursor or is no character
/// of XML.
pub(crate) fn plain(text: &str) -> String {
    let plain = |character: char| match character {
        '\n' | '\r' | '\t' => ' ',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    };
    text.chars().map(plain).collect()
}
