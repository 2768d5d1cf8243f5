//! Law 14 as a model: every order in which a post, a stop or a wake-up and the loop's falling
//! asleep, its coming to rest or its end can meet; a call of the wake hook and its
//! replacement; the last drops of a counted sender. The files under test are compiled here
//! with loom's atomics and locks in the place of the standard library's.
//!
//! Loom takes `SeqCst` for `AcqRel`. So each such access is made here as compilers make it on
//! weakly ordered processors: with a `SeqCst` fence, which loom knows, before all of them, or
//! after all of them. Every model is tried both ways. A weaker ordering gets no fence: to
//! weaken one that matters makes a model fail.

#[path = "../src/event_loop/callback.rs"]
#[allow(dead_code, reason = "no callback is called here")]
mod callback;
#[path = "../src/base/counted.rs"]
#[allow(dead_code, reason = "large boxes are made elsewhere")]
mod counted;
#[path = "../src/event_loop/doorbell.rs"]
mod doorbell;
#[path = "../src/error.rs"]
#[allow(dead_code, reason = "few of the codes come up")]
mod error;
#[path = "../src/event_loop/inbox.rs"]
#[allow(dead_code, reason = "forks are tested elsewhere, with real processes")]
mod inbox;

#[path = "loom/sync.rs"]
mod sync;
#[path = "loom/world.rs"]
mod world;
use sync::Fence;

// The library's rooms, as the files above name them.
mod base {
    pub use crate::world::ring;
    pub(crate) use crate::{counted, sync};
}
mod event_loop {
    pub use crate::world::Loop;
    pub(crate) use crate::{callback, doorbell};
}
mod sys {
    pub use crate::world::{Waker, fork};
    pub mod thread {
        pub use crate::sync::this_thread as current;
    }
}

#[path = "loom/alive.rs"]
mod alive;
#[path = "loom/bell.rs"]
mod bell;
#[path = "loom/ends.rs"]
mod ends;
#[path = "loom/hook.rs"]
mod hook;
#[path = "loom/posts.rs"]
mod posts;

/// All orders with at most three preemptions. (With eight, which takes minutes, no other
/// failure is found.)
fn model(body: impl Fn() + Clone + Send + Sync + 'static) {
    check(&[Fence::Before, Fence::After], body);
}

/// Without the fences, which as a side effect order what has no order of its own.
fn model_without_fences(body: impl Fn() + Clone + Send + Sync + 'static) {
    check(&[Fence::Nowhere], body);
}

fn check(fences: &[Fence], body: impl Fn() + Clone + Send + Sync + 'static) {
    for fence in fences {
        // All of a model's threads are run by this one, in turn.
        sync::FENCE.set(*fence);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(body.clone());
    }
}
