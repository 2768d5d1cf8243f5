"""The rows of the tables: which workload prints them, and what evloop has to reach.

A target (factor, "library") says: evloop's value is at most factor times the library's; where more is
better, at least. "limit" is the better of the two hand-written loops. (value, None) is absolute.
(factor, "a + b") is measured against other rows of evloop.
"""

from dataclasses import dataclass, replace


@dataclass
class Workload:
    """One run of a program: `bench-NAME -n size -o option... name`."""

    name: str
    size: int = 0  # 0: the program's own
    quick: int = 0  # the size in a quick run; 0: the same, -1: left out
    options: tuple = ()
    rounds: int = 0  # at most so many; 0: all
    backends: tuple = ()  # only these; (): all
    suffix: str = ""  # added to the names of its rows
    column: str = ""  # the values stand in a column of their own
    shifted: bool = False  # with shift_clock.c preloaded
    needs_gb: float = 0  # of free memory, or it is skipped

    def arguments(self, is_quick):
        size = (is_quick and self.quick) or self.size
        words = ["-n", str(size)] if size else []
        for option in self.options:
            words += ["-o", option]
        return words + [self.name]


@dataclass
class Row:
    key: str
    title: str
    unit: str = "ns"
    targets: tuple = ()
    more_is_better: bool = False
    otherwise: str = ""  # the row whose value stands for a library that has none in this one


@dataclass
class Section:
    key: str
    title: str
    text: str
    rows: list
    columns: tuple = ()  # (): all backends


LIMIT = ("raw heap", "raw wheel")
ASKED = "evloop, asked"  # for its loop_fd
TIMER_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
FD_SIZES = (100, 1_000, 10_000, 20_000)

WORKLOADS = [
    Workload("soon", quick=300_000),
    Workload("soon_own_queue", quick=300_000, rounds=3, backends=("libev", "libevent", "libuv", "libuv new")),
    Workload("chain", quick=300_000),
    Workload("chain", 300_000, rounds=3, options=("strict_poll",), suffix="_strict", backends=(*LIMIT, "evloop")),
    Workload("clock"),
    Workload("timers", quick=300_000, rounds=3),
    Workload("timers", 100_000, suffix=" 100k"),
    Workload("timer_fire", quick=300_000, rounds=3),
    Workload("passing", quick=300_000, rounds=2, shifted=True),
    Workload("idle_timeouts", rounds=2, shifted=True),
    Workload("lateness", quick=8, rounds=2),
    Workload("lateness", quick=8, rounds=2, options=("timer_slack", "precise"), suffix="_exact",
             backends=("evloop", "libevent")),
    Workload("watch_setup"),
    Workload("watch_one", quick=10_000),
    Workload("watch_toggle", 200_000),
    Workload("watch_toggle", 200_000, options=("changelist",), suffix="_changelist", backends=("libevent",)),
    Workload("watch_one", quick=10_000, options=("changelist",), suffix="_changelist", backends=("libevent",)),
    Workload("delivery", quick=50_000),
    Workload("post", quick=300_000, options=("threads",), rounds=3),
    Workload("post_merged", quick=300_000, options=("threads",), rounds=3),
    Workload("round_trip", 10_000, quick=3_000, options=("threads",), rounds=3),
    Workload("new_free", quick=1000, rounds=3),
    Workload("empty_turn", 100_000, quick=50_000),
    Workload("host", 50_000, quick=20_000),
    Workload("wait", 50_000, quick=20_000),
    Workload("throwing", rounds=3),
    Workload("echo_1", quick=5_000, rounds=3),
    Workload("echo_50", quick=20_000, rounds=3),
    Workload("echo_1000", quick=20_000, rounds=3),
    Workload("accept", quick=2_000, rounds=3),
    Workload("memory_timers", rounds=1),
    Workload("memory_soon", rounds=1),
    Workload("memory_watchers", rounds=1),
    Workload("memory_loops", rounds=1),
    Workload("worst", quick=-1, rounds=1),
]
WORKLOADS += [
    replace(w, options=("loop_fd", *w.options), backends=("evloop",), column=ASKED, quick=w.quick or w.size)
    for w in WORKLOADS
    if not w.suffix and w.name in ("soon", "chain", "timers", "watch_one", "delivery", "empty_turn", "host", "wait", "new_free")
]
# Ten million take a minute: one libuv is enough.
WORKLOADS += [
    Workload("growing_timers", size, quick=size if size <= 100_000 else -1, rounds=1, suffix=f"@{size}", needs_gb=size * 3e-7,
             backends=() if size < TIMER_SIZES[-1] else ("raw wheel", "libev", "libevent", "libuv", "evloop"))
    for size in TIMER_SIZES
]
WORKLOADS += [
    Workload("timer_fire", size, quick=size if size <= 10_000 else -1, rounds=1, suffix=f"@{size}")
    for size in TIMER_SIZES[:-2]
]
# Measured already, in a full run.
SAME_AS = {f"timer_fire@{TIMER_SIZES[-2]}": "timer_fire"}
# Ten million that are due would take the others a minute.
WORKLOADS += [
    Workload("timer_fire", TIMER_SIZES[-1], quick=-1, rounds=1, suffix=f"@{TIMER_SIZES[-1]}", needs_gb=3,
             backends=("raw heap", "libev", "evloop"))
]
WORKLOADS += [
    Workload(name, size, quick=size if size <= 1_000 else -1, rounds=2, suffix=f"@{size}")
    for name in ("watch_setup", "delivery_among")
    for size in FD_SIZES
]


