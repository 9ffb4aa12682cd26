//! A little disorder, so that those who failed together do not come back together.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random share from 0 to 1; good enough for pauses, not for secrets.
pub fn share() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    // The upper 53 bits fill the mantissa of a double.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
