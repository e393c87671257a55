#!/usr/bin/env bash
# Makes FOLDER a system for 64-bit ARM that an emulator runs a process in: system.sh FOLDER PYTHON; the emulator of x86
# lies there too. Called by `make arm64` and `make haswell`. Debian's packages of Python and its libraries are unpacked,
# not installed, and so are the emulators; needs no root.
set -euo pipefail
folder=$(realpath -m "$1") python=$(realpath -s "$2")
[ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = bookworm ] || { echo "needs Debian 12, whose Python is 3.11" >&2; exit 1; }
rm -rf "$folder" && mkdir -p "$folder"/{apt/lists/partial,apt/cache/archives/partial,root/proc,wheels,site}
cd "$folder"

# Lists of packages of its own, as of a machine where nothing is installed.
touch apt/status
apt=(-qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State::Lists="$folder/apt/lists"
    -o Dir::Cache="$folder/apt/cache" -o Dir::State::status="$folder/apt/status" -o APT::Sandbox::User="$(id -un)"
    -o Acquire::Languages=none -o Debug::NoLocking=1)
apt-get "${apt[@]}" update
apt-get "${apt[@]}" install --yes --no-install-recommends --download-only python3.11 libstdc++6 libgomp1 >/dev/null
for package in apt/cache/archives/*.deb; do dpkg-deb -x "$package" root; done
(cd apt && apt-get -qq -o APT::Sandbox::User="$(id -un)" download qemu-user-static)
dpkg-deb --fsys-tarfile apt/qemu-user-static_*.deb | tar -x --strip-components=3 ./usr/bin/qemu-aarch64-static ./usr/bin/qemu-x86_64-static
rm -r apt

platforms=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64
    --platform manylinux2014_aarch64)
"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    "${platforms[@]}" --dest wheels $(grep -E '^(numpy|onnxruntime|tokenizers|pillow|click|cloup|rich)==' "$OLDPWD/constraints.txt") \
    flatbuffers packaging protobuf
for wheel in wheels/*.whl; do "$python" -m zipfile -e "$wheel" site; done
rm -r wheels
