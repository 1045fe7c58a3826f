//! Tidewell from the outside: real processes on real servers.

mod support;

mod accepting;
mod dead_letters;
mod faults;
mod isolation;
mod projecting;
mod searching;
mod tenants;
