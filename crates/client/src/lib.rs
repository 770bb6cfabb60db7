//! Typed client of the Chancery API.
