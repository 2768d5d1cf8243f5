#!/usr/bin/env python3
"""Draws charts (SVG) from a folder's results.csv, with matplotlib: charts.py FOLDER.

Two kinds: panels of bars, each with a scale of its own that begins at zero and with the numbers beside the
bars; and lines on logarithmic scales for what grows. The background is a light card of its own, so that they
can be read on a dark page too.
"""

import csv
import subprocess
import sys
from pathlib import Path

COLOURS = {
    "limit": "#b8b8b8",
    "libev": "#e69f00",
    "libevent": "#56b4e9",
    "libuv": "#0072b2",
    "libuv new": "#7a5195",
    "evloop": "#d5360b",
}
LIMIT = ("raw heap", "raw wheel")
MARKERS = {"limit": "_", "libev": "s", "libevent": "^", "libuv": "v", "libuv new": "D", "evloop": "o"}

# The panels of each chart: rows with their titles.
BARS = {
    "operations": ("Nanoseconds for one operation: shorter is better", 4, [
        ("soon", "call_soon and its run"),
        ("chain", "call_soon chain"),
        ("chain_strict", "chain, a poll every turn"),
        ("timer_create", "timer create"),
        ("timer_cancel 100k", "timer cancel"),
        ("timer_restart_constant 100k", "timer restart, constant"),
        ("timer_restart_random 100k", "timer restart, random"),
        ("timer_restart_passing", "timer restart, time passes"),
        ("timer_fire", "timer fire"),
        ("timer_fire_passing", "timer fire, time passes"),
        ("watch_setup", "fd watch, set up"),
        ("watch_toggle", "fd interest there and back"),
        ("watch_resume_turn_pause", "fd resume, turn, pause"),
        ("watch_add_turn_cancel", "fd add, turn, cancel"),
        ("delivery", "event delivered"),
        ("wait_run", "turn with one event"),
        ("empty_turn", "empty turn"),
        ("empty_turn_1000", "empty turn, 1,000 watchers"),
        ("post", "post from a thread"),
        ("round_trip", "round trip of threads"),
        ("soon_throwing", "call_soon, 1 in 1,000 throws"),
        ("new_free", "loop, new and free"),
    ]),
    "echo": ("TCP echo and accept: longer is better in the first column, shorter elsewhere", 4, [
        *((f"echo_{n}_{key}", f"{n} connection{'s' * (n > 1)}: {title}")
          for n in (1, 50, 1000)
          for key, title in (("rate", "requests/s"), ("p50_us", "median, us"), ("p99_us", "p99, us"),
                             ("cpu", "server CPU, ns"))),
        ("accept_rate", "accepts/s"),
        ("accept_cpu", "accept: server CPU, ns"),
    ]),
    "worst": ("The slowest of a million single calls, microseconds", 4, [
        ("worst_soon_max_us", "call_soon"),
        ("worst_later_max_us", "call_later"),
        ("worst_cancel_max_us", "cancel"),
        ("worst_turn_max_us", "a turn after the burst"),
        ("worst_soon_p999_us", "call_soon, p99.9"),
        ("worst_later_p999_us", "call_later, p99.9"),
        ("worst_cancel_p999_us", "cancel, p99.9"),
        ("worst_passing_turn_max_us", "a turn, 1M timers in a minute"),
    ]),
    "memory": ("Bytes, the user's part and the library's: shorter is better", 3, [
        ("bytes_per_timer", "timer"),
        ("bytes_per_watcher", "fd watcher"),
        ("bytes_per_loop_after_a_turn", "loop"),
    ]),
    "lateness": ("Microseconds late: single timers of 50 us to 5 ms", 2, [
        ("lateness_p50_us", "median"),
        ("lateness_p99_us", "p99"),
    ]),
}
LINES = {
    "timers": ("timers", [
        ("timer_create", "timer create"), ("timer_restart_random", "timer restart"),
        ("timer_cancel", "timer cancel"), ("timer_fire", "timer fire"),
    ]),
    "descriptors": ("descriptors", [
        ("watch_setup", "fd watch, set up"), ("delivery_among", "event, 100 active among"),
    ]),
}


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
    # Libraries that always poll have one chain only.
    for name in COLOURS:
        if ("chain", name) in values:
            values.setdefault(("chain_strict", name), values["chain", name])
    return values


