//! Scopes (RFC 6749 3.3): names that say what a token is for, compared exactly.

use std::fmt;
use std::str::FromStr;

/// The most names of a scope.
const MOST_NAMES: usize = 64;
/// The longest name of a scope, in bytes.
const LONGEST_NAME: usize = 128;

/// The text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is up to 64 different names with one space between two, without `*` and `,`")]
pub struct InvalidScope;

/// What a token is for. The empty scope names nothing, and is within every other.
// INVARIANT: sorted, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Parses names with single spaces between them; nothing that looks like several names, or like all of
    /// them, passes for one (AUTHZ-15).
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(' ') {
            // RFC 6749 3.3, without the two signs that others read as a list and as everything.
            let is_legal = |byte: u8| byte.is_ascii_graphic() && !b"\"\\*,".contains(&byte);
            let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_legal);
            if !is_name || names.len() == MOST_NAMES {
                return Err(InvalidScope);
            }
            names.push(name.to_owned());
        }
        let asked = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() == asked {
            Ok(Self(names))
        } else {
            Err(InvalidScope)
        }
    }

    /// Whether nothing here is missing there. No scope at all is not the least but whatever policies allow, so it is within
    /// nothing but itself.
    pub fn is_within(&self, other: &Self) -> bool {
        if self.is_empty() {
            return other.is_empty();
        }
        self.0
            .iter()
            .all(|name| other.0.binary_search(name).is_ok())
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether it names `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0
            .binary_search_by(|own| own.as_str().cmp(name))
            .is_ok()
    }

    /// The names that are among `known`.
    pub fn within(mut self, known: &[&str]) -> Self {
        self.0.retain(|name| known.contains(&name.as_str()));
        self
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authz_15_scope_is_exact_names_with_single_spaces() {
        for good in ["", "read", "refunds:write read", "READ read"] {
            assert!(Scope::parse(good).is_ok(), "{good}");
        }
        let many = (0..65).map(|number| format!("s{number}"));
        let many = many.collect::<Vec<_>>().join(" ");
        for bad in [
            " ",
            "read ",
            " read",
            "read  admin",
            "read\tadmin",
            "read admin\u{a0}",
            "read,admin",
            "*",
            "admin:*",
            "read read",
            "re\"ad",
            "re\\ad",
            "réad",
            &many,
        ] {
            assert_eq!(Scope::parse(bad), Err(InvalidScope), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printed_then_parsed_is_the_same(text in "([a-z]{1,4} ){0,5}[a-z]{1,4}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
            }
        }

        #[test]
        fn within_is_having_no_name_that_the_other_lacks(one in "([a-c] ){0,2}[a-c]", other in "([a-c] ){0,2}[a-c]") {
            if let (Ok(one), Ok(other)) = (Scope::parse(&one), Scope::parse(&other)) {
                let missing = one.names().filter(|name| !other.names().any(|own| own == *name)).count();
                prop_assert_eq!(one.is_within(&other), missing == 0);
            }
        }
    }
}
