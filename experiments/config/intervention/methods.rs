//! The set of methods in `intervention.method`: one text for each set, however it was spelt.

use super::Method;
use crate::config::nearest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Methods that take part together; none of them is plain training.
///
/// As text: the names joined by `+` in the order of [`Method`], or `none`. Read from text in any order, with white space
/// around names, with names doubled, and with `none` among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Methods(BTreeSet<Method>);

impl Methods {
    /// Whether a method is among them.
    pub fn has(&self, method: Method) -> bool {
        self.0.contains(&method)
    }

    /// The names for a folder: as many as fit into 60 characters, and how many more there are.
    pub fn short(&self) -> String {
        const MOST: usize = 60;
        let whole = self.to_string();
        if whole.len() <= MOST {
            return whole;
        }
        let mut short = String::new();
        for (index, method) in self.0.iter().enumerate() {
            let rest = format!("{}-more", self.0.len() - index);
            if short.len() + method.name().len() + 1 + rest.len() > MOST {
                return short + &rest;
            }
            short = short + method.name() + "+";
        }
        whole
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<_> = self.0.iter().map(|method| method.name()).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Methods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut methods = BTreeSet::new();
        for name in text.split('+').map(str::trim).filter(|&name| name != "none") {
            let method = Method::ALL.iter().find(|method| method.name() == name).ok_or_else(|| {
                let names: Vec<_> = Method::ALL.iter().map(|method| method.name()).collect();
                let hint = nearest(name, names.iter().copied());
                format!("{name:?} is none of none, {}{hint}", names.join(", "))
            })?;
            methods.insert(*method);
        }
        Ok(Self(methods))
    }
}

impl TryFrom<String> for Methods {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Methods> for String {
    fn from(methods: Methods) -> Self {
        methods.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_text_however_it_is_spelt() {
        for text in ["l2+ema", "ema+l2", "ema + l2", "none+ema+l2", "l2\t+\nema\n", "ema+l2+ema"] {
            assert_eq!(text.parse::<Methods>().unwrap().to_string(), "ema+l2", "{text:?}");
        }
        for text in ["none", " none ", "none+none"] {
            assert_eq!(text.parse::<Methods>().unwrap(), Methods::default());
        }
        for (text, words) in [
            ("hare-and-tortoise", ["\"hare-and-tortoise\"", "did you mean 'hare-tortoise'"]),
            ("l2+", ["\"\"", "none, hare-tortoise, ema"]),
            ("L2", ["\"L2\"", "l2"]),
            ("l2 ema", ["\"l2 ema\"", "redo"]),
        ] {
            let message = text.parse::<Methods>().unwrap_err();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }

    #[test]
    fn the_name_in_a_folder_is_short() {
        let short = |text: &str| text.parse::<Methods>().unwrap().short();
        assert_eq!(short("shrink-perturb+l2"), "shrink-perturb+l2");
        let all = Methods(Method::ALL.iter().copied().collect());
        assert_eq!(all.short(), "hare-tortoise+ema+shrink-perturb+head-reset+6-more");
        assert!(all.short().len() <= 60 && all.to_string().len() > 60);
    }
}
