//! What takes the same time whatever it finds.

mod timing;
