//! How surely it was the person who signed in, in the words of others.

use std::fmt;
use std::str::FromStr;

/// An authentication context class (OpenID Connect Core 2, `acr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acr {
    /// By something that no other site can ask for in our place: a passkey (OpenID Connect EAP ACR Values 1.0, `phr`).
    PhishingResistant,
}

impl Acr {
    /// Every class that exists here.
    pub const ALL: [Self; 1] = [Self::PhishingResistant];

    /// The value of the standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhishingResistant => "phr",
        }
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Acr {
    type Err = UnknownAcr;

    fn from_str(text: &str) -> Result<Self, UnknownAcr> {
        Self::ALL
            .into_iter()
            .find(|acr| acr.name() == text)
            .ok_or(UnknownAcr)
    }
}

/// A text that names no class which exists here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an authentication context class that exists here")]
pub struct UnknownAcr;
