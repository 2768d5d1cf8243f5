//! How things end that several threads hold: counted senders, remotes, a closed inbox.

use crate::alive::Alive;
use crate::counted::Counted;
use crate::error::Error;
use crate::inbox::{Remote, Shared};
use crate::world::{Side, post};
use crate::{model, model_without_fences};
use loom::sync::Arc;
use loom::thread;

/// Whoever drops the last one frees the value after all that the others did with it.
#[test]
fn the_last_one_frees_what_the_others_have_looked_at() {
    model(|| {
        let one = Counted::new(Alive::new()).unwrap();
        let others = [0, 1].map(|_| {
            let other = one.clone();
            thread::spawn(move || other.look())
        });
        one.look();
        drop(one);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// A sender may be copied and dropped by threads that do not know of each other.
#[test]
fn copies_are_counted_wherever_they_are_made() {
    model(|| {
        let one = Counted::new(Alive::new()).unwrap();
        let others = [0, 1].map(|_| {
            let other = one.clone();
            thread::spawn(move || {
                let copy = other.clone();
                drop(other);
                copy.look();
            })
        });
        others.into_iter().for_each(|other| other.join().unwrap());
        one.look();
    });
}

/// The last remote goes: a loop that waited for nothing else is woken, and its run ends.
#[test]
fn a_run_that_only_a_remote_keeps_going_ends_with_it() {
    model(|| {
        let side = Side::new();
        side.shared.begin_run();
        let remote = Remote::new(&side.shared).unwrap();
        let holder = thread::spawn(move || drop(remote));
        while side.shared.awaits_posts() {
            side.turn(true);
        }
        holder.join().unwrap();
    });
}

/// A remote's post is run before the run notices that the remote is gone.
#[test]
fn a_remotes_last_post_is_run() {
    model_without_fences(|| {
        let side = Side::new();
        side.shared.begin_run();
        let remote = Remote::new(&side.shared).unwrap();
        let holder = thread::spawn(move || remote.post(post()).unwrap());
        let mut taken = 0;
        while side.shared.awaits_posts() {
            taken += side.turn(true).posts;
        }
        holder.join().unwrap();
        assert_eq!(taken, 1, "the run ended before");
    });
}

/// The loop is freed: a post is refused, or is there to be released. Never lost.
#[test]
fn a_post_while_the_loop_is_freed_is_refused_or_kept() {
    model(|| {
        let side = Side::new();
        let remote = Arc::new(Remote::new(&side.shared).unwrap());
        let poster = {
            let remote = remote.clone();
            thread::spawn(move || remote.post(post()))
        };
        side.shared.close();
        let kept = side.take_posts();
        match poster.join().unwrap() {
            Ok(()) => assert_eq!(kept, 1),
            Err(error) => assert_eq!((error, kept), (Error::CLOSED, 0)),
        }
        assert!(matches!(remote.post(post()), Err(Error::CLOSED)));
    });
}

/// A loop and its remote may be freed at once, in any order, by two threads.
#[test]
fn a_remote_and_its_loop_end_at_once() {
    model(|| {
        let side = Side::new();
        let remote = Remote::new(&side.shared).unwrap();
        let holder = thread::spawn(move || {
            let _ = remote.post(post());
            drop(remote);
        });
        Shared::close(&side.shared);
        drop(side);
        holder.join().unwrap();
    });
}
