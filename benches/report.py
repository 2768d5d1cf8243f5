"""What was measured, as a table on the terminal, as Markdown and as CSV."""

import csv
import os
import platform
import subprocess
from dataclasses import dataclass, field

import counts
import rows


@dataclass
class Result:
    values: dict  # (row, backend): number
    samples: dict  # (row, backend): all of them
    backends: list
    facts: dict
    counts: dict = field(default_factory=dict)  # backend: {(kind, row): number}

    def value(self, row, backend):
        """`backend` may be "limit"."""
        if backend != "limit":
            return self.values.get((row.key, backend), self.values.get((row.otherwise, backend)))
        found = [self.values[row.key, b] for b in rows.LIMIT if (row.key, b) in self.values]
        found = found or [self.values[row.otherwise, b] for b in rows.LIMIT if (row.otherwise, b) in self.values]
        return (max if row.more_is_better else min)(found) if found else None

    def count(self, key, backend):
        names = rows.LIMIT if backend == "limit" else (backend,)
        found = [self.counts[n][key] for n in names if key in self.counts.get(n, {})]
        return min(found) if found else None

    def columns(self, section=None):
        """ "limit" stands for the hand-written loops."""
        if section and section.columns:
            return list(section.columns)
        others = [b for b in self.backends if b not in rows.LIMIT]
        return (["limit"] if len(others) < len(self.backends) else []) + others

    def present(self, section):
        """The rows of which there is anything to show."""
        names = self.columns(section)
        return [r for r in section.rows if any(key == r.key for key, _ in self.values)
                and any(self.value(r, n) is not None for n in names)]


def bound(result, row, factor, library):
    """What a target asks for: (number, its name)."""
    if library is None:
        return factor, ""
    if " + " not in library:
        other = result.value(row, library)
        return (None if other is None else factor * other), library
    parts = [result.values.get((key, "evloop")) for key in library.split(" + ")]
    return (None if None in parts else factor * sum(parts)), library


def verdicts(result, row):
    """[(text, is_met)] for the targets that can be judged."""
    found = []
    mine = result.value(row, "evloop")
    for factor, library in row.targets:
        limit, name = bound(result, row, factor, library)
        if mine is None or limit is None:
            continue
        # Bytes are whole.
        judged = round(mine) if row.unit == "B" else mine
        is_met = judged >= limit if row.more_is_better else judged <= limit
        if library is None:
            text = f"at most {number(limit)} {row.unit}".strip()
        elif factor < 1:
            text = f"{limit / factor / mine:.1f}x {name} (wanted {1 / factor:.3g}x)" if mine else name
        else:
            text = f"{mine / limit * factor:.2f} of {name} (allowed {factor:.3g})" if limit else name
        found.append((text, is_met))
    return found


def number(value):
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


COUNT_TEXTS = {
    "instructions": "In user space, by callgrind, the workload's own loop and callback included. None of the four tables of "
                    "counts depends on how busy the machine is, but for the wait for single timers.",
    "clock reads": "Calls of `clock_gettime`, which are no system calls.",
    "allocations": "Calls of `malloc` and its kin.",
    "system calls": "By strace; with [loop_fd], of a loop whose loop_fd was asked for.",
}


def tables(result):
    """[(title, text, columns, [(row title, cells, [(verdict, is_met)])])], for every form of output."""
    found = []
    for section in rows.SECTIONS:
        names = result.columns(section)
        lines = [
            (row.title + (f" [{row.unit}]" if row.unit not in ("ns", "") else ""),
             [number(result.value(row, n)) for n in names],
             verdicts(result, row) if not section.columns else [])
            for row in result.present(section)
        ]
        if lines:
            found.append((section.title, section.text, names, lines))
    for kind, text in COUNT_TEXTS.items():
        mine = result.counts.get("evloop", {})
        names = result.columns()
        lines = [
            (title, [number(result.count((kind, row), n)) for n in names], [])
            for row, title in counts.titles(mine, kind)
        ]
        if lines:
            found.append((kind.capitalize() + " per operation", text, names, lines))
    return found


def missed(result):
    return [row.title for s in rows.SECTIONS for row in s.rows if not all(met for _, met in verdicts(result, row))]


def terminal(result):
    for title, _, names, lines in tables(result):
        print(f"\n{title}\n\n{'':46}" + "".join(f"{name[:13]:>14}" for name in names))
        for row, cells, judged in lines:
            line = f"{row[:45]:46}" + "".join(f"{cell:>14}" for cell in cells)
            if judged:
                line += "  ok    " if all(met for _, met in judged) else "  MISS  "
                line += "; ".join(text for text, _ in judged)
            print(line)
    print("\n" + ", ".join(f"{name}: {value}" for name, value in result.facts.items()))
    behind = rivals(result)
    print(f"another library is ahead in {len(behind)} rows:" if behind else "no other library is ahead in any row")
    for title, mine, my_count, name, best, count in behind:
        counted = f" ({my_count} and {count} instructions)" if my_count else ""
        print(f"  {title}: {mine}, {name} {best}{counted}")
    titles = missed(result)
    print(f"targets missed: {len(titles)}" + "".join(f"\n  {title}" for title in titles))