def growth(keys, sizes):
    return [Row(f"{key}@{size}", f"{title}, {size:,}") for key, title in keys for size in sizes]


SECTIONS = [
    Section(
        "core",
        "The table of the design",
        "Nanoseconds for one operation, unless it says otherwise. The limit is the better of two epoll loops "
        "written by hand for these workloads, one with a heap and one with a timing wheel. They keep the order of callbacks, the "
        "snapshot of a turn and exact timers, deliver nothing stale, and have neither handles nor checks.",
        [
            Row("soon", "call_soon, 1M queued, then run (each)", "ns", ((1, "libev"), (1 / 4, "libuv"))),
            Row("chain", "call_soon chain, fds still served", "ns", ((1 / 5, "libuv"),)),
            Row("timer_create", "timer create (1M random, call_at)", "ns", ((1 / 5, "libuv"), (1 / 1.5, "libev"))),
            Row("timer_cancel 100k", "timer cancel (of 100,000)", "ns", ((1 / 20, "libuv"), (1 / 3, "libev"))),
            Row("timer_restart_constant 100k", "timer restart (100,000), constant delay", "ns", ((1 / 15, "libuv"), (1 / 2, "libev"))),
            Row("timer_restart_random 100k", "timer restart (100,000), random delay", "ns", ((1 / 10, "libuv"), (1 / 1.4, "libev"))),
            Row("timer_fire", "timer fire (1M due)", "ns", ((1 / 7, "libuv"), (1 / 1.4, "libev"))),
            Row("bytes_per_timer", "bytes per timer", "B", ((64, None),)),
            Row("bytes_per_watcher", "bytes per fd watcher", "B", ((96, None),)),
            Row("lateness_p50_us", "timer lateness, median, 50 us .. 5 ms", "us", ((50, None),)),
            Row("lateness_p99_us", "  p99", "us"),
            Row("lateness_p50_us_exact", "timer lateness, median, most exact options", "us", ((30, None),)),
            Row("fired_early", "timers that fired early", "", ((0, None),)),
            Row("watch_setup", "fd watch: set up (1,000)", "ns", ((1.1, "limit"),)),
            Row("watch_add_turn_cancel", "fd add + turn + cancel", "ns", ((1.15, "limit"),)),
            Row("watch_resume_turn_pause", "fd resume + turn + pause, kept watcher", "ns", ((1.15, "limit"),)),
            Row("watch_toggle", "interest changed and changed back", "ns", ((20, None),)),
            Row("delivery", "event delivered (1,000 fds, 100 active)", "ns", ((1.05, "limit"),)),
            Row("post", "post from another thread, every closure kept", "ns", ((30 / 22, "limit"),)),
            Row("new_free", "loop_new + loop_free", "ns", ((1, "libuv"),)),
            Row("empty_turn", "empty turn, not blocking", "ns", ((1.1, "libevent"),)),
        ],
    ),
    Section(
        "sceptic",
        "What a sceptic would ask",
        "evloop skips polls for up to 50 us while callbacks are ready: here it is told to poll every turn, as the others do. "
        "libuv, libev and libevent have no call_soon for closures: besides the handle that comes nearest (above), a ring of "
        "the user's own, drained by one handle, with nothing that can be cancelled. A timer that is restarted to a later "
        "time may only have taken note of it, and a wheel has to move timers down: here the clock is moved (a preloaded "
        "library does that for all), time passes, and all of it counts.",
        [
            Row("chain_strict", "call_soon chain, a poll every turn", otherwise="chain"),
            Row("soon_own_queue", "call_soon, against a ring of the user's own", otherwise="soon"),
            Row("timer_restart_passing", "idle timeouts restarted (100,000), time passes"),
            Row("timer_fire_passing", "timer fire as time passes (1M in a minute)"),
            Row("watch_toggle_changelist", "interest there and back, libevent's changelist", otherwise="watch_toggle"),
            Row("watch_add_turn_cancel_changelist", "fd add + turn + cancel, libevent's changelist", otherwise="watch_add_turn_cancel"),
        ],
    ),
    Section(
        "turns",
        "Turns and calls between them",
        "As a host makes them that owns the main loop, with turns that do not block; and turns that may block "
        "but find an event at once.",
        [
            Row("empty_turn_1000", "empty turn, 1,000 idle watchers"),
            Row("host_soon_turn", "call_soon, then a turn"),
            Row("host_timer_turn", "timer restarted, then a turn"),
            Row("wait", "turn that may block, one event"),
            Row("wait_far_timer", "  a timer an hour away"),
            Row("wait_run", "turn of a run, one event"),
        ],
    ),
    Section(
        "asked",
        "A loop whose loop_fd was asked for",
        "The same loop on its own, and with the descriptor that a host would watch.",
        [
            Row("soon", "call_soon, 1M queued, then run (each)"),
            Row("chain", "call_soon chain, fds still served"),
            Row("timer_create", "timer create"),
            Row("timer_restart_constant", "timer restart"),
            Row("watch_add_turn_cancel", "fd add + turn + cancel"),
            Row("delivery", "event delivered"),
            Row("empty_turn", "empty turn"),
            Row("host_soon_turn", "call_soon between runs, then a turn"),
            Row("host_timer_turn", "timer restarted between runs, then a turn"),
            Row("wait", "turn that may block, one event"),
            Row("wait_far_timer", "  a timer an hour away"),
            Row("new_free", "loop_new + loop_free"),
        ],
        columns=("evloop", ASKED),
    ),
    Section(
        "clock",
        "Delays and clocks",
        "loop_call_later and loop_reschedule count from a fresh clock, so they read it; the others count from the "
        "time of the turn, which is cheaper and early by what the turn has taken so far.",
        [
            Row("clock", "one reading of the clock"),
            Row("timer_create", "timer create, deadline (call_at)"),
            Row("timer_create_later", "timer create, delay (call_later)", "ns", ((1.1, "timer_create + clock"),)),
            Row("timer_restart_constant", "timer restart, deadline"),
            Row("timer_again_constant", "timer restart, delay", "ns", ((1.1, "timer_restart_constant + clock"),)),
        ],
    ),
    Section(
        "threads",
        "Other threads",
        "libuv, libev and libevent merge posts: to keep every closure, their users put a queue with a lock in "
        "front, as the first rows do for them.",
        [
            Row("post", "post and run, both threads at it"),
            Row("post_send", "post, while the loop rests"),
            Row("post_run", "run, what was posted meanwhile"),
            Row("post_merged", "the library's own call, merged if it merges"),
            Row("post_calls_percent", "callbacks run for them", "%"),
            Row("round_trip", "round trip between two waiting loops"),
        ],
    ),
    Section(
        "network",
        "TCP over descriptor watchers",
        "64 bytes, one request at a time on each connection, every answer compared; server and clients on a "
        "processor each. The clients are the same program for all, and a bottleneck of the rate: the server's "
        "processor time tells the libraries apart.",
        [
            row
            for n in (1, 50, 1000)
            for row in (
                Row(f"echo_{n}_rate", f"echo, {n:,} connections", "/s", more_is_better=True),
                Row(f"echo_{n}_p50_us", "  latency, median", "us"),
                Row(f"echo_{n}_p99_us", "  latency, p99", "us"),
                Row(f"echo_{n}_cpu", "  server CPU per request"),
            )
        ]
        + [
            Row("accept_rate", "accept, one request, close", "/s", more_is_better=True),
            Row("accept_cpu", "  server CPU per connection"),
        ],
    ),
    Section(
        "exceptions",
        "C++ exceptions",
        "One callback in a thousand throws. With evloop the exception leaves the run, which is called again; with the "
        "others the callback has to catch it.",
        [Row("soon_not_throwing", "call_soon, none throws"), Row("soon_throwing", "call_soon, one in 1,000 throws")],
    ),
    Section(
        "memory",
        "Memory",
        "Resident bytes; after a burst, those that are left 20,000 empty turns later. What the user keeps for each object is counted (a struct, or the number that is a handle) "
        "and left out in the rows \"in the library\".",
        [
            Row("bytes_per_timer", "timer", "B"),
            Row("bytes_per_timer_in_loop", "timer, in the library", "B"),
            Row("bytes_per_watcher", "watcher", "B"),
            Row("bytes_per_watcher_in_loop", "watcher, in the library", "B"),
            Row("bytes_per_loop", "loop", "B"),
            Row("bytes_per_loop_after_a_turn", "loop that has run", "B"),
            Row("bytes_left_after_timers", "left after 1M timers", "B"),
            Row("bytes_left_after_soon", "left after 1M call_soon", "B"),
        ],
    ),
    Section(
        "worst",
        "Worst case of single calls",
        "Each of a million calls timed on its own, clock included, while the timers grow to a million, a million "
        "callbacks are queued, and all is taken down. The sequence is made three times; a call's time is the "
        "least at its place, so that what remains is the library's. "
        "The last row is the processor's time of a turn, with what it fires, while the clock moves in steps of 10 ms.",
        [
            Row("worst_later_p999_us", "call_later, p99.9", "us"),
            Row("worst_later_max_us", "call_later, the slowest", "us", ((1000, None),)),
            Row("worst_soon_p999_us", "call_soon, p99.9", "us"),
            Row("worst_soon_max_us", "call_soon, the slowest", "us", ((1000, None),)),
            Row("worst_cancel_p999_us", "cancel, p99.9", "us"),
            Row("worst_cancel_max_us", "cancel, the slowest", "us", ((1000, None),)),
            Row("worst_turn_max_us", "one of the 500 turns after that", "us", ((1000, None),)),
            Row("worst_passing_turn_max_us", "a turn of 10 ms, 1M timers in a minute", "us", ((1000, None),)),
        ],
    ),
    Section(
        "growth",
        "Growth",
        "",
        growth(
            [("timer_create", "timer create"), ("timer_restart_random", "timer restart"),
             ("timer_cancel", "timer cancel"), ("timer_fire", "timer fire")],
            TIMER_SIZES,
        )
        + growth([("watch_setup", "fd watch"), ("delivery_among", "event, 100 active among")], FD_SIZES),
    ),
]


