//! Issuers that vouch for workloads: pipelines, pods and jobs that act as agents without a key of their own at rest.
//!
//! An administrator names an issuer; which of its workloads may act as which agent is part of that agent's registration
//! (`agents::trust`). What their tokens are worth is found out when one comes (`tokens::workload`).

pub mod add;
pub mod list;
pub mod remove;
