//! Makes a program that shows a difference smaller, as long as it shows one.

use super::check::{Check, Difference};
use super::library::Library;
use super::program::{Op, Program};
use std::time::{Duration, Instant};

/// Who tries programs that hang waits for each. (`EVLOOP_SHRINK_SECONDS` says otherwise.)
const PATIENCE_SECONDS: u64 = 60;

struct Shrinker<'a> {
    library: &'a Library,
    check: Check,
    end: Instant,
    found: Box<Difference>,
}

/// A smallest program that still shows a difference: no operation can be left out.
pub fn shrink(library: &Library, found: Box<Difference>, check: Check) -> Box<Difference> {
    let told = std::env::var("EVLOOP_SHRINK_SECONDS").ok().and_then(|text| text.parse().ok());
    let patience = Duration::from_secs(told.unwrap_or(PATIENCE_SECONDS));
    let mut shrinker = Shrinker { library, check, end: Instant::now() + patience, found };
    loop {
        let before = shrinker.found.program.clone();
        shrinker.leave_out();
        shrinker.simplify();
        if shrinker.found.program == before {
            return shrinker.found;
        }
    }
}

impl Shrinker<'_> {
    /// Takes a smaller program if it shows a difference too.
    fn try_this(&mut self, smaller: &Program) -> bool {
        if Instant::now() > self.end {
            return false;
        }
        let result = (self.check)(self.library, smaller);
        result.map_err(|still| self.found = still).is_err()
    }

    fn length(&mut self, list: usize) -> usize {
        self.found.program.lists().nth(list).map_or(0, |ops| ops.len())
    }

    /// Leaves operations out: half a list at first, then ever fewer.
    fn leave_out(&mut self) {
        for list in 0..self.found.program.lists().count() {
            let mut size = self.length(list);
            while size > 0 {
                let mut from = 0;
                while from < self.length(list) {
                    let mut smaller = self.found.program.clone();
                    let ops = smaller.lists().nth(list).unwrap();
                    ops.drain(from..(from + size).min(ops.len()));
                    if !self.try_this(&smaller) {
                        from += size;
                    }
                }
                size /= 2;
            }
        }
    }

    /// Tries a plainer set-up, and plainer operations.
    fn simplify(&mut self) {
        for candidate in plainer_programs(&mut self.found.program) {
            if self.try_this(&candidate) {
                return;
            }
        }
    }
}

fn plainer_programs(program: &mut Program) -> Vec<Program> {
    let mut candidates = Vec::new();
    for change in 0..4 {
        let mut plainer = program.clone();
        match change {
            0 => plainer.setup.start = 0,
            1 => plainer.setup.bound = false,
            2 => plainer.setup.fuel /= 2,
            _ => plainer.setup.fuel = plainer.setup.fuel.saturating_sub(1),
        }
        candidates.extend((plainer.setup != program.setup).then_some(plainer));
    }
    let lists = program.lists().map(|ops| ops.clone()).collect::<Vec<_>>();
    for (list, ops) in lists.iter().enumerate() {
        for (index, op) in ops.iter().enumerate() {
            for plainer in plainer(*op) {
                let mut candidate = program.clone();
                candidate.lists().nth(list).unwrap()[index] = plainer;
                candidates.push(candidate);
            }
        }
    }
    candidates
}

fn plainer(op: Op) -> Vec<Op> {
    match op {
        Op::Later(body, time) if time > 1 => vec![Op::Later(body, time / 2), Op::Later(body, 1)],
        Op::Every(body, first, interval, policy) if first > 0 || interval > 1 => {
            vec![Op::Every(body, first / 2, (interval / 2).max(1), policy)]
        }
        Op::Reschedule(pick, time) if time > 1 => vec![Op::Reschedule(pick, time / 2)],
        Op::Elsewhere(errand) => vec![errand.op()],
        Op::Advance(time) if time > 1 => vec![Op::Advance(time / 2)],
        Op::RunForever => vec![Op::RunOnce(0), Op::RunOnce(-1), Op::Run],
        Op::Run => vec![Op::RunOnce(0), Op::RunOnce(-1)],
        Op::RunOnce(limit) if limit != 0 => vec![Op::RunOnce(0), Op::RunOnce(limit / 2)],
        Op::NextEvents(capacity, limit) if limit != 0 => vec![Op::NextEvents(capacity, limit / 2)],
        _ => Vec::new(),
    }
}
