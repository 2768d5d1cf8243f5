//! `Watchers` against a kernel that accepts everything.

use super::*;

/// A kernel that accepts everything, as far as `Watchers` can tell.
struct Kernel(Watchers);

impl Kernel {
    fn new() -> Self {
        Kernel(Watchers::new())
    }

    /// Watches; `new` when the kernel takes the registration for a new one.
    fn watch(&mut self, fd: i32, mask: u32, new: bool) -> SlotId {
        let callback = FdCallback::pulled(std::ptr::null_mut());
        let id = self.0.insert(fd, mask, callback, |_| ()).unwrap();
        let change = self.0.addition(fd, mask);
        match new {
            true => self.0.added(id, mask, change, |_, _| Ok(())).unwrap(),
            false => self.0.link(id),
        }
        id
    }

    /// Registers all changes, and returns them.
    fn flush(&mut self) -> Vec<(What, u32)> {
        let mut told = Vec::new();
        while let Some(change) = self.0.next_change(false) {
            self.0.set_registered(change);
            told.push((change.what, change.events));
        }
        told
    }

    fn report(&mut self, fd: i32, events: u32) -> (Report, Vec<(SlotId, u32)>) {
        self.0.count_poll(false);
        let generation = self.0.fd_mut(fd).generation;
        let mut seen = Vec::new();
        let token = token(fd, generation);
        if let Some((id, _, share)) = self.0.report_fast(token, events) {
            return (Report::Delivered, vec![(id, share)]);
        }
        let report = self.0.report(token, events, |id, _, share| {
            seen.push((id, share));
            Ok(())
        });
        (report, seen)
    }
}

#[test]
fn watchers_share_one_registration_and_get_their_share_in_order() {
    let mut kernel = Kernel::new();
    let a = kernel.watch(5, READABLE, true);
    let b = kernel.watch(5, WRITABLE, false);
    let c = kernel.watch(5, READABLE | WRITABLE, false);
    assert_eq!(kernel.flush(), [(What::Modify, READABLE | WRITABLE)]);
    assert_eq!(kernel.report(5, READABLE), (Report::Delivered, vec![(a, READABLE), (c, READABLE)]));
    let all = READABLE | WRITABLE | HANGUP;
    let shares = vec![(a, READABLE | HANGUP), (b, WRITABLE | HANGUP), (c, all)];
    assert_eq!(kernel.report(5, HANGUP), (Report::Delivered, shares));
    assert!(kernel.0.remove(a).unwrap().change.is_none());
    assert!(kernel.0.remove(c).unwrap().change.is_none());
    assert_eq!(kernel.flush(), [(What::Modify, WRITABLE)]);
    assert_eq!(kernel.0.remove(b).unwrap().change.unwrap().what, What::Remove);
}

#[test]
fn a_change_undone_before_the_wait_is_not_registered() {
    let mut kernel = Kernel::new();
    let id = kernel.watch(5, READABLE, true);
    assert_eq!(kernel.flush(), []);
    kernel.0.set_mask(id, READABLE | WRITABLE);
    kernel.0.set_mask(id, READABLE);
    assert_eq!(kernel.flush(), []);
}

#[test]
fn a_paused_reader_is_registered_again_only_after_an_unwanted_event() {
    let mut kernel = Kernel::new();
    let id = kernel.watch(5, READABLE, true);
    for _ in 0..3 {
        kernel.0.set_mask(id, 0);
        assert_eq!(kernel.flush(), []);
        kernel.0.set_mask(id, READABLE);
        assert_eq!(kernel.flush(), []);
    }
    kernel.0.set_mask(id, 0);
    assert_eq!(kernel.report(5, READABLE), (Report::Unwanted, vec![]));
    assert_eq!(kernel.flush(), [(What::Modify, EDGE)]);
    assert_eq!(kernel.report(5, HANGUP), (Report::Unwanted, vec![]));
    assert_eq!(kernel.flush(), [], "nothing is registered already");
    kernel.0.set_mask(id, READABLE);
    assert_eq!(kernel.flush(), [(What::Modify, READABLE)]);
}

#[test]
fn a_paused_writer_is_registered_before_the_next_wait() {
    let mut kernel = Kernel::new();
    let id = kernel.watch(5, WRITABLE, true);
    kernel.0.set_mask(id, 0);
    assert_eq!(kernel.flush(), [(What::Modify, EDGE)]);
}

#[test]
fn an_edge_is_rearmed_by_every_update_and_shares_with_nobody() {
    let mut kernel = Kernel::new();
    let id = kernel.watch(5, READABLE | EDGE, true);
    assert_eq!(kernel.flush(), []);
    kernel.0.set_mask(id, READABLE | EDGE);
    assert_eq!(kernel.flush(), [(What::Modify, READABLE | EDGE)]);
    assert!(kernel.0.is_busy(5, READABLE, None));
    assert!(!kernel.0.is_busy(5, READABLE, Some(id)));
    assert!(!kernel.0.is_busy(6, READABLE | EDGE, None));
}

