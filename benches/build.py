"""Builds one program per library from benches/src into target/bench."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "benches/src"
OUT = ROOT / "target/bench"
CFLAGS = "-std=gnu11 -O2 -g -fexceptions -Wall -Wextra -Wno-unused-parameter -Wno-unused-function".split()

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


def newer_libuv():
    """The folder of a newer libuv's sources in cargo's registry, or None."""
    manifest = ROOT / "benches/libuv/Cargo.toml"
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--manifest-path", manifest]
    command += ["--locked"] if manifest.with_name("Cargo.lock").exists() else []
    try:
        answer = run(command, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print("no newer libuv:", getattr(error, "stderr", error), file=sys.stderr)
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
    if archive.exists():
        return True
    objects = OUT / "libuv-new"
    objects.mkdir(parents=True, exist_ok=True)
    compile_all = []
    for source in UV_SOURCES:
        target = objects / (source.replace("/", "-") + ".o")
        flags = ["-O2", "-g", "-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-D_LARGEFILE_SOURCE", "-w"]
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
    c_sources = [s for s in sources if s.suffix == ".c"]
    cpp_sources = [s for s in sources if s.suffix == ".cpp"]
    built = []
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
