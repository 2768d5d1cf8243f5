//! The wake hook: called once, and on no thread any more when its replacement returns.

use crate::alive::Alive;
use crate::doorbell::HookCell;
use crate::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

fn boxed() -> Option<Box<Alive>> {
    Some(Box::new(Alive::new()))
}

#[test]
fn a_replaced_hook_runs_on_no_thread() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(boxed());
        let caller = {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(Alive::look))
        };
        cell.replace(None);
        caller.join().unwrap();
    });
}

#[test]
fn a_hook_that_is_replaced_again_and_again_runs_on_no_thread() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(boxed());
        let callers = [0, 1].map(|_| {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(Alive::look))
        });
        cell.replace(boxed());
        cell.arm(true);
        cell.replace(None);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// A hook that its threads leave to the cell's end is whole for those who saw it being put in.
#[test]
fn a_hook_that_is_put_in_meanwhile_is_whole() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        let caller = {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(Alive::look))
        };
        cell.replace(boxed());
        caller.join().unwrap();
    });
}

/// However many threads call it.
#[test]
fn a_hook_is_called_once_until_it_is_armed_again() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        let calls = Arc::new(AtomicUsize::new(0));
        cell.replace(Some(Box::new(calls.clone())));
        let call = |calls: &Arc<AtomicUsize>| {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let callers = [0, 1].map(|_| {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(call))
        });
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        cell.arm(true);
        cell.call_once(call);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}

/// What was put down before it was armed is seen by the hook that this allows.
#[test]
fn who_arms_the_hook_is_seen_by_who_calls_it() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(Some(Box::new(())));
        cell.arm(false);
        let put_down = Arc::new(Alive::new());
        let caller = {
            let (cell, put_down) = (cell.clone(), put_down.clone());
            thread::spawn(move || cell.call_once(|()| put_down.look()))
        };
        put_down.touch();
        cell.arm(true);
        caller.join().unwrap();
    });
}

/// Who calls the hook is known to be inside it, and nobody else is: neither waits for itself.
#[test]
fn a_hook_knows_the_thread_that_calls_it() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(Some(Box::new(())));
        let caller = {
            let cell = cell.clone();
            thread::spawn(move || {
                cell.call_once(|()| assert!(cell.is_called_here()));
                assert!(!cell.is_called_here());
            })
        };
        assert!(!cell.is_called_here());
        caller.join().unwrap();
        assert!(!cell.is_called_here());
    });
}

/// Armed again while it is being called, the hook has two threads inside (one more than there are
/// places for their names here): each knows it, and neither would wait for itself.
#[test]
fn of_two_threads_inside_the_hook_each_knows_it() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(Some(Box::new(())));
        let callers = [0, 1].map(|_| {
            let cell = cell.clone();
            thread::spawn(move || {
                cell.call_once(|()| {
                    cell.arm(true);
                    assert!(cell.is_called_here());
                });
            })
        });
        for caller in callers {
            caller.join().unwrap();
        }
        assert!(!cell.is_called_here(), "all have left");
        cell.replace(None);
    });
}
