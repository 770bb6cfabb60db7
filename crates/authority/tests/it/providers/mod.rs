//! People who sign in with a provider: that they can, that nobody else can, and that they leave here when they leave there.

mod attacks;
mod idp;
mod leave;
mod manage;
mod sign_in;
mod world;