def machine():
    """Facts about the machine and the libraries."""

    def output(*command):
        try:
            environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
            answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            return answer.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    facts = {"processor": f"{os.cpu_count()} x {model}", "kernel": platform.release()}
    for package in ("libuv1-dev", "libev-dev", "libevent-dev"):
        facts[package] = output("dpkg-query", "-W", "-f=${Version}", package)
    facts["libuv new"] = newer_libuv_version()
    facts["rustc"] = output("rustc", "--version")
    facts["gcc"] = output("gcc", "-dumpfullversion")
    facts["evloop"] = output("git", "describe", "--always", "--dirty")
    return {name: value for name, value in facts.items() if value}


def newer_libuv_version():
    import build

    folder = build.newer_libuv()
    if not folder:
        return ""
    text = (folder / "include/uv/version.h").read_text()
    parts = [line.split()[2] for line in text.splitlines() if line.startswith("#define UV_VERSION_M")]
    patch = [line.split()[2] for line in text.splitlines() if line.startswith("#define UV_VERSION_PATCH")]
    return ".".join(parts + patch)


CHARTS = """\
![Time for one operation](operations.svg)

![TCP echo and accept](echo.svg)

![Growth with the number of timers](timers.svg)

![Growth with the number of descriptors](descriptors.svg)

![The slowest of a million calls](worst.svg)

![How late timers are](lateness.svg)

![Memory](memory.svg)
"""


def rivals(result):
    """[(row title, evloop's cell, its instructions, library, the same of it)] where a library is ahead by more than
    3 %: less is noise."""
    found = []
    for section in rows.SECTIONS:
        for row in [] if section.columns or section.key == "growth" else section.rows:
            mine = result.value(row, "evloop")
            others = [(result.value(row, b), b) for b in result.backends if b not in (*rows.LIMIT, "evloop")]
            others = [(value, name) for value, name in others if value is not None]
            if mine is None or not others or row.key == "clock" or row.unit == "%":
                continue
            best, name = (max if row.more_is_better else min)(others)
            if mine * 1.03 < best if row.more_is_better else mine > best * 1.03:
                key = "instructions", row.key.removesuffix(" 100k")
                unit = f" {row.unit}" if row.unit else ""
                found.append((row.title.strip() if row.title[0] != " " else f"{row.key} ({row.title.strip()})",
                              number(mine) + unit, number(result.count(key, "evloop")),
                              name, number(best) + unit, number(result.count(key, name))))
    return found


def rivals_table(result):
    if not rivals(result):
        return ["## Where evloop is not ahead", "", "Nowhere, in this run.", ""]
    lines = ["## Where evloop is not ahead", "",
             "All rows of this run in which another library is more than 3 % better, growth excepted; with instructions for one "
             "operation where they are counted.", "",
             "| | evloop | instructions | best | | instructions |", "|---|---:|---:|---|---:|---:|"]
    return lines + ["| " + " | ".join(line) + " |" for line in rivals(result)] + [""]


def markdown(result):
    facts = [f"* {name}: {value}" for name, value in {**machine(), **result.facts}.items()]
    lines = ["# Speed: the numbers", "", "Made by `make bench`: do not edit. How it is measured: [Speed](../speed.md).",
             "", *facts, "", CHARTS, *rivals_table(result)]
    for title, text, names, table in tables(result):
        has_targets = any(judged for _, _, judged in table)
        lines += [f"## {title}", ""] + ([text, ""] if text else [])
        lines += ["| | " + " | ".join(names) + (" | target |" if has_targets else " |")]
        lines += ["|---|" + "---:|" * len(names) + ("---|" if has_targets else "")]
        for row, cells, judged in table:
            line = f"| {row.strip()} | " + " | ".join(cells) + " |"
            if has_targets:
                line += " " + "; ".join(("" if met else "**missed:** ") + text for text, met in judged) + " |"
            lines.append(line)
        lines.append("")
    return "\n".join(lines)


def write(result, folder):
    text = markdown(result)  # names the commit, which the files written below would make a changed one
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "results.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", "row", "backend", "value", "least", "most", "samples"])
        for (row, backend), value in result.values.items():
            found = result.samples[row, backend]
            table.writerow(["measured", row, backend, *(f"{v:.4g}" for v in (value, min(found), max(found))), len(found)])
        for backend, found in result.counts.items():
            for (kind, row), value in found.items():
                table.writerow([kind, row, backend, f"{value:.6g}", "", "", ""])
    (folder / "results.md").write_text(text)
