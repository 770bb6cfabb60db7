//! A wrapper that keeps secrets out of logs, errors and JSON.

use zeroize::Zeroize;

/// A secret: no `Debug` of its content, no `Display`, no `Serialize`, wiped on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a secret into custody.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// Lets the one place that makes the secret write it.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Shows the secret to the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
