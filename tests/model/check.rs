//! One program, on the library and on the model.

use super::apart::{Ended, apart};
use super::forks::{end_model_child, is_child};
use super::laws::Ways;
use super::library::Library;
use super::program::Program;
use super::real::Seen;
use super::trace::{Event, in_order};
use super::{laws, real};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The library's descriptors have numbers from this on, of which nobody else uses the next forty;
/// those of the model come behind.
const FIRST_NUMBER: i32 = 200;
const NUMBERS: i32 = 20;

/// So often a difference has to be seen.
const TRIES: u32 = 3;

/// So many ways are tried to take what was seen.
const MOST_WAYS: u32 = 300;

/// So much is told of what was the same.
const MOST_LINES: usize = 100;

/// Runs a program twice. How many things were seen, if both saw the same?
pub type Check = fn(&Library, &Program) -> Result<usize, Box<Difference>>;

/// How a program went differently.
pub struct Difference {
    pub program: Program,
    /// Or how it ended before it was over.
    real: Result<Vec<Event>, Ended>,
    model: Result<Vec<Event>, String>,
    /// What a child of the model's says, if it saw a difference.
    in_child: Option<String>,
}

pub fn check(library: &Library, program: &Program) -> Result<usize, Box<Difference>> {
    // With the system's clock no two runs are the same: a difference has to come again.
    let tries = if program.setup.system { TRIES } else { 1 };
    let mut result = check_once(library, program);
    for _ in 1..tries {
        match result {
            Err(found) => {
                if std::env::var_os("EVLOOP_DOUBTS").is_some() {
                    eprintln!("a doubt:\n{found}");
                }
                result = check_once(library, program);
            }
            Ok(_) => break,
        }
    }
    result
}

fn check_once(library: &Library, program: &Program) -> Result<usize, Box<Difference>> {
    let real = real::play(library, program, FIRST_NUMBER);
    // With the system's clock a deadline may fall between two things that were seen.
    let mut ways = Ways::default();
    let likely = compare(program, &real, &mut ways);
    if likely.is_ok() || !program.setup.system {
        return likely;
    }
    for _ in 0..MOST_WAYS {
        // Only when all have been tried is it a difference.
        let Some(next) = ways.next() else { return likely };
        ways = next;
        let found = compare(program, &real, &mut ways);
        if found.is_ok() {
            return found;
        }
    }
    // Too many deadlines fell between two things that were seen: nothing is known.
    Ok(0)
}

fn compare(program: &Program, real: &Seen, ways: &mut Ways) -> Result<usize, Box<Difference>> {
    let mut children = Vec::new();
    let played = catch_unwind(AssertUnwindSafe(|| {
        laws::play(program, FIRST_NUMBER + NUMBERS, real, &mut children, ways)
    }));
    let seen = children.pop_if(|_| is_child());
    let real = in_order(seen.map_or_else(|| real.trace.clone(), |child| child.seen));
    let model = played.map(in_order).map_err(|payload| match payload.downcast::<&str>() {
        Ok(text) => text.to_string(),
        Err(payload) => payload.downcast::<String>().map_or("a panic".to_owned(), |text| *text),
    });
    // Such a program says nothing: the library's guard has stopped a wait that the model takes for an
    // endless one (near the end of time). A library that really hangs runs out of patience.
    let is_void = model.as_ref().is_err_and(|message| message == laws::WAITS_FOR_EVER);
    let is_same = is_void || model.as_ref() == Ok(&real);
    let count = real.len();
    let in_child = children.into_iter().find_map(|child| child.difference);
    if is_same && in_child.is_none() {
        if is_child() {
            end_model_child(None);
        }
        return Ok(count);
    }
    let found = Difference { program: program.clone(), real: Ok(real), model, in_child };
    if is_child() {
        end_model_child(Some(found.to_string()));
    }
    Err(Box::new(found))
}

/// The same in a child, for programs that hang or crash.
pub fn check_apart(library: &Library, program: &Program) -> Result<usize, Box<Difference>> {
    match apart(1, || check(library, program).is_ok()) {
        Ended::Well => Ok(0),
        Ended::Badly => check(library, program),
        ended => {
            let (real, model) = (Err(ended), Ok(Vec::new()));
            Err(Box::new(Difference { program: program.clone(), real, model, in_child: None }))
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.in_child {
            return writeln!(f, "in a child, where the program is\n{text}");
        }
        writeln!(f, "{}", self.program)?;
        let real = match &self.real {
            Ok(real) => &real[..],
            Err(Ended::Killed(libc::SIGALRM)) => return writeln!(f, "it hangs"),
            Err(ended) => return writeln!(f, "it crashes: {ended:?}"),
        };
        let model = match &self.model {
            Ok(model) => &model[..],
            Err(message) => {
                writeln!(f, "the model gave up: {message}")?;
                &[]
            }
        };
        let same = real.iter().zip(model).take_while(|(real, model)| real == model).count();
        let before = same.saturating_sub(MOST_LINES);
        writeln!(f, "           ({before} before)")?;
        real[before..same].iter().try_for_each(|event| writeln!(f, "           {event:?}"))?;
        match real.get(same) {
            Some(event) => writeln!(f, "library:   {event:?}")?,
            None => writeln!(f, "library:   nothing more")?,
        }
        match model.get(same) {
            Some(event) => writeln!(f, "the laws:  {event:?}"),
            None => writeln!(f, "the laws:  nothing more"),
        }
    }
}
