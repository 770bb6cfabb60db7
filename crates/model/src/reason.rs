//! Reasons: the words a person gives, and the stable codes that the record and answers carry.

/// Why a person did something, in their words: 1 to 500 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Reason(
    // INVARIANT: 1 to 500 characters, none a control character.
    String,
);

/// The text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to 500 characters and no control characters")]
pub struct InvalidReason;

impl Reason {
    /// Parses the words; space around them is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidReason> {
        let text = text.trim();
        let legal =
            !text.is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control);
        legal.then(|| Self(text.to_owned())).ok_or(InvalidReason)
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
