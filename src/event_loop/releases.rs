//! Releases that are due: arguments whose sources have ended.
//!
//! A release function must be called even when there is no memory left, so `promise` reserves room
//! for it when it is set.

use crate::base::ring::Ring;
use crate::error::Result;
use crate::event_loop::callback::Release;
use std::cell::Cell;
use std::ffi::c_void;

pub struct Releases {
    due: Ring<Option<(Release, *mut c_void)>>,
    promised: Cell<usize>,
}

impl Releases {
    pub fn new() -> Self {
        Releases { due: Ring::new(None), promised: Cell::new(0) }
    }

    /// Makes room for one more release.
    pub fn promise(&self) -> Result<()> {
        self.due.reserve(self.promised.get() + 1)?;
        self.promised.set(self.promised.get() + 1);
        Ok(())
    }

    /// The source no longer has a release.
    pub fn withdraw(&self) {
        self.promised.set(self.promised.get() - 1);
    }

    /// The source has ended: its release is due.
    pub fn fall_due(&self, release: Release, arg: *mut c_void) {
        self.promised.set(self.promised.get() - 1);
        // (No panic here: without memory a panic would abort the process.)
        let pushed = self.due.push(Some((release, arg)));
        debug_assert!(pushed.is_ok(), "room was made when the release was promised");
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub fn pop(&self) -> Option<(Release, *mut c_void)> {
        self.due.pop().flatten()
    }

    /// Frees some of the memory that was not needed recently.
    pub fn trim(&self) {
        self.due.trim(self.promised.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "a function as a value, which is not called")]
    fn what_was_promised_falls_due_in_order() {
        let releases = Releases::new();
        unsafe extern "C-unwind" fn never(_: *mut c_void) {}
        // SAFETY: it takes any argument.
        let release = unsafe { Release::new(never) };
        for _ in 0..3000 {
            releases.promise().unwrap();
        }
        releases.withdraw();
        releases.trim();
        for i in 0..2999 {
            releases.fall_due(release, std::ptr::without_provenance_mut(i));
        }
        for i in 0..2999 {
            assert_eq!(releases.pop().unwrap().1.addr(), i);
        }
        assert!(releases.pop().is_none());
        assert_eq!(releases.promised.get(), 0);
    }
}
