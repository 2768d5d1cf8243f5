#!/usr/bin/env python3
"""evloop beside libuv, libev, libevent and a hand-written epoll loop.

    make bench          everything; writes docs/bench/ (under ten minutes)
    make bench-quick    smaller and fewer; writes target/bench/quick/ (under two minutes)

or, after `make lib`, by hand:

    benches/bench.py [--quick] [--rounds N] [--only REGEX] [--backends "evloop,libuv"]
                     [--out DIR] [--stat median|min] [--cpu] [--no-pin] [--no-build] [--no-counts] [--list] [--times]

--only picks workloads and rows (a regular expression: `--only 'timer'`). A backend is "raw heap",
"raw wheel", libev, libevent, libuv, "libuv new" or evloop. --stat min shows the best instead of
the median: the better choice on a busy machine. --cpu times the thread's processor time instead of
the clock on the wall: for the same, but wrong for rows that wait or have two threads. One program
on its own:

    target/bench/bench-evloop -n 100000 timers

Every backend is the same workload source (benches/src) compiled against another header.
A round runs each workload once on each backend, one straight after the other, in an order that
rotates; a value is the median of all rounds. Workloads count their callbacks and fail when
one is missing or too many: then so does this program. rows.py says what is printed and what
evloop has to reach.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import build
import charts
import counts
import report
import rows


CANNOT = 77  # a program's status where the machine lacks something


def run_once(backend, workload, options):
    """{row: [values]} of one run of one program, or why it cannot run here."""
    words = [*([] if options.pin else ["-P"]), *(["-o", "cpu"] if options.cpu else [])]
    command = [str(backend.program), *words, *workload.arguments(options.quick)]
    environment = {**os.environ, "LD_PRELOAD": str(build.SHIFT_CLOCK)} if workload.shifted else None
    answer = subprocess.run(command, capture_output=True, text=True, timeout=700, env=environment)
    if answer.returncode == CANNOT:
        return answer.stderr.strip()
    if answer.returncode != 0:
        raise SystemExit(f"FAILED ({answer.returncode}): {' '.join(command)}\n{answer.stderr}")
    values = defaultdict(list)
    for line in answer.stdout.splitlines():
        row, value = line.split("\t")
        if row != "-":
            values[row + workload.suffix].append(float(value))
    return values


def processor_seconds():
    """Of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def free_gb():
    found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    return int(found.group(1)) / 1e6


def measure(backends, workloads, options):
    """({(row, backend name): [values]}, {workload: why it was skipped}); interleaved."""
    samples, skipped, spent = defaultdict(list), {}, defaultdict(float)
    for number in range(options.rounds):
        for workload in workloads:
            name = workload.name + workload.suffix
            if name in skipped or workload.rounds and number >= workload.rounds:
                continue
            if workload.needs_gb > 0.5 and workload.needs_gb > free_gb():
                skipped[name] = f"needs {workload.needs_gb} GB of free memory"
                continue
            turn = backends[number % len(backends):] + backends[: number % len(backends)]
            for backend in turn:
                if workload.backends and backend.name not in workload.backends:
                    continue
                began = processor_seconds()
                found = run_once(backend, workload, options)
                spent[name] += processor_seconds() - began
                if isinstance(found, str):
                    skipped[name] = found
                    break
                for row, values in found.items():
                    samples[row, workload.column or backend.name] += values
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    for row, other in ({} if options.quick else rows.SAME_AS).items():
        samples |= {(row, backend): values for (key, backend), values in samples.items() if key == other}
    if options.times:
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
            print(f"{seconds:6.1f} s  {name}", file=sys.stderr)
    return samples, skipped


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--backends", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stat", choices=["median", "min"], default="median")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--no-pin", dest="pin", action="store_false")
    parser.add_argument("--no-build", dest="build", action="store_false")
    parser.add_argument("--no-counts", dest="counts", action="store_false")
    parser.add_argument("--times", action="store_true", help="where the processor's time goes")
    parser.add_argument("--list", action="store_true", help="the workloads and rows, and no more")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    if options.quick or options.only:
        options.counts = False
    if options.counts and counts.missing_tools():
        print(f"no table of counts: {' and '.join(counts.missing_tools())} missing (make deps)", file=sys.stderr)
        options.counts = False
    return options


def main():
    options = parse()
    if options.list:
        for workload in rows.WORKLOADS:
            print(*workload.arguments(options.quick))
        for section in rows.SECTIONS:
            for row in section.rows:
                print(f"{section.key:10} {row.key:28} {row.title}")
        return
    wanted = [name.strip() for name in options.backends.split(",") if name.strip()]
    if options.build:
        backends = build.build(wanted)
    else:
        backends = [b for b in build.BACKENDS if b.program.exists() and (not wanted or b.name in wanted)]
    pattern = re.compile(options.only)
    workloads = [w for w in rows.WORKLOADS if pattern.search(w.name + w.suffix) and not (options.quick and w.quick < 0)]
    began, load = time.time(), os.getloadavg()
    samples, skipped = measure(backends, workloads, options)

    def choose(row, values):
        if options.stat == "median":
            return statistics.median(values)
        return (max if row.endswith("_rate") else min)(values)

    result = report.Result(
        {key: choose(key[0], values) for key, values in samples.items()},
        samples,
        [b.name for b in backends],
        {"time": "processor" if options.cpu else "wall", "load": f"{load[0]:.1f} before, {os.getloadavg()[0]:.1f} after", "values": options.stat, "rounds": options.rounds,
         "size": "quick (300,000 where a title says 1M)" if options.quick else "full"},
    )
    if options.counts:
        for backend in backends:
            result.counts[backend.name] = counts.measure(backend)
    result.facts["seconds"] = round(time.time() - began)
    if load[0] > 0.5 * os.cpu_count():
        result.facts["WARNING"] = "the machine was busy when this run began: its numbers say little"
    skipped |= {name: "not built" for name in {b.name for b in build.BACKENDS} - {b.name for b in backends} if not wanted}
    if skipped:
        result.facts["SKIPPED"] = "; ".join(f"{name} ({why})" for name, why in skipped.items())
    report.terminal(result)
    if options.out:
        report.write(result, options.out)
        charts.try_to_draw(options.out)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
