"""Builds one program per library from benches/src into target/bench."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "benches/src"
OUT = ROOT / "target/bench"
SHIFT_CLOCK_SOURCE = SOURCES / "shift_clock.c"
SHIFT_CLOCK = OUT / "shift_clock.so"
CFLAGS = "-std=gnu11 -O2 -g -fexceptions -Wall -Wextra -Wno-unused-parameter -Wno-unused-function".split()

LIBUV_MANIFEST = ROOT / "benches/libuv/Cargo.toml"

# libuv's own list of sources for Linux.
UV_SOURCES = [
    f"src/{name}.c"
    for name in """fs-poll idna inet random strscpy strtok thread-common threadpool timer uv-common
    uv-data-getter-setters version unix/async unix/core unix/dl unix/fs unix/getaddrinfo
    unix/getnameinfo unix/loop-watcher unix/loop unix/pipe unix/poll unix/process
    unix/random-devurandom unix/signal unix/stream unix/tcp unix/thread unix/tty unix/udp
    unix/proctitle unix/linux unix/procfs-exepath unix/random-getentropy unix/random-getrandom
    unix/random-sysctl-linux""".split()
]


class Backend:
    def __init__(self, name, header, flags=(), libraries=(), newest=()):
        self.name = name
        self.header = header
        self.flags = list(flags)
        self.libraries = list(libraries)
        # Files beside the sources that the program is made from.
        self.newest = list(newest)

    @property
    def program(self):
        return OUT / ("bench-" + self.name.replace(" ", "-"))


EVLOOP = Backend(
    "evloop", "backend_evloop.h", [f"-I{ROOT}/include"],
    [f"-L{ROOT}/target/release", "-levloop", f"-Wl,-rpath,{ROOT}/target/release"],
)
LIBUV_NEW = Backend(
    "libuv new", "backend_libuv.h", [], [str(OUT / "libuv-new.a"), "-ldl", "-lrt"], [OUT / "libuv-new.a"]
)
BACKENDS = [
    Backend("raw heap", "backend_raw.h"),
    Backend("raw wheel", "backend_raw.h", ["-DRAW_WHEEL"]),
    Backend("libev", "backend_libev.h", [], ["-lev"]),
    Backend("libevent", "backend_libevent.h", [], ["-levent", "-levent_pthreads"]),
    Backend("libuv", "backend_libuv.h", [], ["-luv"]),
    LIBUV_NEW,
    EVLOOP,
]


def run(command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def is_older(target, sources):
    return not target.exists() or any(s.stat().st_mtime > target.stat().st_mtime for s in sources)


@functools.cache
def newer_libuv():
    """The folder of a newer libuv's sources in cargo's registry, or None."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--locked"]
    try:
        answer = run([*command, "--manifest-path", LIBUV_MANIFEST], capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{80 * '*'}\nSKIPPED: libuv new, for cargo cannot fetch it: {getattr(error, 'stderr', error)}{80 * '*'}",
              file=sys.stderr)
        return None
    packages = json.loads(answer)["packages"]
    package = next(p for p in packages if p["name"] == "libuv-sys2")
    return Path(package["manifest_path"]).parent / "libuv"


def build_newer_libuv():
    """The archive of a newer libuv; its version is written beside it. False without sources."""
    archive = OUT / "libuv-new.a"
    folder = newer_libuv()
    if folder is None:
        return False
    LIBUV_NEW.flags = [f"-I{folder}/include"]
    if not is_older(archive, [Path(__file__), LIBUV_MANIFEST.with_name("Cargo.lock")]):
        return True
    print(f"building libuv from {folder}", file=sys.stderr)
    objects = OUT / "libuv-new"
    objects.mkdir(parents=True, exist_ok=True)
    compile_all = []
    for source in UV_SOURCES:
        target = objects / (source.replace("/", "-") + ".o")
        # As its CMake's Release has it.
        flags = ["-O3", "-DNDEBUG", "-g", "-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-D_LARGEFILE_SOURCE", "-w"]
        flags += [f"-I{folder}/include", f"-I{folder}/src"]
        compile_all.append(subprocess.Popen(["gcc", *flags, "-c", folder / source, "-o", target]))
        if len(compile_all) % 4 == 0:
            compile_all[-4].wait()
    if any(process.wait() != 0 for process in compile_all):
        return False
    run(["ar", "rcs", archive, *sorted(objects.glob("*.o"))])
    return True


def build(wanted=None):
    """Builds what is out of date; returns the backends that there are."""
    OUT.mkdir(parents=True, exist_ok=True)
    sources = sorted(SOURCES.iterdir())
    c_sources = [s for s in sources if s.suffix == ".c" and s != SHIFT_CLOCK_SOURCE]
    cpp_sources = [s for s in sources if s.suffix == ".cpp"]
    built = []
    if is_older(SHIFT_CLOCK, [SHIFT_CLOCK_SOURCE]):
        run(["gcc", *CFLAGS, "-shared", "-fPIC", SHIFT_CLOCK_SOURCE, "-o", SHIFT_CLOCK, "-ldl"])
    for backend in BACKENDS:
        if wanted and backend.name not in wanted:
            continue
        if backend is LIBUV_NEW and not build_newer_libuv():
            continue
        if is_older(backend.program, [*sources, Path(__file__), *backend.newest]):
            flags = [f'-DBACKEND="{backend.header}"', *backend.flags]
            objects = []
            for source in cpp_sources:
                objects.append(OUT / f"{backend.program.name}-{source.stem}.o")
                cpp_flags = ["-std=gnu++17", *CFLAGS[1:], *flags]
                run(["g++", *cpp_flags, "-c", source, "-o", objects[-1]])
            links = [*backend.libraries, "-lpthread", "-lm"] + (["-lstdc++"] if objects else [])
            run(["gcc", *CFLAGS, *flags, *c_sources, *objects, "-o", backend.program, *links])
        built.append(backend)
    return built


if __name__ == "__main__":
    for backend in build():
        print(backend.program)
