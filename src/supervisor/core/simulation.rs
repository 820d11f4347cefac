//! A simulation of runs.