@dataclass
class Count:
    """What is counted of a workload, by callgrind or strace: the phases of these names."""

    workload: str
    size: int
    phases: tuple
    options: tuple = ()
    is_checked: bool = True  # False: it depends on the machine's mood after all


INSTRUCTIONS = [
    Count("soon", 20_000, ("soon",)),
    Count("timers", 20_000, ("timer_create", "timer_create_later", "timer_restart_constant", "timer_restart_random",
                             "timer_again_constant", "timer_cancel")),
    # How much a wheel has to cascade depends on where the clock stands.
    Count("timer_fire", 20_000, ("timer_fire",), ("manual_clock",)),
    Count("watch_setup", 500, ("watch_setup", "watch_teardown")),
    Count("watch_one", 2_000, ("watch_add_turn_cancel", "watch_resume_turn_pause")),
    Count("watch_toggle", 5_000, ("watch_toggle",)),
    Count("delivery", 5_000, ("delivery",)),
    Count("post", 5_000, ("post_send", "post_run"), ("threads",)),
    Count("new_free", 200, ("new_free",)),
    Count("empty_turn", 2_000, ("empty_turn", "empty_turn_1000")),
    Count("host", 2_000, ("host_soon_turn", "host_timer_turn")),
    Count("wait", 2_000, ("wait", "wait_far_timer", "wait_run")),
]
SYSTEM_CALLS = [
    Count("soon", 10_000, ("soon",)),
    Count("timers", 10_000, ("timer_create", "timer_cancel")),
    Count("timer_fire", 10_000, ("timer_fire",)),
    Count("lateness", 3, ("lateness_all",), is_checked=False),
    Count("watch_setup", 500, ("watch_setup", "watch_teardown")),
    Count("watch_one", 500, ("watch_add_turn_cancel", "watch_resume_turn_pause")),
    Count("watch_toggle", 5_000, ("watch_toggle",)),
    Count("delivery", 5_000, ("delivery",)),
    Count("post", 5_000, ("post_send", "post_run"), ("threads",)),
    Count("new_free", 200, ("new_free",)),
    Count("echo_1", 2_000, ("echo_1_wall",)),
    Count("echo_50", 5_000, ("echo_50_wall",), is_checked=False),
    Count("accept", 500, ("accept_wall",), is_checked=False),
    Count("empty_turn", 500, ("empty_turn",)),
    Count("host", 500, ("host_soon_turn", "host_timer_turn")),
    Count("wait", 500, ("wait", "wait_far_timer", "wait_run")),
]
ASKED_COUNTS = ("host", "wait", "delivery", "new_free")

