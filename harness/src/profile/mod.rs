//! Fault profiles: a fault as a value, with a name and a reason.
