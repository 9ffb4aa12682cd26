//! What the company does not own. Today that is the payment provider; other roles (messages, identity) become modules
//! beside it, and the first argument of the program chooses one.

pub mod payment_provider;
