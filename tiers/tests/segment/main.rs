//! Segments as files: recovery, faults, what is sealed. Needs feature `faults`.
#![cfg(feature = "faults")]

#[cfg(test)]
mod kit;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod sealed;