def save(figure, folder, name):
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", pad_inches=0.15, metadata={"Date": None})


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw_panel(axes, values, key, title, has_names):
    """One bar a library, its number beside it."""
    names = [name for name in COLOURS if any(b == name for _, b in values)]
    found = [values.get((key, name)) for name in names]
    most = max(value for value in found if value is not None)
    for y, (name, value) in enumerate(zip(names, found)):
        if value is None:
            axes.text(0, y, " none", va="center", fontsize=8, color="#888888")
            continue
        axes.barh(y, value, 0.75, color=COLOURS[name])
        weight = "bold" if name == "evloop" else "normal"
        axes.text(value + most * 0.03, y, number(value), va="center", fontsize=8, fontweight=weight, color="#222222")
    axes.set_xlim(0, most * 1.35 or 1)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names if has_names else [""] * len(names), fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color("#999999")
    axes.set_title(title, fontsize=9, loc="left")


def draw_bars(plt, values, folder, name, title, columns, panels):
    panels = [(key, text) for key, text in panels if (key, "evloop") in values]
    if not panels:
        return
    height = -(-len(panels) // columns)
    figure, grid = plt.subplots(height, columns, figsize=(2.6 * columns, 1.5 * height + 0.4), squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < len(panels):
            draw_panel(axes, values, *panels[place], place % columns == 0)
        else:
            axes.axis("off")
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    save(figure, folder, name)


def draw_lines(plt, values, folder, name, what, panels):
    """A panel for each row: time against number."""
    panels = [(key, title) for key, title in panels if any(row.startswith(key + "@") for row, _ in values)]
    if not panels:
        return
    figure, all_axes = plt.subplots(1, len(panels), figsize=(2.8 * len(panels), 3.2), squeeze=False, sharey=True)
    for axes, (key, title) in zip(all_axes[0], panels):
        for backend, colour in COLOURS.items():
            points = sorted((int(row.split("@")[1]), v) for (row, b), v in values.items()
                            if b == backend and row.startswith(key + "@"))
            if points:
                axes.plot(*zip(*points), marker=MARKERS[backend], markersize=4, color=colour, label=backend,
                          linewidth=2.2 if backend == "evloop" else 1.2, zorder=3 if backend == "evloop" else 2)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.yaxis.set_minor_formatter("")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(what, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    first = all_axes[0][0]
    first.set_ylabel("ns each", fontsize=9)
    low, high = first.get_ylim()
    if high < 10 * low:  # one power of ten is not enough of a scale
        first.yaxis.set_minor_formatter(lambda value, _: number(value) if f"{value:e}"[0] in "2468" else "")
        first.tick_params(which="minor", labelsize=8)
    figure.tight_layout()
    figure.legend(*first.get_legend_handles_labels(), fontsize=8, ncols=3, loc="lower center",
                  bbox_to_anchor=(0.5, 0.98), frameon=False)
    save(figure, folder, name)


def main():
    import matplotlib

    matplotlib.use("svg")
    # The same numbers make the same file; text stays text.
    matplotlib.rcParams.update({
        "svg.hashsalt": "evloop", "svg.fonttype": "none", "font.family": ["DejaVu Sans", "sans-serif"],
        "figure.facecolor": "#fdfdfb", "axes.facecolor": "#fdfdfb",
    })
    from matplotlib import pyplot as plt

    folder = Path(sys.argv[1])
    values = read(folder)
    for name, chart in BARS.items():
        draw_bars(plt, values, folder, name, *chart)
    for name, chart in LINES.items():
        draw_lines(plt, values, folder, name, *chart)


if __name__ == "__main__":
    main()
