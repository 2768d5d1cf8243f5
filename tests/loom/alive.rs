//! A value that tells loom when it is looked at or dropped.

use loom::cell::UnsafeCell;

/// Loom notices when it is looked at while it is dropped, or after, or without an order.
pub struct Alive(UnsafeCell<bool>);

impl Alive {
    pub fn new() -> Alive {
        Alive(UnsafeCell::new(true))
    }

    pub fn look(&self) {
        // SAFETY: the cell tells loom of every access; that is the test.
        self.0.with(|alive| assert!(unsafe { *alive }));
    }

    /// What a thread does with a value that it alone reaches.
    pub fn touch(&self) {
        // SAFETY: as above.
        self.0.with_mut(|alive| unsafe { *alive = true });
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|alive| unsafe { *alive = false });
    }
}

// SAFETY: loom checks what the type does not.
unsafe impl Send for Alive {}
// SAFETY: as above.
unsafe impl Sync for Alive {}
