#![forbid(unsafe_code)]
//! Evaluates language models behind Amazon SageMaker endpoints side by side, and load-tests them.

pub mod assertion;
pub mod cache;
pub mod config;
pub mod load;
pub mod provider;
pub mod report;
pub mod results;
pub mod runner;
pub mod server;
mod template;
pub mod visible;
