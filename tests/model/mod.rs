//! The library against a model of the laws: both run the same random program, and what can be
//! seen of them must be the same.

pub mod apart;
pub mod check;
pub mod files;
pub mod laws;
pub mod library;
pub mod program;
pub mod real;
pub mod shrink;
pub mod trace;
