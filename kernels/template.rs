//! The one substitution that WGSL sources go through, for tiles that must be unrolled.
//!
//! Directives are comment lines, so a source stays readable WGSL:
//!
//! ```wgsl
//! //! for ROW in 0..ROWS
//!     let a$ROW = load(row + $ROWu);
//! //! if BIAS
//!     sum_$ROW += bias;
//! //! else
//!     sum_$ROW += 1.0;
//! //! end
//! //! end
//! ```
//!
//! `for NAME in A..B` repeats the lines up to its `end`, with `$NAME` standing for A, A+1, ..., B-1; bounds are integers
//! or names. `if NAME` and `if !NAME` keep the lines up to `else` or `end`; the values `0` and `false` mean no.
//! `$NAME` in any other line is replaced by the value of the longest name that matches there, so `$ROWu` is `3u`.

use std::fmt::Display;

/// Expands the directives and names in `source`.
///
/// # Panics
/// If a directive is malformed or unbalanced, or a name has no value: a bug in the shader. The message has the line.
pub fn expand(source: &str, values: &[(&str, &dyn Display)]) -> String {
    let values = values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut expansion = Expansion { lines: source.lines().collect(), values, output: String::new() };
    if let (index, Some(word)) = expansion.block(0, true) {
        panic!("template line {}: `{word}` without `for` or `if`", index + 1);
    }
    expansion.output
}

struct Expansion<'a> {
    lines: Vec<&'a str>,
    /// Loop variables are pushed and popped at the end.
    values: Vec<(String, String)>,
    output: String,
}

impl<'a> Expansion<'a> {
    /// Expands from line `index` up to the `else` or `end` that closes this block, or the end of the text, and returns
    /// its index and word. A block that is not `kept` is walked through for its nesting only.
    fn block(&mut self, mut index: usize, kept: bool) -> (usize, Option<&'a str>) {
        while index < self.lines.len() {
            let line = self.lines[index];
            let Some(directive) = line.trim().strip_prefix("//!") else {
                if kept {
                    self.text(line, index);
                }
                index += 1;
                continue;
            };
            let words: Vec<&str> = directive.split_whitespace().collect();
            match words[..] {
                ["for", name, "in", range] => index = self.repeat(index, name, range, kept),
                ["if", condition] => index = self.choose(index, condition, kept),
                [word @ ("else" | "end")] => return (index, Some(word)),
                _ => panic!("template line {}: cannot read `{}`", index + 1, line.trim()),
            }
        }
        (index, None)
    }

    fn repeat(&mut self, start: usize, name: &str, range: &str, kept: bool) -> usize {
        let Some((from, to)) = range.split_once("..") else {
            panic!("template line {}: `{range}` is not a range A..B", start + 1);
        };
        // An empty or dropped loop still has to find its end.
        let (from, to) = if kept { (self.bound(from, start), self.bound(to, start)) } else { (0, 0) };
        let kept = kept && from < to;
        let mut end = start;
        for value in from..to.max(from + 1) {
            self.values.push((name.to_string(), value.to_string()));
            end = self.close(start, start + 1, kept, &["end"]).0;
            self.values.pop();
        }
        end + 1
    }

    fn choose(&mut self, start: usize, condition: &str, kept: bool) -> usize {
        let name = condition.trim_start_matches('!');
        let holds = kept && !matches!(self.value(name, start), "0" | "false");
        let holds = holds != condition.starts_with('!');
        let (mut end, word) = self.close(start, start + 1, kept && holds, &["else", "end"]);
        if word == "else" {
            end = self.close(start, end + 1, kept && !holds, &["end"]).0;
        }
        end + 1
    }

    /// A block that one of `words` must close, for the directive on line `start`.
    fn close(&mut self, start: usize, from: usize, kept: bool, words: &[&str]) -> (usize, &'a str) {
        match self.block(from, kept) {
            (index, Some(word)) if words.contains(&word) => (index, word),
            (index, Some(word)) => panic!("template line {}: `{word}` does not belong here", index + 1),
            (_, None) => panic!("template line {}: `{}` has no `end`", start + 1, self.lines[start].trim()),
        }
    }

