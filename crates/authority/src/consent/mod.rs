//! Where a person decides whether an agent may act in their name: the authorization endpoint.
//!
//! A client that nobody registered pushes nothing, since it cannot prove who it is: it asks in the query ([`client`]), for
//! a person who signed in, and what they answer makes it into an agent of theirs ([`adopt`]).
//!
//! Who registered and only signs people in may ask in the query too ([`direct`]), and sends them here to sign out
//! ([`logout`]).
//!
//! An agent on a machine without a browser says what it asks for ([`wait`]) and shows a code, which the person brings to a
//! browser of theirs ([`enter`]); they are asked the same question, and the agent fetches the answer.
//!
//! A client pushes what it asks for ([`push`]), the person's browser brings the name of that to [`authorize`], and
//! what the person answers comes to [`decide`]. Nothing is sent to a redirect URI before the client and the URI are
//! proven, and nobody decides but a person who signed in; how people sign in is no matter of this room.

pub mod adopt;
pub(crate) mod answer;
pub mod authorize;
pub(crate) mod client;
pub(crate) mod client_page;
pub mod decide;
pub(crate) mod device_page;
pub(crate) mod direct;
pub mod enter;
pub mod logout;
pub(crate) mod page;
pub mod push;
pub(crate) mod question;
pub(crate) mod secrets;
pub mod wait;
pub(crate) mod way;
