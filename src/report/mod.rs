//! What people and tools are shown: events in, text out.

pub mod human;
pub mod json;
pub mod out;

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Are there colours?
    pub color: bool,
}
