//! Hooks: callbacks before and after the wait, in the order of their creation.
//!
//! Iteration needs no state but the order of the last one called, so hooks may
//! add, cancel and throw as they like; one added meanwhile is for the next time.

use crate::base::memory::try_push;
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::error::Result;
use crate::event_loop::callback::Callback;
use crate::event_loop::side_table::ExtrasRef;

/// When a hook is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Before every call that asks the kernel.
    BeforeWait = 1,
    /// After every call that asked the kernel.
    AfterWait = 2,
    /// Before a wait that would block.
    WhenIdle = 3,
    /// When a signal interrupted the wait.
    OnInterrupt = 4,
}

pub struct Hook {
    pub callback: Callback,
    pub when: When,
    pub extras: ExtrasRef,
    /// In pull mode: its place in the ready queue, or 0.
    pub pending: u64,
}

impl Default for Hook {
    fn default() -> Self {
        let callback = Callback::pulled(std::ptr::null_mut());
        Hook { callback, when: When::BeforeWait, extras: ExtrasRef::NONE, pending: 0 }
    }
}

pub struct Hooks {
    pub slots: Slots<Hook>,
    /// By the order of making.
    lists: [Vec<(u64, SlotId)>; 4],
    order: u64,
}

impl Hooks {
    pub const fn new() -> Self {
        Hooks { slots: Slots::new(), lists: [const { Vec::new() }; 4], order: 0 }
    }

    fn list(&self, when: When) -> &Vec<(u64, SlotId)> {
        &self.lists[when as usize - 1]
    }

    pub fn insert(&mut self, when: When, callback: Callback) -> Result<SlotId> {
        let list = &mut self.lists[when as usize - 1];
        list.try_reserve(1)?;
        let id = self.slots.insert(Hook { callback, when, extras: ExtrasRef::NONE, pending: 0 })?;
        self.order += 1;
        try_push(list, (self.order, id))?;
        Ok(id)
    }

    pub fn remove(&mut self, id: SlotId) -> Option<Hook> {
        let hook = self.slots.remove(id)?;
        self.lists[hook.when as usize - 1].retain(|(_, other)| *other != id);
        Some(hook)
    }

    #[inline]
    pub fn is_empty(&self, when: When) -> bool {
        self.list(when).is_empty()
    }

    /// Returns whether there is no hook of any kind.
    #[inline]
    pub fn is_all_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// The order of the newest hook of all.
    pub fn newest(&self) -> u64 {
        self.order
    }

    /// Returns the first hook made after `order` and not after `newest`, with its order.
    pub fn after(&self, when: When, order: u64, newest: u64) -> Option<(u64, SlotId, Callback)> {
        let list = self.list(when);
        let (order, id) = *list.get(list.partition_point(|(other, _)| *other <= order))?;
        let hook = self.slots.get(id)?;
        (order <= newest).then_some((order, id, hook.callback))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(hooks: &Hooks, when: When, newest: u64) -> Vec<SlotId> {
        let next = |last| hooks.after(when, last, newest);
        std::iter::successors(next(0), |(order, ..)| next(*order)).map(|(_, id, _)| id).collect()
    }

    #[test]
    fn hooks_come_in_the_order_of_their_making_and_by_kind() {
        let mut hooks = Hooks::new();
        let mut add = |when| hooks.insert(when, Callback::pulled(std::ptr::null_mut())).unwrap();
        let [a, _idle, b, c] =
            [When::BeforeWait, When::WhenIdle, When::BeforeWait, When::BeforeWait].map(&mut add);
        let newest = hooks.newest();
        assert_eq!(all(&hooks, When::BeforeWait, newest), [a, b, c]);
        hooks.remove(b).unwrap();
        let late = hooks.insert(When::BeforeWait, Callback::pulled(std::ptr::null_mut())).unwrap();
        assert_eq!(all(&hooks, When::BeforeWait, newest), [a, c], "one made meanwhile is for the next time");
        assert_eq!(all(&hooks, When::BeforeWait, hooks.newest()), [a, c, late]);
        assert!(hooks.is_empty(When::OnInterrupt) && !hooks.is_empty(When::WhenIdle));
    }
}
