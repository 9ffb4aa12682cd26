//! The broker as its clients and its owner see it; one program, so that the client library is linked once.

mod admin;
mod clients;
mod consuming;
mod faults;
mod hostile;
mod listeners;
mod producing;
mod transactions;
mod versions;
mod wire;
