//! The analytics service against a real PostgreSQL, an embedded broker and an S3 server, in one program, so that the
//! database server is started once.

mod dashboards;
mod lake;
mod support;
