//! Somebody's program in Rust, on the safe core.

use evloop::{Ended, Loop};

fn main() -> evloop::Result<()> {
    let on = Loop::new()?;
    on.call_soon(|_| println!("soon"))?;
    on.call_later(1_000_000, |_| println!("later"))?;
    assert_eq!(on.run()?, Ended::OutOfWork);
    Ok(())
}
