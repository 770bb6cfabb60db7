//! Tests of the log as a stranger sees it: published vectors, attacks, and audits of tampered copies.

mod audit;
mod entries;
mod vectors;
