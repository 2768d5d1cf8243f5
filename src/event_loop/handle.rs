//! Handles: numbers that name a source, and never anything else again.
//!
//! A handle is positive and below 2^53, so that a double holds it exactly.
//!
//! ```text
//! bit 52 clear   soon-callback: its sequence number in the ready queue
//! bit 52 set     kind (3 bits) | slot (25 bits) | generation (24 bits)
//! ```
//!
//! A sequence number is never given out twice. A slot's generation grows each time
//! the slot is emptied, and a slot whose generations are spent is retired; so a
//! finished handle can only be stale, whatever lives in its place now.

use crate::base::ring::MAX_SEQUENCE;
use crate::base::slots::{MAX_GENERATION, MAX_SLOTS, SlotId};

/// The number that C code holds.
pub type RawHandle = i64;

const SLOT_BIT: u64 = MAX_SEQUENCE;
/// The bits above those of a slot.
pub const KIND_SHIFT: u32 = SLOT_SHIFT + MAX_SLOTS.trailing_zeros();
const SLOT_SHIFT: u32 = MAX_GENERATION.trailing_zeros();

/// What lives in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Timer = 1,
    Watch = 2,
    Hook = 3,
    Object = 4,
}

/// A slot in the bits below `KIND_SHIFT`.
#[inline]
pub fn slot_to_low_bits(id: SlotId) -> u64 {
    u64::from(id.index) << SLOT_SHIFT | u64::from(id.generation)
}

#[inline]
pub fn slot_from_low_bits(bits: u64) -> SlotId {
    let index = (bits >> SLOT_SHIFT) as u32 & (MAX_SLOTS - 1);
    SlotId { index, generation: bits as u32 & (MAX_GENERATION - 1) }
}

/// A handle, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handle {
    /// A callback in the ready queue, by its sequence number.
    Soon(u64),
    /// A source with a slot of its own.
    Slot(Kind, SlotId),
}

impl Handle {
    /// Returns the number for C.
    #[inline]
    pub fn to_raw(self) -> RawHandle {
        match self {
            Handle::Soon(sequence) => sequence as RawHandle,
            Handle::Slot(kind, id) => {
                let bits = SLOT_BIT | (kind as u64) << KIND_SHIFT | slot_to_low_bits(id);
                bits as RawHandle
            }
        }
    }

    /// Decodes any number. Returns `None` if no loop ever gives it out.
    #[inline]
    pub fn from_raw(raw: RawHandle) -> Option<Handle> {
        let bits = u64::try_from(raw).ok()?;
        if bits < SLOT_BIT {
            return (bits != 0).then_some(Handle::Soon(bits));
        }
        if bits >= SLOT_BIT << 1 {
            return None;
        }
        let kind = match (bits >> KIND_SHIFT) & 7 {
            1 => Kind::Timer,
            2 => Kind::Watch,
            3 => Kind::Hook,
            4 => Kind::Object,
            _ => return None,
        };
        Some(Handle::Slot(kind, slot_from_low_bits(bits)))
    }

    /// Returns the slot that a handle names; `None` if it is not of this kind.
    #[inline(always)]
    pub fn slot_from_raw(kind: Kind, raw: RawHandle) -> Option<SlotId> {
        let bits = raw as u64;
        let is_it = bits >> KIND_SHIFT == SLOT_BIT >> KIND_SHIFT | kind as u64;
        is_it.then_some(slot_from_low_bits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_survives_the_trip_to_c_and_back() {
        for kind in [Kind::Timer, Kind::Watch, Kind::Hook, Kind::Object] {
            for index in [0, 1, MAX_SLOTS - 1] {
                for generation in [1, 77, MAX_GENERATION - 1] {
                    let handle = Handle::Slot(kind, SlotId { index, generation });
                    assert!(handle.to_raw() > 0 && handle.to_raw() < 1 << 53);
                    assert_eq!(Handle::from_raw(handle.to_raw()), Some(handle));
                    let timer = (kind == Kind::Timer).then_some(SlotId { index, generation });
                    assert_eq!(Handle::slot_from_raw(Kind::Timer, handle.to_raw()), timer);
                    let watch = (kind == Kind::Watch).then_some(SlotId { index, generation });
                    assert_eq!(Handle::slot_from_raw(Kind::Watch, handle.to_raw()), watch);
                }
            }
        }
        for sequence in [1, MAX_SEQUENCE - 1] {
            let handle = Handle::Soon(sequence);
            assert_eq!(Handle::from_raw(handle.to_raw()), Some(handle));
        }
    }

    #[test]
    fn invented_numbers_are_nothing() {
        for raw in [0, -1, i64::MIN, i64::MAX, 1 << 53, 1 << 52, (1 << 52) | (7 << 49)] {
            assert_eq!(Handle::from_raw(raw), None, "{raw:#x}");
            assert_eq!(Handle::slot_from_raw(Kind::Timer, raw), None, "{raw:#x}");
        }
    }
}
