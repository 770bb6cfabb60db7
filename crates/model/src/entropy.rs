//! The source of randomness, as a value: only the roof holds a real one.

/// Fills bytes from a cryptographically secure source.
pub trait Entropy: Send + Sync {
    /// Fills all of `bytes`; blocks until the source is seeded.
    fn fill(&self, bytes: &mut [u8]);
}
