//! What customers are like.

/// What customers are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Whether they send an idempotency key.
    pub with_key: bool,
    /// How often they try in all when an outcome is unknown; always with the same key, never without one.
    pub attempts: u32,
    /// How long they wait before they try again, in milliseconds.
    pub pause_ms: u64,
    /// Most products in one order.
    pub most_lines: u32,
    /// Whether they give an order up as soon as they are told that it was accepted.
    pub cancels: bool,
    /// Whether, and how, they look again and again what has become of their orders.
    pub follows: Option<Following>,
    /// Length of the note that they write beside an order, in characters.
    pub note_characters: usize,
    /// Whether they come with forged tokens, each kind in turn.
    pub forged: bool,
    /// Whether each is new, and has to find the shop and make a connection of its own.
    pub new: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            with_key: true,
            attempts: 1,
            pause_ms: 200,
            most_lines: 3,
            cancels: false,
            follows: None,
            note_characters: 0,
            forged: false,
            new: false,
        }
    }
}

/// How customers follow an order: to its end, or until they are sent home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// Between an answer and the next question, in milliseconds.
    pub interval_ms: u64,
    /// How often they look at most.
    pub most_looks: u32,
}

impl Default for Following {
    /// As the shop's page does in drills, for about half a minute.
    fn default() -> Self {
        Self {
            interval_ms: 200,
            most_looks: 150,
        }
    }
}
