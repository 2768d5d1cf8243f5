#!/usr/bin/env python3
"""Instructions and system calls per operation: what does not move with the machine's mood.

    make bench-check    compares evloop with benches/baseline.csv; fails when one is 3 % worse
    make bench-bless    writes benches/baseline.csv anew

All are divided by the operations.

* Instructions are those of user space, by valgrind's callgrind. In the table they include the workload's own
  loop and callback, the same source for all libraries. In the baseline they do not: "library instructions" are
  those of libevloop.so and of what it calls, which the C compiler does not change.
* Clock reads and allocations are calls of clock_gettime and of malloc and its kin, out of the same run.
* System calls are counted by strace between marks that the program makes (a write that fails) where a
  phase begins and ends.

What would differ from machine to machine is held still: see SAME_EVERYWHERE. Another rustc makes other
instructions: the baseline names the one it was made with, and with another only a gross change fails.
"""

import argparse
import csv
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import build
import rows

BASELINE = Path(__file__).resolve().parent / "baseline.csv"
TOLERANCE = 0.03
TOLERANCE_OF_ANOTHER_RUSTC = 0.25
ASKED = " [loop_fd]"
LIBRARY = "library instructions"
CALLGRIND_KINDS = ("instructions", LIBRARY, "clock reads", "allocations")
KINDS = ("instructions", "clock reads", "allocations", "system calls")
CHECKED_KINDS = (LIBRARY, "clock reads", "allocations", "system calls")
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign")
# Nothing is linked while it is counted, and libc does not choose its memcpy by the processor.
SAME_EVERYWHERE = {
    "LD_BIND_NOW": "1",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM,-SSSE3,-Fast_Unaligned_Copy",
}


def command(backend, count, options=()):
    words = [str(backend.program), "-n", str(count.size)]
    for option in (*count.options, *options):
        words += ["-o", option]
    return words + [count.workload]


def call(words):
    answer = subprocess.run(words, capture_output=True, text=True, timeout=300, env={**os.environ, **SAME_EVERYWHERE})
    if answer.returncode != 0:
        raise SystemExit(f"FAILED: {' '.join(words)}\n{answer.stdout}{answer.stderr}")
    return answer.stdout


def names_of(line, known):
    """The name in a line like "fn=(12) name", which a dump spells out the first time only."""
    number, _, name = line.partition("=")[2].partition(" ")
    if name:
        known[number] = name
    return known[number]


def costs(text, program):
    """{kind: number} of one of callgrind's dumps."""
    found = dict.fromkeys(CALLGRIND_KINDS, 0)
    objects, functions = {}, {}
    here = called = ""
    is_call = False
    for line in text.splitlines():
        if line.startswith(("ob=", "cob=")):
            name = names_of(line, objects)
            here = name if line.startswith("ob=") else here
        elif line.startswith(("fn=", "cfn=")):
            called = names_of(line, functions)
        elif line.startswith("calls="):
            is_call = True  # what the called function costs follows, and is told there too
            times, name = int(line[6:].split()[0]), re.split(r"[@']", called)[0]
            if name == "clock_gettime":
                found["clock reads"] += times
            elif name in ALLOCATORS and "/libc.so" not in here:
                found["allocations"] += times
        elif re.match(r"[-+*\d]", line):
            cost = 0 if is_call else int(line.split()[1])
            is_call = False
            found["instructions"] += cost
            found[LIBRARY] += cost if here != program else 0
    found["clock reads"] -= 1  # of the phase's end
    return found


def callgrind(backend, count):
    """{(kind, phase): number per operation}."""
    totals = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        call(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *command(backend, count)])
        for dump in Path(folder).iterdir():
            text = dump.read_text()
            phase = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            if phase and phase.group(1) in count.phases:
                totals[phase.group(1)].append(costs(text, str(backend.program)))
    return {
        (kind, phase): statistics.median(one[kind] for one in totals[phase]) / operations(count, phase)
        for phase in count.phases
        for kind in CALLGRIND_KINDS
    }


def operations(count, phase):
    """By how much its phase is divided: phase_end's argument."""
    return count.size * 7 if phase == "lateness_all" else count.size


