#!/bin/sh
# Compile the C that no other lint step builds with warnings as errors.
# The kernel modules are built against real headers in the testbed, also with
# warnings as errors; here only the headers they share with user space. The
# extensions' own sources are here because their build keeps warnings to itself.
# usage: lint-c.sh BUILD_DIR
set -eu

out=$1/lint
mkdir -p "$out"
flags="-std=gnu99 -O1 -Wall -Wextra -Werror -Ikmod/uapi"
flags="$flags -Ifpga_models/trackers -Ifpga_models/memsys -Ifpga_models/hosts"

for header in kmod/uapi/*.h; do
	# shellcheck disable=SC2086 # a list of flags on purpose
	gcc $flags -x c -include "$header" -c /dev/null -o "$out/header.o"
done
find bench tests userspace/tiermem/native fpga_models/hosts -name '*.c' | while read -r source; do
	# shellcheck disable=SC2086
	gcc $flags -c "$source" -o "$out/$(basename "$source" .c).o"
done
