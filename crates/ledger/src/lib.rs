//! Append-only Merkle log, pure: leaf hashes, tiles, proofs, checkpoints, signed notes.
//!
//! The formats are those of C2SP (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof) over the tree of RFC 6962, so
//! that a stranger can verify a log of ours with tools that we did not write.
//!
//! This crate refuses to read or write anything: tiles come in through closures and go out as values, signing keys come
//! in as seeds, and there is no clock and no randomness. Deciding what an entry means is the caller's concern too.
//!
//! Start at [`appender`] to see a log grow, at [`proof`] for what it can prove, and at [`audit`] for how a whole
//! downloaded copy is judged.

pub mod appender;
pub mod audit;
pub mod bundle;
pub mod checkpoint;
pub mod hash;
pub mod note;
pub mod path;
pub mod proof;
pub mod receipt;
mod text;
pub mod tile;
pub mod tree;
