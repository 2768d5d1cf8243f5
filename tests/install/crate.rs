//! Somebody's program in Rust, on the safe core.

use evloop::callback::once;
use evloop::{Ended, Loop};

fn main() -> evloop::Result<()> {
    let on = Loop::new()?;
    let (soon, release) = once(|_: &Loop| println!("soon"));
    let handle = on.call_soon(soon)?;
    on.set_release(handle, Some(release))?;
    let (later, release) = once(|_: &Loop| println!("later"));
    let handle = on.call_later(1_000_000, later)?;
    on.set_release(handle, Some(release))?;
    assert_eq!(on.run()?, Ended::OutOfWork);
    Ok(())
}
