//! The size of a terminal's window.

/// The size of a terminal's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PtySize {
    /// Lines; 0 if unknown.
    pub rows: u16,
    /// Characters a line; 0 if unknown.
    pub cols: u16,
    /// Width in pixels; 0, as mostly, if unknown.
    pub x_pixels: u16,
    /// Height in pixels; 0, as mostly, if unknown.
    pub y_pixels: u16,
}

impl PtySize {
    /// A window of so many lines and characters a line; its pixels are unknown.
    #[must_use]
    pub const fn new(rows: u16, cols: u16) -> Self {
        Self {
            rows,
            cols,
            x_pixels: 0,
            y_pixels: 0,
        }
    }
}
