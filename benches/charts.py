#!/usr/bin/env python3
"""Draws charts (SVG) from a folder's results.csv, with matplotlib: charts.py FOLDER."""

import csv
import subprocess
import sys
from pathlib import Path

COLOURS = {
    "limit": "#9e9e9e",
    "libev": "#e69f00",
    "libevent": "#56b4e9",
    "libuv": "#0072b2",
    "libuv new": "#003c66",
    "evloop": "#d55e00",
}
LIMIT = ("raw heap", "raw wheel")
RATIOS = [
    ("soon", "call_soon"),
    ("chain", "call_soon chain"),
    ("timer_create", "timer create"),
    ("timer_restart_constant 100k", "timer restart, constant"),
    ("timer_restart_random 100k", "timer restart, random"),
    ("timer_cancel 100k", "timer cancel"),
    ("timer_fire", "timer fire"),
    ("lateness_p50_us", "timer lateness"),
    ("watch_setup", "fd watch"),
    ("watch_add_turn_cancel", "fd add + turn + cancel"),
    ("watch_resume_turn_pause", "fd resume + turn + pause"),
    ("watch_toggle", "fd interest there and back"),
    ("delivery", "event delivered"),
    ("post", "post from a thread"),
    ("round_trip", "thread round trip"),
    ("new_free", "loop new + free"),
    ("empty_turn", "empty turn"),
]


def try_to_draw(folder):
    """With an interpreter that has matplotlib: this one or Debian's. A message without."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import matplotlib"], capture_output=True).returncode == 0:
            subprocess.run([python, __file__, str(folder)], check=True)
            return
    print("no charts: python3-matplotlib missing (make deps)", file=sys.stderr)


def read(folder):
    """{(row, backend): value}, "limit" among the backends."""
    values = {}
    with open(folder / "results.csv", newline="") as file:
        for line in csv.DictReader(file):
            if line["kind"] == "measured":
                values[line["row"], line["backend"]] = float(line["value"])
    for row in {row for row, _ in values}:
        limits = [values[row, b] for b in LIMIT if (row, b) in values]
        if limits:
            values[row, "limit"] = max(limits) if row.endswith("_rate") else min(limits)
    return values


def save(figure, folder, name):
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


def add_legend(figure, axes):
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, ncols=len(COLOURS), loc="lower center",
                  bbox_to_anchor=(0.5, 0.98))


def draw_ratios(plt, values, folder):
    """A line for each row, a dot for each library, evloop at 1."""
    rows = [(key, title) for key, title in RATIOS if values.get((key, "evloop"))]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(8, 0.3 * len(rows) + 1))
    axes.axvline(1, color=COLOURS["evloop"], linewidth=2, label="evloop")
    for name, colour in COLOURS.items():
        dots = [(values[key, name] / values[key, "evloop"], y) for y, (key, _) in enumerate(rows) if (key, name) in values]
        if name != "evloop" and dots:
            axes.scatter(*zip(*dots), s=30, color=colour, label=name, zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [title for _, title in rows])
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.set_xlabel("time as a multiple of evloop's: to the right is slower")
    axes.legend(fontsize=8, ncols=len(COLOURS), loc="lower center", bbox_to_anchor=(0.4, 1))
    save(figure, folder, "ratios")


def draw_growth(plt, values, folder, name, panels, what):
    """A panel for each row: time against number."""
    panels = [(key, title) for key, title in panels if any(row.startswith(key + "@") for row, _ in values)]
    if not panels:
        return
    figure, all_axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.2), squeeze=False, sharey=True)
    for axes, (key, title) in zip(all_axes[0], panels):
        for backend, colour in COLOURS.items():
            points = sorted((int(row.split("@")[1]), v) for (row, b), v in values.items()
                            if b == backend and row.startswith(key + "@"))
            if points:
                axes.plot(*zip(*points), marker="o", markersize=3, color=colour, label=backend)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(what)
        axes.grid(alpha=0.3)
    all_axes[0][0].set_ylabel("ns each")
    figure.tight_layout()
    add_legend(figure, all_axes[0][0])
    save(figure, folder, name)


def draw_bars(plt, values, folder, name, panels):
    """A panel for each (rows with their labels, title)."""
    panels = [(rows, title) for rows, title in panels if any((key, "evloop") in values for key, _ in rows)]
    if not panels:
        return
    figure, all_axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3), squeeze=False)
    for axes, (rows, title) in zip(all_axes[0], panels):
        names = [n for n in COLOURS if any((key, n) in values for key, _ in rows)]
        width = 0.8 / len(names)
        for i, backend in enumerate(names):
            heights = [values.get((key, backend), 0) for key, _ in rows]
            axes.bar([x + (i - len(names) / 2 + 0.5) * width for x in range(len(rows))], heights, width,
                     color=COLOURS[backend], label=backend)
        axes.set_xticks(range(len(rows)), [label for _, label in rows])
        axes.set_title(title, fontsize=10)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(axis="y", alpha=0.3)
    figure.tight_layout()
    add_legend(figure, all_axes[0][0])
    save(figure, folder, name)


def main():
    import matplotlib

    matplotlib.use("svg")
    # The same numbers make the same file; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "evloop", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt

    folder = Path(sys.argv[1])
    values = read(folder)
    draw_ratios(plt, values, folder)
    draw_growth(plt, values, folder, "timers", [
        ("timer_create", "timer create"), ("timer_restart_random", "timer restart"),
        ("timer_cancel", "timer cancel"), ("timer_fire", "timer fire"),
    ], "timers")
    draw_growth(plt, values, folder, "descriptors", [
        ("watch_setup", "fd watch"), ("delivery_among", "event, 100 active among"),
    ], "descriptors")
    connections = ("1", "50", "1000")
    draw_bars(plt, values, folder, "echo", [
        ([(f"echo_{n}_rate", n) for n in connections], "TCP echo: requests per second, by connections"),
        ([(f"echo_{n}_cpu", n) for n in connections] + [("accept_cpu", "accept")], "server CPU per request, ns"),
    ])
    draw_bars(plt, values, folder, "memory", [
        ([("bytes_per_timer", "timer"), ("bytes_per_watcher", "fd watcher")], "bytes each"),
        ([("bytes_per_loop_after_a_turn", "loop")], "bytes per loop"),
    ])


if __name__ == "__main__":
    main()
