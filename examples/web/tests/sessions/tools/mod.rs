//! What several files of this program share, and no other program.

pub mod browser;
pub mod http;
pub mod web_terminal;
pub mod websocket;
