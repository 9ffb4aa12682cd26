//! The wire: which APIs and versions are spoken, how frames are read, and what is checked before decoding.

mod frame;
mod shape;
mod shapes;
mod versions;

pub(crate) use frame::{FrameError, read_frame};
pub(crate) use shape::check_shape;
pub(crate) use versions::{SUPPORTED, speaks, supports};
