//! firedrill: describe a failure, have it happen to a real pipeline, and read whether every promise held.
//!
//! The modules in reading order; each uses only those above it.
