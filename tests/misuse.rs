//! Hostile callers: the programs `tests/c/misuse_*.c` call every function of the header in every
//! wrong way, and say what came of it. `docs/misuse.md` is made of that. This test compares;
//! `make misuse` (EVLOOP_BLESS=1) writes.

mod harness;

use std::fmt::Write;
use std::path::Path;

use harness::interface::{Function, declared_functions};
use harness::{assert_committed, build, files, is_skipped, limited, succeed};

/// What a call answered.
struct Cell {
    table: String,
    function: String,
    misuse: String,
    answer: String,
}

fn cells() -> Vec<Cell> {
    let is_misuse = |path: &Path| path.file_stem().unwrap().to_string_lossy().starts_with("misuse_");
    let programs: Vec<_> = files("tests/c", &["c"]).into_iter().filter(|path| is_misuse(path)).collect();
    assert_eq!(programs.len(), 4);
    let mut cells = Vec::new();
    for program in programs {
        let program = build("gcc", &program).unwrap_or_else(|error| panic!("{error}"));
        let said = succeed(&mut limited(&program)).unwrap_or_else(|error| panic!("{error}"));
        cells.extend(said.lines().map(|line| {
            let [table, function, misuse, answer] =
                line.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().expect(line);
            Cell { table, function, misuse, answer }
        }));
    }
    cells
}

fn answer<'a>(cells: &[&'a Cell], function: &str, misuse: &str) -> Option<&'a str> {
    let found = cells.iter().find(|cell| cell.function == function && cell.misuse == misuse);
    found.map(|cell| cell.answer.as_str())
}

fn of_table<'a>(cells: &'a [Cell], table: &str) -> Vec<&'a Cell> {
    cells.iter().filter(|cell| cell.table == table).collect()
}

/// The columns of a table, in the order in which the program tries them.
fn columns(cells: &[&Cell]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for cell in cells {
        if !columns.contains(&cell.misuse) {
            columns.push(cell.misuse.clone());
        }
    }
    columns
}

/// A row a function, a column a misuse; without the functions that it is nothing to.
fn table(cells: &[&Cell], functions: &[Function]) -> String {
    let columns = columns(cells);
    let mut text = format!("| function | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for Function { name, .. } in functions {
        let answers: Vec<_> = columns.iter().map(|column| answer(cells, name, column)).collect();
        if answers.iter().any(Option::is_some) {
            let answers: Vec<_> = answers.iter().map(|answer| answer.unwrap_or("")).collect();
            writeln!(text, "| `{name}` | {} |", answers.join(" | ")).unwrap();
        }
    }
    text
}

fn list(cells: &[&Cell], functions: &[Function]) -> String {
    let mut text = "| function | called with | answer |\n|---|---|---|\n".to_owned();
    for Function { name, .. } in functions {
        for cell in cells.iter().filter(|cell| cell.function == *name) {
            writeln!(text, "| `{name}` | {} | {} |", cell.misuse, cell.answer).unwrap();
        }
    }
    text
}

const INTRO: &str = "# What misuse comes to

Every function of `evloop.h`, called in every wrong way that can be found out. The tables are what
the programs `tests/c/misuse_*.c` have seen: they make each call, take down its answer, let the
loop do some ordinary work afterwards, and count releases and descriptors. CI runs them, and
compares. Nothing crashes, hangs or leaks, and a call that is refused has changed nothing.

`ok` is 0 or more; an empty cell: the function takes no such argument. What cannot be found out:
a pointer to a loop or remote that has been freed, a pointer to anything else, and a handle of
another loop that is the number of a living source here.
";

fn page(cells: &[Cell], functions: &[Function]) -> String {
    let mut text = INTRO.to_owned();
    let tables = [
        ("arguments", "Wrong pointers and handles", "`NULL` is the loop or the remote."),
        (
            "places",
            "In a wrong place",
            "The arguments are right. A function that any thread may call goes on working in another \
             thread; in a child only `loop_after_fork`, `loop_free` and what has no loop do. A bug \
             inside is caught as `LOOP_EPANIC`; the test makes one by a clock that runs before time \
             began.",
        ),
        (
            "callbacks",
            "Inside callbacks",
            "Everything is allowed, running and freeing the loop included. The wake hook is for \
             telling a host; the header allows no more than what any thread may call there. What it \
             answers to the rest is said here, and is not promised, but that it never waits for \
             itself.",
        ),
    ];
    for (name, title, about) in tables {
        let cells = of_table(cells, name);
        write!(text, "\n## {title}\n\n{about}\n\n{}", table(&cells, functions)).unwrap();
    }
    let values = of_table(cells, "values");
    let about = "With what it does not take, and with what looks wrong and is right.";
    write!(text, "\n## Values\n\n{about}\n\n{}", list(&values, functions)).unwrap();
    text
}

/// A function without a row, or a row without a cell, is a misuse that nobody has tried.
fn assert_complete(cells: &[Cell], functions: &[Function]) {
    for name in ["places", "callbacks"] {
        let cells = of_table(cells, name);
        for (Function { name, .. }, column) in
            functions.iter().flat_map(|f| columns(&cells).into_iter().map(move |c| (f, c)))
        {
            assert!(
                answer(&cells, name, &column).is_some(),
                "{name} is not tried: {column} (tests/c/misuse.h)"
            );
        }
    }
    let arguments = of_table(cells, "arguments");
    for Function { name, prototype, .. } in functions {
        let (_, taken) = prototype.split_once('(').unwrap();
        let takes_handle = taken.contains("loop_handle_t ");
        for column in columns(&arguments) {
            let is_due = match column.as_str() {
                "NULL" => {
                    taken.contains("loop_t *loop,")
                        || taken.contains("loop_t *loop)")
                        || taken.contains("remote_t *remote")
                }
                "another kind's handle" => {
                    taken.contains("loop_handle_t timer") || taken.contains("loop_handle_t watch")
                }
                _ => takes_handle,
            };
            let is_tried = answer(&arguments, name, &column).is_some();
            assert_eq!(is_tried, is_due, "{name}: {column} (the second column in tests/c/misuse.h)");
        }
    }
    let unknown = cells.iter().find(|cell| !functions.iter().any(|f| f.name == cell.function));
    assert!(unknown.is_none(), "{} is not in the header", unknown.unwrap().function);
}

#[test]
fn every_misuse_of_every_function_is_tried_and_said() {
    if is_skipped("gcc") {
        return;
    }
    let (cells, functions) = (cells(), declared_functions());
    assert_complete(&cells, &functions);
    assert_committed("docs/misuse.md", &page(&cells, &functions), "make misuse");
}
