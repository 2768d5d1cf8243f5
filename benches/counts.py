#!/usr/bin/env python3
"""Instructions and system calls per operation: what does not move with the machine's mood.

    make bench-check    compares evloop with benches/baseline.csv; fails when one is 3 % worse
    make bench-bless    writes benches/baseline.csv anew

Instructions are user-space instructions by valgrind's callgrind, those of the workload's own loop and
callback included. System calls are counted by strace between marks that the program makes (a write
that fails) where a phase begins and ends. Both are divided by the operations.
"""

import argparse
import csv
import os
import re
import shutil
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
ASKED = " [loop_fd]"


def command(backend, count, options=()):
    words = [str(backend.program), "-n", str(count.size)]
    for option in (*count.options, *options):
        words += ["-o", option]
    return words + [count.workload]


def call(words):
    answer = subprocess.run(words, capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        raise SystemExit(f"FAILED: {' '.join(words)}\n{answer.stdout}{answer.stderr}")
    return answer.stdout


def instructions(backend, count):
    """{phase: instructions per operation}."""
    with tempfile.TemporaryDirectory() as folder:
        call(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *command(backend, count)])
        totals = defaultdict(list)
        for dump in Path(folder).iterdir():
            text = dump.read_text()
            phase = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            # Of all threads together.
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
            if phase and total:
                totals[phase.group(1)].append(int(total.group(1)))
    return {phase: sum(totals[phase]) / len(totals[phase]) / operations(count, phase) for phase in count.phases}


def operations(count, phase):
    """By how much its phase is divided: phase_end's argument."""
    return count.size * 7 if phase == "lateness_all" else count.size


def system_calls(backend, count):
    """{phase: system calls per operation}."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        call(["strace", "-f", "-qq", "-o", str(log), *command(backend, count, ("marks",))])
        found, times = defaultdict(int), defaultdict(int)
        phase = None
        for line in log.read_text(errors="replace").splitlines():
            mark = re.search(r'write\(-1, "(.*?)"', line)
            if mark:
                phase = None if mark.group(1) == "end" else mark.group(1)
                times[phase] += 1
            # An interrupted line is told twice; exits and signals are no calls.
            elif phase and "resumed>" not in line and re.match(r"\d+ +\w+\(", line):
                found[phase] += 1
    return {phase: found[phase] / times[phase] / operations(count, phase) for phase in count.phases if times[phase]}


def measure(backend, is_check=False):
    """{(kind, row): value} of one library."""
    found = {}
    for kind, function, counts in (
        ("instructions", instructions, rows.INSTRUCTIONS),
        ("system calls", system_calls, rows.SYSTEM_CALLS),
    ):
        for count in counts:
            if is_check and not count.is_checked:
                continue
            for phase, value in function(backend, count).items():
                found[kind, phase] = value
            if backend.name == "evloop" and kind == "system calls" and count.workload in rows.ASKED_COUNTS:
                asked = replace(count, options=(*count.options, "loop_fd"))
                for phase, value in function(backend, asked).items():
                    found[kind, phase + ASKED] = value
    return found


def titles(found, kind):
    """[(row, title)] of a kind, in their order."""
    keys = [row for k, row in found if k == kind]
    return [(row, rows.COUNT_TITLES[row.removesuffix(ASKED)] + (ASKED if row.endswith(ASKED) else "")) for row in keys]


def read_baseline():
    with open(BASELINE, newline="") as file:
        return {(line["kind"], line["row"]): float(line["value"]) for line in csv.DictReader(file)}


def write_baseline(found):
    with open(BASELINE, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", "row", "value"])
        for (kind, row), value in found.items():
            table.writerow([kind, row, f"{value:.6g}"])


def check(found):
    """Prints the comparison; False when something has become worse, or is missing."""
    baseline = read_baseline()
    is_good = True
    for key in sorted({*baseline, *found}):
        then, now = baseline.get(key), found.get(key)
        if then is None or now is None:
            verdict, is_good = "not in the baseline" if then is None else "NOT MEASURED", is_good and then is None
        elif now > then * (1 + TOLERANCE) + 0.001:
            verdict, is_good = "WORSE", False
        elif now < then * (1 - TOLERANCE) - 0.001:
            verdict = "better: make bench-bless"
        else:
            verdict = ""
        change = f"{100 * (now / then - 1):+.1f} %" if then and now is not None else ""
        print(f"{key[0]:13} {key[1]:44} {then if then is not None else '':>10} "
              f"{f'{now:.6g}' if now is not None else '':>10} {change:>9}  {verdict}")
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
    if not check(found):
        sys.exit("bench-check: more instructions or system calls than benches/baseline.csv allows; "
                 "if that is meant: make bench-bless")
    print("bench-check: nothing is more than 3 % worse than the baseline")


if __name__ == "__main__":
    main()
