//! Policy administration: texts come into force only if all of them compile together with every tool.

pub mod add;
pub mod check;
pub mod explain;
pub mod list;
pub mod remove;
pub mod schema;
