//! The parameters of a request, read strictly (OAuth 2.1 3.2).

use std::borrow::Cow;
use std::fmt;

use crate::oauth::{ErrorCode, OAuthError};

/// The most bytes of a form: an assertion and a token of full size fit twice over.
pub const FORM_LIMIT: usize = 64 * 1024;

/// The most parameters of a form.
const MOST_PARAMETERS: usize = 64;

/// The parameters of a request, each at most once.
pub struct Form<'a> {
    // INVARIANT: no name twice, no control characters.
    pub(super) parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Parses `application/x-www-form-urlencoded` strictly. Parameters without a value are as if
    /// they were not there (OAuth 2.1 3.2).
    pub fn parse(body: &'a [u8]) -> Result<Self, OAuthError> {
        Self::parse_up_to(body, MOST_PARAMETERS)
    }

    /// The same with at most so many parameters.
    pub fn parse_up_to(body: &'a [u8], most: usize) -> Result<Self, OAuthError> {
        let refuse = |description| OAuthError::new(ErrorCode::InvalidRequest, description);
        if body.len() > FORM_LIMIT {
            return Err(refuse("the form is too large"));
        }
        let body = std::str::from_utf8(body)
            .ok()
            .filter(|body| is_urlencoded(body));
        let body = body.ok_or(refuse("the form is not well-formed"))?;
        Self::of_up_to(body.split('&').filter_map(parameter), most)
    }

    /// Of parameters that came in another way; they are held to the same.
    pub(crate) fn of_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, OAuthError> {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(name, value)| (Cow::Owned(name), Cow::Owned(value)));
        Self::of_up_to(pairs, MOST_PARAMETERS)
    }

    fn of_up_to(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        most: usize,
    ) -> Result<Self, OAuthError> {
        let refuse = |description| OAuthError::new(ErrorCode::InvalidRequest, description);
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(8);
        for (name, value) in pairs {
            if parameters.len() == most {
                return Err(refuse("the form has too many parameters"));
            }
            if is_bad(&name) || is_bad(&value) {
                return Err(refuse("the form has characters that are not allowed"));
            }
            if parameters.iter().any(|(own, _)| *own == name) {
                // RFC 8707 2 lets `resource` be repeated; a token of ours has one audience.
                return Err(match &*name {
                    "resource" => {
                        OAuthError::new(ErrorCode::InvalidTarget, "a token is for one resource")
                    }
                    _ => refuse("a parameter is repeated"),
                });
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter that was sent.
    pub fn fetch(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be sent; `description` says that it is missing.
    pub fn require(&self, name: &str, description: &'static str) -> Result<&str, OAuthError> {
        self.fetch(name)
            .ok_or(OAuthError::new(ErrorCode::InvalidRequest, description))
    }
}

impl fmt::Debug for Form<'_> {
    /// Names only: values are assertions and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.parameters.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Whether a decoded text has characters that no parameter may have; the decoder puts the replacement character where
/// bytes were not UTF-8.
fn is_bad(text: &str) -> bool {
    text.contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER)
}

/// The name and the value of one parameter, decoded; nothing when there is none.
fn parameter(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if text.contains('%') || text.contains('+') {
        return url::form_urlencoded::parse(text.as_bytes()).next();
    }
    // Assertions and tokens are long and need no decoding, which looks at each byte several times.
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (!text.is_empty()).then_some((Cow::Borrowed(name), Cow::Borrowed(value)))
}

fn is_urlencoded(body: &str) -> bool {
    let is_graphic = |all, byte: u8| all & byte.is_ascii_graphic();
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    body.bytes().fold(true, is_graphic) && body.split('%').skip(1).all(is_escape)
}