    fn text(&mut self, line: &str, index: usize) {
        let mut pieces = line.split('$');
        self.output.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let found = self.values.iter().rev().filter(|(name, _)| piece.starts_with(name.as_str()));
            // Of equal names the innermost loop's comes first in reverse order: keep the first of the longest.
            let longest = found.reduce(|best, next| if next.0.len() > best.0.len() { next } else { best });
            let Some((name, value)) = longest else {
                panic!("template line {}: no value for `${piece}`", index + 1);
            };
            self.output.push_str(value);
            self.output.push_str(&piece[name.len()..]);
        }
        self.output.push('\n');
    }

    fn value(&self, name: &str, line: usize) -> &str {
        match self.values.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => value,
            None => panic!("template line {}: no value for `{name}`", line + 1),
        }
    }

    fn bound(&self, text: &str, line: usize) -> u32 {
        let text = if text.starts_with(|c: char| c.is_ascii_digit()) { text } else { self.value(text, line) };
        text.parse().unwrap_or_else(|_| panic!("template line {}: `{text}` is not a number", line + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::expand;
    use std::panic::catch_unwind;

    #[test]
    fn names_are_replaced_longest_first() {
        let values: &[(&str, &dyn std::fmt::Display)] = &[("A", &1), ("AB", &22), ("NAME", &"tile_a")];
        assert_eq!(expand("$Au $ABu $A_$AB $NAME[0] plain", values), "1u 22u 1_22 tile_a[0] plain\n");
    }

    #[test]
    fn loops_nest_and_shadow() {
        let source = "//! for I in 0..N\n  //! for J in I..2\n$I$J\n  //! end\n//! for I in 7..8\n$I\n//! end\n//! end";
        assert_eq!(expand(source, &[("N", &2)]), "00\n01\n7\n11\n7\n");
        assert_eq!(expand("//! for I in 3..3\n$NOTHING\n//! end\nx", &[]), "x\n");
    }

    #[test]
    fn conditions_choose() {
        let source = "//! if A\n//! if B\nab\n//! else\na\n//! end\n//! else\nnot a\n//! end\n//! if !B\nnot b\n//! end";
        let text = |a: bool, b: bool| expand(source, &[("A", &a), ("B", &u32::from(b))]);
        assert_eq!(text(true, true), "ab\n");
        assert_eq!(text(true, false), "a\nnot b\n");
        assert_eq!(text(false, true), "not a\n");
        assert_eq!(text(false, false), "not a\nnot b\n");
        // Names inside a dropped block need no value.
        assert_eq!(
            expand("//! if A\n//! for I in 0..X\n//! if Y\n$Z\n//! end\n//! end\n//! end", &[("A", &0)]),
            ""
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        for (source, message) in [
            ("x\n//! for I in 0..2\n$I", "template line 2: `//! for I in 0..2` has no `end`"),
            ("//! if A\n//! end\n//! end", "template line 3: `end` without `for` or `if`"),
            ("//! else", "template line 1: `else` without `for` or `if`"),
            ("//! if A\n//! else\n//! else\n//! end", "template line 3: `else` does not belong here"),
            ("//! for I in 0..1\n//! else\n//! end", "template line 2: `else` does not belong here"),
            ("//! if A\n", "template line 1: `//! if A` has no `end`"),
            ("//! for I in 4\n//! end", "template line 1: `4` is not a range A..B"),
            ("//! for I in 0..B\n//! end", "template line 1: no value for `B`"),
            ("//! if C\n//! end", "template line 1: no value for `C`"),
            ("//! unless A", "template line 1: cannot read `//! unless A`"),
            ("a\nb $C", "template line 2: no value for `$C`"),
        ] {
            let panic = catch_unwind(|| expand(source, &[("A", &1)])).expect_err(source);
            assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(message), "{source}");
        }
    }
}