COUNT_TITLES = {
    "soon": "call_soon, then run (each)",
    "timer_create": "timer create, deadline",
    "timer_create_later": "timer create, delay",
    "timer_restart_constant": "timer restart, constant",
    "timer_restart_random": "timer restart, random",
    "timer_again_constant": "timer restart, delay",
    "timer_cancel": "timer cancel",
    "timer_fire": "timer fire",
    "lateness_all": "wait for a single timer, 50 us .. 5 ms",
    "watch_setup": "fd watch: set up",
    "watch_teardown": "fd watch: take down",
    "watch_add_turn_cancel": "fd add + turn + cancel",
    "watch_resume_turn_pause": "fd resume + turn + pause",
    "watch_toggle": "interest changed and changed back",
    "delivery": "event delivered, with read and write",
    "post_send": "post from another thread",
    "post_run": "run of a post",
    "new_free": "loop_new + loop_free",
    "empty_turn": "empty turn",
    "empty_turn_1000": "empty turn, 1,000 idle watchers",
    "host_soon_turn": "call_soon, then a turn",
    "host_timer_turn": "timer restarted, then a turn",
    "wait": "turn that may block, one event",
    "wait_far_timer": "  a timer an hour away",
    "wait_run": "turn of a run, one event",
    "echo_1_wall": "echo of a request, 1 connection",
    "echo_50_wall": "echo of a request, 50 connections",
    "accept_wall": "accept, one request, close",
}
