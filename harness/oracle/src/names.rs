//! Names told apart by small numbers, so that joining a million records compares integers and indexes arrays.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// What a set of names is about; makes keys of different sets different types.
macro_rules! subjects {
    ($($(#[$meaning:meta])* $name:ident),* $(,)?) => {$(
        $(#[$meaning])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name {}
    )*};
}

subjects! {
    /// Orders, by their id.
    Orders,
    /// Intents, by the customer's purchase reference.
    Intents,
    /// Products, by their id.
    Products,
    /// Charges of the provider, by their id.
    Charges,
    /// Messages, by the id that a redelivery keeps.
    Messages,
    /// Topics, without the drill's prefix.
    Topics,
    /// Consumer groups, without the drill's prefix.
    Groups,
    /// Any other word: states, reasons, customers, keys.
    Words,
}

/// The number of one name within its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key<T> {
    number: NonZeroU32,
    set: PhantomData<T>,
}

impl<T> Key<T> {
    /// The key of the name that was met as the `index`-th, from 0.
    pub(crate) fn at(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self {
            number: NonZeroU32::MIN.saturating_add(index),
            set: PhantomData,
        }
    }

    /// Position of the name, from 0, for indexing.
    pub(crate) fn index(self) -> usize {
        self.number.get() as usize - 1
    }
}

/// A set of names; each is stored once.
#[derive(Debug)]
pub(crate) struct Names<T> {
    text: String,
    ends: Vec<usize>,
    /// The name met before that has the same hash; 0 when there is none.
    same_hash: Vec<u32>,
    /// The last name met with a hash, counted from 1.
    by_hash: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
    set: PhantomData<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
            same_hash: Vec::new(),
            by_hash: HashMap::default(),
            set: PhantomData,
        }
    }
}

impl<T: Copy> Names<T> {
    /// The key of a name, new or known.
    pub(crate) fn key(&mut self, name: &str) -> Key<T> {
        let hash = hash_of(name.as_bytes());
        let newest = self.by_hash.get(&hash).copied().unwrap_or(0);
        if let Some(known) = self.find_in_chain(newest, name) {
            return known;
        }
        let key = Key::at(self.ends.len());
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.same_hash.push(newest);
        self.by_hash.insert(hash, key.number.get());
        key
    }

    /// The key of a name, if it was met.
    pub(crate) fn find(&self, name: &str) -> Option<Key<T>> {
        let newest = self.by_hash.get(&hash_of(name.as_bytes())).copied()?;
        self.find_in_chain(newest, name)
    }

    /// The name of a key.
    pub(crate) fn text(&self, key: Key<T>) -> &str {
        self.at(key.index())
    }

    /// How many names were met.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All keys, in the order in which their names were met.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key<T>> + use<T> {
        (0..self.ends.len()).map(Key::at)
    }

    fn find_in_chain(&self, mut number: u32, name: &str) -> Option<Key<T>> {
        while number != 0 {
            let index = number as usize - 1;
            if self.at(index) == name {
                return Some(Key::at(index));
            }
            number = self.same_hash[index];
        }
        None
    }

    fn at(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }
}

/// A quick hash of short texts; nobody chooses names to make it collide, and collisions only cost time.
fn hash_of(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 29;
    };
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        mix(u64::from_le_bytes(eight));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        mix(u64::from_le_bytes(eight));
    }
    hash ^ (hash >> 32)
}

/// Hands a hash through that was computed before.
#[derive(Debug, Default, Clone, Copy)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_of(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_key_and_a_key_its_name() {
        let mut names = Names::<Words>::default();
        let keys: Vec<_> = (0..1000).map(|n| names.key(&format!("name-{n}"))).collect();
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(names.key(&format!("name-{n}")), *key);
            assert_eq!(names.text(*key), format!("name-{n}"));
            assert_eq!(key.index(), n);
        }
        assert_eq!(names.len(), 1000);
        assert_eq!(names.find("name-7"), Some(keys[7]));
        assert_eq!(names.find("nobody"), None);
    }

    #[test]
    fn names_with_one_hash_stay_apart() {
        let mut names = Names::<Words>::default();
        let first = names.key("first");
        // What a collision would leave behind: the same hash leads to a chain of two names.
        let hash = hash_of(b"second");
        names.by_hash.insert(hash, first.number.get());
        let second = names.key("second");
        assert_ne!(first, second);
        assert_eq!(names.same_hash[second.index()], first.number.get());
        assert_eq!(names.find("second"), Some(second));
        assert_eq!(names.text(first), "first");
    }

    #[test]
    fn the_empty_name_is_a_name() {
        let mut names = Names::<Words>::default();
        let empty = names.key("");
        assert_eq!(names.text(empty), "");
        assert_ne!(names.key("x"), empty);
    }
}
