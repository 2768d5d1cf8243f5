"""Conan 2 recipe: `make conan`, or `conan create packaging/conan` in the root of the sources."""

import os

from conan import ConanFile
from conan.tools.files import copy


class EvloopConan(ConanFile):
    name = "evloop"
    description = "An event loop with asyncio's semantics"
    license = "MIT OR Apache-2.0"
    topics = ("event-loop", "epoll", "timers", "asyncio")
    settings = "os", "arch"
    options = {"shared": [True, False]}
    default_options = {"shared": False}
    package_type = "library"

    def set_version(self):
        with open(os.path.join(self.recipe_folder, "..", "..", "Cargo.toml")) as manifest:
            line = next(line for line in manifest if line.startswith("version = "))
        self.version = line.split('"')[1]

    def export(self):
        # set_version runs again in the cache, where the manifest has to be in the same place.
        copy(self, "Cargo.toml", self._sources, os.path.join(self.export_folder, "..", ".."))

    def export_sources(self):
        for pattern in ("Cargo.*", "Makefile", "build.rs", "LICENSE*", "src/*", "include/*", "packaging/*",
                        "c_examples/*", "tests/*", "benches/*", "docs/*"):
            copy(self, pattern, self._sources, self.export_sources_folder, excludes=("docs/site/*", "target/*"))

    @property
    def _sources(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def build(self):
        self.run("make package man", cwd=self.source_folder)

    def package(self):
        self.run(f"make install PREFIX=/ LIBDIR=/lib DESTDIR='{self.package_folder}'", cwd=self.source_folder)
        copy(self, "LICENSE*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        unwanted = "libevloop.a" if self.options.shared else "libevloop.so*"
        self.run(f"rm -rf lib/{unwanted} lib/pkgconfig lib/cmake", cwd=self.package_folder)

    def package_info(self):
        self.cpp_info.libs = ["evloop"]
        self.cpp_info.system_libs = ["pthread"]
        self.cpp_info.set_property("cmake_file_name", "evloop")
        self.cpp_info.set_property("cmake_target_name", "evloop::evloop")
        self.cpp_info.set_property("pkg_config_name", "evloop")
