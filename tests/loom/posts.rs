//! Posts, stops and wake-ups while the loop falls asleep or comes to rest: seen or told.

use crate::inbox::Stop;
use crate::model;
use crate::world::{Host, Side, post};
use loom::sync::Arc;
use loom::thread;

/// A loop that sleeps whenever it may has run all posts in the end.
fn posts_to_a_loop_that_sleeps(posters: usize, posts: usize) {
    model(move || {
        let side = Side::new();
        side.shared.begin_run();
        let threads: Vec<_> = (0..posters)
            .map(|_| {
                let shared = side.shared.clone();
                thread::spawn(move || (0..posts).for_each(|_| shared.post(post()).unwrap()))
            })
            .collect();
        // A turn that finds something ready only polls; the next one sleeps.
        let mut taken = side.turn(false).posts;
        while taken < posters * posts {
            taken += side.turn(true).posts;
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(side.take_posts(), 0);
    });
}

#[test]
fn a_post_while_the_loop_falls_asleep_is_run() {
    posts_to_a_loop_that_sleeps(1, 2);
}

#[test]
fn two_posters_while_the_loop_falls_asleep_are_run() {
    posts_to_a_loop_that_sleeps(2, 1);
}

#[test]
fn a_stop_while_the_loop_falls_asleep_ends_the_run() {
    model(|| {
        let side = Side::new();
        side.shared.begin_run();
        let stopper = {
            let shared = side.shared.clone();
            thread::spawn(move || shared.stop().unwrap())
        };
        let mut is_over = side.turn(false).stopped;
        while !is_over {
            is_over = side.turn(true).stopped;
        }
        stopper.join().unwrap();
        assert_eq!(side.shared.take_stop(), Stop::No, "used up once");
    });
}

#[test]
fn a_wake_up_while_the_loop_falls_asleep_ends_a_wait() {
    model(|| {
        let side = Side::new();
        side.shared.begin_run();
        let waking = {
            let shared = side.shared.clone();
            thread::spawn(move || shared.wake().unwrap())
        };
        let mut is_woken = side.turn(false).woken;
        while !is_woken {
            is_woken = side.turn(true).woken;
        }
        waking.join().unwrap();
    });
}

/// What comes as a run ends is seen by it, or the host is told: never neither.
fn while_the_run_ends(bring: fn(&crate::inbox::Shared)) {
    model(move || {
        let side = Side::new();
        let host = Host::new();
        side.set_hook(&host);
        side.shared.begin_run();
        let other = {
            let shared = side.shared.clone();
            thread::spawn(move || bring(&shared))
        };
        let turn = side.turn(false);
        let is_seen = turn.posts == 1 || turn.woken || turn.stopped;
        side.end_run();
        let is_announced = side.shared.has_something(Stop::All);
        other.join().unwrap();
        assert!(is_seen || is_announced || side.is_notified(), "the descriptor is not readable");
        assert!(is_seen || host.calls() == 1, "the hook was not called");
        assert!(host.calls() <= 1); // once in vain, if the run got to it before it rang
    });
}

#[test]
fn a_post_while_the_run_ends_is_run_or_told() {
    while_the_run_ends(|shared| shared.post(post()).unwrap());
}

#[test]
fn a_stop_while_the_run_ends_is_seen_or_told() {
    while_the_run_ends(|shared| shared.stop().unwrap());
}

#[test]
fn a_wake_up_while_the_run_ends_is_seen_or_told() {
    while_the_run_ends(|shared| shared.wake().unwrap());
}

/// A host that runs the loop whenever its hook is called, and only then, misses nothing.
#[test]
fn a_host_that_runs_when_its_hook_is_called_runs_every_post() {
    model(|| {
        let side = Side::new();
        let host = Arc::new(Host::new());
        side.set_hook(&host);
        let poster = {
            let shared = side.shared.clone();
            thread::spawn(move || (0..2).for_each(|_| shared.post(post()).unwrap()))
        };
        let mut taken = 0;
        while taken < 2 {
            host.sleep();
            side.shared.begin_run();
            taken += side.turn(false).posts;
            side.end_run();
        }
        poster.join().unwrap();
    });
}
