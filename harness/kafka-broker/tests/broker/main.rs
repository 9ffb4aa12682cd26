//! The broker as its clients and its owner see it; one program, so that the client library is linked once.

mod admin;
mod clients;
mod codes;
mod command;
mod consuming;
mod events;
mod faults;
mod groups;
mod hostile;
mod limits;
mod listeners;
mod producing;
mod settings;
mod transactions;
mod versions;
mod wire;
