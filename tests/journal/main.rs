//! The journal against real disks, real processes and real damage.
//!
//! Some tests mount file systems and need root; some need strace. They fail with a message where
//! these are missing.

mod crashes;
mod damage;
mod faults;
mod places;
mod races;
mod runs;
mod scene;