#[test]
fn a_number_that_was_reopened_detaches_its_older_watchers() {
    let mut kernel = Kernel::new();
    let old = kernel.watch(5, READABLE, true);
    let old_generation = kernel.0.fd_mut(5).generation;
    let new = kernel.watch(5, READABLE, true);
    assert!(kernel.0.slots.get(old).unwrap().is_detached());
    assert_eq!(kernel.report(5, READABLE), (Report::Delivered, vec![(new, READABLE)]));
    let orphan = kernel.0.report(token(5, old_generation), READABLE, |_, _, _| Ok(()));
    assert_eq!(orphan, Report::Orphan);
    assert_eq!(kernel.0.report(token(700, 1), READABLE, |_, _, _| Ok(())), Report::Orphan);
    assert!(kernel.0.remove(old).unwrap().change.is_none(), "the kernel knows nothing of it");
    assert!(kernel.0.has_waiting());
    kernel.0.remove(new);
    assert!(!kernel.0.has_waiting() && !kernel.0.has_work());
}

#[test]
fn a_delivery_that_fails_is_asked_for_again() {
    let mut kernel = Kernel::new();
    kernel.watch(5, READABLE | EDGE, true);
    kernel.flush();
    let generation = kernel.0.fd_mut(5).generation;
    kernel.0.report(token(5, generation), READABLE, |_, _, _| Err(crate::error::Error::NO_MEMORY));
    assert_eq!(kernel.flush(), [(What::Modify, READABLE | EDGE)]);
}

#[test]
fn reports_check_at_intervals_whether_the_file_is_open() {
    let mut kernel = Kernel::new();
    kernel.watch(5, READABLE, true);
    let checks = (1..=600).filter(|_| matches!(kernel.report(5, READABLE).0, Report::Check(_)));
    assert_eq!(checks.collect::<Vec<_>>(), [16, 256, 512]);
}

#[test]
fn watchers_of_what_cannot_be_watched_are_ready_every_turn() {
    let mut kernel = Kernel::new();
    let callback = FdCallback::pulled(std::ptr::null_mut());
    let id = kernel.0.insert(5, READABLE | ALWAYS, callback, |_| ()).unwrap();
    kernel.0.prepare(5).unwrap();
    let file = FileId { device: 1, number: 2 };
    kernel.0.always(5, file, id, |_, _| Ok(())).unwrap();
    assert_eq!(kernel.flush(), []);
    let ready = |kernel: &mut Kernel| {
        let mut count = 0;
        let emit = |_, _: &mut Watch, _| {
            count += 1;
            Ok(())
        };
        kernel.0.report_always(|fd, behind| (fd, behind) == (5, file), emit).unwrap();
        count
    };
    assert_eq!((kernel.0.has_always(), ready(&mut kernel)), (true, 1));
    kernel.0.set_mask(id, 0);
    assert_eq!((kernel.0.has_always(), ready(&mut kernel)), (false, 0));
    kernel.0.set_mask(id, READABLE);
    assert_eq!(kernel.0.report_always(|_, _| false, |_, _, _| unreachable!()), Ok(Some(5)));
    kernel.0.remove(id);
    assert!(kernel.0.always.is_empty());
}

#[test]
fn a_descriptor_takes_16_bytes() {
    assert_eq!(size_of::<Fd>(), 16);
}

#[test]
fn the_order_stays_when_any_watcher_is_removed() {
    for count in 1..6 {
        for leaver in 0..count {
            let mut kernel = Kernel::new();
            let mut ids: Vec<_> = (0..count).map(|i| kernel.watch(5, READABLE, i == 0)).collect();
            kernel.flush();
            kernel.0.remove(ids.remove(leaver)).unwrap();
            ids.push(kernel.watch(5, READABLE, ids.is_empty()));
            let shares: Vec<_> = ids.iter().map(|id| (*id, READABLE)).collect();
            assert_eq!(kernel.report(5, READABLE), (Report::Delivered, shares));
            for id in ids {
                kernel.0.remove(id).unwrap();
            }
            assert_eq!(kernel.report(5, READABLE), (Report::Orphan, vec![]));
            assert!(!kernel.0.has_waiting());
        }
    }
}

#[test]
fn each_changed_descriptor_is_registered_once() {
    let mut kernel = Kernel::new();
    let ids: Vec<_> = (0..5).map(|fd| kernel.watch(fd, READABLE, true)).collect();
    for id in ids.iter().chain(&ids) {
        kernel.0.set_mask(*id, WRITABLE);
    }
    assert!(kernel.0.has_changes());
    assert_eq!(kernel.flush(), [(What::Modify, WRITABLE); 5]);
    assert!(!kernel.0.has_changes());
    for id in ids {
        assert!(kernel.0.set_plain_mask(id, READABLE) && kernel.0.set_plain_mask(id, WRITABLE));
    }
    assert_eq!(kernel.flush(), [], "changed and changed back");
}
