//! The library against a model of the laws: both run the same random program, and what can be
//! seen of them must be the same.

#![allow(unexpected_cfgs, reason = "`fuzzing` is set by who builds the fuzz target")]

pub mod apart;
pub mod check;
pub mod files;
pub mod forks;
pub mod laws;
pub mod library;
#[cfg(not(fuzzing))]
pub mod loading;
pub mod program;
pub mod real;
pub mod shrink;
pub mod trace;