def system_calls(backend, count):
    """{phase: system calls per operation}."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        call(["strace", "-f", "-qq", "-o", str(log), *command(backend, count, ("marks",))])
        found, times, clients = defaultdict(int), defaultdict(int), set()
        phase = None
        for line in log.read_text(errors="replace").splitlines():
            process = line.split()[0]
            mark = re.search(r'write\(-1, "(.*?)"', line)
            if process in clients:
                continue
            if mark and mark.group(1) == "client":
                clients.add(process)
            elif mark:
                phase = None if mark.group(1) == "end" else mark.group(1)
                times[phase] += 1
            # An interrupted line is told twice; exits and signals are no calls.
            elif phase and "resumed>" not in line and re.match(r"\d+ +\w+\(", line):
                found[phase] += 1
    return {phase: found[phase] / times[phase] / operations(count, phase) for phase in count.phases if times[phase]}


def measure(backend, is_check=False):
    """{(kind, row): value} of one library."""
    found = {}
    for count in rows.INSTRUCTIONS:
        found |= callgrind(backend, count)
    for count in rows.SYSTEM_CALLS:
        if is_check and not count.is_checked:
            continue
        for phase, value in system_calls(backend, count).items():
            found["system calls", phase] = value
        if backend.name == "evloop" and count.workload in rows.ASKED_COUNTS:
            asked = replace(count, options=(*count.options, "loop_fd"))
            for phase, value in system_calls(backend, asked).items():
                found["system calls", phase + ASKED] = value
    wanted = CHECKED_KINDS if is_check else KINDS
    return {key: value for key, value in found.items() if key[0] in wanted}


def titles(found, kind):
    """[(row, title)] of a kind, in their order."""
    keys = [row for k, row in found if k == kind]
    return [(row, rows.COUNT_TITLES[row.removesuffix(ASKED)] + (ASKED if row.endswith(ASKED) else "")) for row in keys]


def compiler():
    """What the library's instructions depend on beside its source."""
    answer = subprocess.run(["rustc", "--version"], capture_output=True, text=True)
    return f"{answer.stdout.strip()} {platform.machine()}"


def read_baseline():
    """({(kind, row): value}, the compiler that it was made with)."""
    with open(BASELINE, newline="") as file:
        made_with = file.readline().removeprefix("# ").strip()
        return {(line["kind"], line["row"]): float(line["value"]) for line in csv.DictReader(file)}, made_with


def write_baseline(found):
    with open(BASELINE, "w", newline="") as file:
        file.write(f"# {compiler()}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", "row", "value"])
        for (kind, row), value in found.items():
            table.writerow([kind, row, f"{value:.6g}"])


def judge(key, then, now, is_same_compiler):
    """(what to say, is it bad)."""
    # Other compilers make other instructions, and as many system calls.
    tolerance = TOLERANCE if is_same_compiler or key[0] != LIBRARY else TOLERANCE_OF_ANOTHER_RUSTC
    # A hundredth of a call for each operation is no trend.
    slack = 0.5 if key[0] == LIBRARY else 0.01
    if then is None:
        return "NOT IN THE BASELINE", True
    if now is None:
        return "NOT MEASURED", True
    if now > then * (1 + tolerance) + slack:
        return "WORSE", True
    if now < then * (1 - tolerance) - slack:
        return "better: make bench-bless", False
    return "", False


def check(found):
    """Prints the comparison; False when something has become worse, is new, or is missing."""
    baseline, made_with = read_baseline()
    is_same_compiler = made_with == compiler()
    is_good = True
    for key in sorted({*baseline, *found}):
        then, now = baseline.get(key), found.get(key)
        verdict, is_bad = judge(key, then, now, is_same_compiler)
        is_good = is_good and not is_bad
        change = f"{100 * (now / then - 1):+.1f} %" if then and now is not None else ""
        shown = [f"{value:.6g}" if value is not None else "" for value in (then, now)]
        print(f"{key[0]:20} {key[1]:34} {shown[0]:>10} {shown[1]:>10} {change:>9}  {verdict}".rstrip())
    if not is_same_compiler:
        print(f"\nWARNING: the baseline was made with {made_with}, this is {compiler()}: instructions are\n"
              f"allowed {TOLERANCE_OF_ANOTHER_RUSTC:.0%} instead of {TOLERANCE:.0%}. To be strict again: make bench-bless")
    return is_good


def missing_tools():
    return [tool for tool in ("valgrind", "strace") if not shutil.which(tool)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bless", action="store_true")
    options = parser.parse_args()
    if missing_tools():
        raise SystemExit(f"bench-check needs {' and '.join(missing_tools())}: make deps")
    os.chdir(build.ROOT)
    (evloop,) = build.build(["evloop"])
    found = measure(evloop, is_check=True)
    if options.bless:
        write_baseline(found)
    print(f"{'':55} {'baseline':>10} {'now':>10}")
    if not check(found):
        sys.exit("bench-check: more instructions or system calls than benches/baseline.csv allows; "
                 "if that is meant: make bench-bless")
    print("bench-check: nothing is more than 3 % worse than the baseline")


if __name__ == "__main__":
    main()
