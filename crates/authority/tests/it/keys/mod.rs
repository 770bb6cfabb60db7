//! The room `keys`: rotation without an outage, withdrawal in time, one purpose each.

mod rotate;
