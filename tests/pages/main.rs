//! The pages are held to the program: links lead somewhere, plans pass the check, command lines are
//! understood, and the tutorial happens as it says.

mod commands;
mod links;
mod markdown;
mod plans;
mod tutorial;
