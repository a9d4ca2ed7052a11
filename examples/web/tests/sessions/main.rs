//! Runs the examples as their users do: by curl, in a browser, and by clients and viewers that hang, break off or are not wanted.

mod common;

mod http;
mod http_server;
mod serve;
mod tools;
mod web_terminal;
