//! Skypunch: a monitor of cloud services.

pub mod actors;
pub mod app;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod logging;
pub mod model;
pub mod net;
pub mod probe;
pub mod secret;
pub mod store;
