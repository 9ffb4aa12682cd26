//! A private PostgreSQL server of the run, and a database of its own for every component of every drill.

mod cluster;
mod databases;
mod fetch;
mod logins;
mod programs;
mod ready_made;
mod scram;

pub use cluster::{Cluster, ClusterPlan, server_user};
pub use databases::{ComponentDatabase, DatabasePlan, Databases};
pub use programs::{PostgresSource, Programs};
