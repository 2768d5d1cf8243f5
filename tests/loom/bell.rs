//! The doorbell alone: who has to be told.

use crate::doorbell::{Doorbell, Tell};
use crate::model;
use loom::sync::Arc;
use loom::thread;

/// A descriptor ends the wait: the loop is awake as ever, and sleeps again if nobody rings.
#[test]
fn a_wait_that_nobody_rang_for_leaves_no_trace() {
    model(|| {
        let doorbell = Doorbell::new();
        doorbell.begin_run();
        for _ in 0..2 {
            assert!(doorbell.fall_asleep());
            assert!(!doorbell.wake_up());
        }
        assert_eq!(doorbell.ring(), Tell::Nobody);
        assert!(!doorbell.fall_asleep());
        assert!(doorbell.wake_up());
        assert!(doorbell.fall_asleep());
        assert_eq!(doorbell.ring(), Tell::Sleeper);
        assert!(doorbell.wake_up());
        doorbell.end_run();
        assert_eq!(doorbell.ring(), Tell::Host);
        assert_eq!(doorbell.ring(), Tell::Nobody);
    });
}

/// A burst costs one system call, however many threads it comes from; none while awake.
#[test]
fn of_a_burst_one_ring_has_to_tell() {
    for is_asleep in [true, false] {
        model(move || {
            let doorbell = Arc::new(Doorbell::new());
            doorbell.begin_run();
            if is_asleep {
                assert!(doorbell.fall_asleep());
            }
            let posters = [0, 1].map(|_| {
                let doorbell = doorbell.clone();
                thread::spawn(move || [doorbell.ring(), doorbell.ring()])
            });
            let tells = posters.map(|poster| poster.join().unwrap());
            let told = tells.iter().flatten().filter(|tell| **tell != Tell::Nobody).count();
            assert_eq!(told, usize::from(is_asleep));
            assert!(doorbell.wake_up());
            assert!(!doorbell.wake_up());
        });
    }
}
