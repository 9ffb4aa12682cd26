//! Whether a request may be sent a second time. Pure.

use axum::http::Method;

/// How an attempt failed, as far as repeating it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about: nothing was sent.
    NotSent,
    /// The instance said that it did nothing (503).
    Shed,
    /// Something was sent and no proper answer came: it may have been done.
    Doubtful,
}

/// Whether a request may be repeated on another instance. With `only_safe` off everything may, blindly.
pub fn may_repeat(method: &Method, has_key: bool, failure: Failure, only_safe: bool) -> bool {
    if !only_safe {
        return true;
    }
    match failure {
        Failure::NotSent | Failure::Shed => true,
        Failure::Doubtful => method.is_safe() || has_key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_without_a_key_is_repeated_only_when_nothing_was_done() {
        for (failure, safe) in [
            (Failure::NotSent, true),
            (Failure::Shed, true),
            (Failure::Doubtful, false),
        ] {
            assert_eq!(
                may_repeat(&Method::POST, false, failure, true),
                safe,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn reading_and_keyed_requests_may_always_be_repeated() {
        assert!(may_repeat(&Method::GET, false, Failure::Doubtful, true));
        assert!(may_repeat(&Method::POST, true, Failure::Doubtful, true));
    }

    #[test]
    fn without_the_defence_everything_is_repeated() {
        assert!(may_repeat(&Method::POST, false, Failure::Doubtful, false));
    }
}
