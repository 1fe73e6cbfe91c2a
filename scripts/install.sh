#!/bin/sh
# Install tiermem on this host: a Python environment of its own in PREFIX, the
# systemd unit, group and folders, a sample config, and the kernel modules where
# `make kmod` has built them. Called by `make install`; safe to run again.
#   DESTDIR  put everything below this folder, and touch nothing that runs
#   PREFIX   where the Python environment goes (default /opt/tiermem)
#   PYTHON   the interpreter it is made with (default python3)
#   KERNEL   the kernel that the modules were built for (default the one that runs)
set -eu

cd "$(dirname "$0")/.."
destdir=${DESTDIR:-}
prefix=${PREFIX:-/opt/tiermem}
python=${PYTHON:-python3}
kernel=${KERNEL:-$(uname -r)}
lib=$destdir/usr/local/lib

say() { echo "tiermem: $*"; }

case $prefix in
/*) ;;
*)
	say "PREFIX=$prefix: must be an absolute path" >&2
	exit 2
	;;
esac
if [ -z "$destdir" ] && [ "$(id -u)" -ne 0 ]; then
	say "installing needs root (or DESTDIR=folder)" >&2
	exit 3
fi

missing=
need() { # need PACKAGE COMMAND...: note the Debian package unless the command succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

check_what_it_is_built_with() {
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
		say "$python is no Python 3.11 or newer; set PYTHON to one" >&2
		exit 3
	}
	need gcc sh -c 'command -v gcc'
	need libc6-dev test -e /usr/include/stdio.h
	need linux-libc-dev test -e /usr/include/linux/types.h
	need python3-venv "$python" -c 'import ensurepip, venv'
	need python3-dev "$python" -c \
		'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
	if [ -n "$missing" ]; then
		say "this host lacks what tiermem is built with: apt-get install$missing" >&2
		exit 3
	fi
}

install_package() {
	say "Python environment in $prefix"
	"$python" -m venv "$destdir$prefix"
	wheel=$(mktemp -d)
	trap 'rm -rf "$wheel"' EXIT
	set -- "$destdir$prefix/bin/python" -m pip --quiet --disable-pip-version-check
	"$@" wheel --no-deps --wheel-dir "$wheel" .
	"$@" install --force-reinstall --no-deps "$wheel"/tiermem-*.whl
	"$@" install "$wheel"/tiermem-*.whl
	# Scripts name their interpreter by its path, which must be the one it will have.
	if [ -n "$destdir" ]; then
		grep -rlIZ "$destdir$prefix" "$destdir$prefix/bin" "$destdir$prefix/pyvenv.cfg" |
			xargs -0 -r sed -i "s|$destdir$prefix|$prefix|g"
	fi
	install -d "$destdir/usr/local/bin"
	ln -sfn "$prefix/bin/tiermem" "$destdir/usr/local/bin/tiermem"
}

install_service() {
	say "unit, group and folders in /usr/local/lib"
	install -d "$lib/systemd/system" "$lib/sysusers.d" "$lib/tmpfiles.d" "$lib/modules-load.d"
	for unit in userspace/systemd/*.service; do
		sed "s|/opt/tiermem/|$prefix/|" "$unit" >"$lib/systemd/system/$(basename "$unit")"
	done
	install -m 644 userspace/systemd/sysusers.conf "$lib/sysusers.d/tiermem.conf"
	install -m 644 userspace/systemd/tmpfiles.conf "$lib/tmpfiles.d/tiermem.conf"
	install -m 644 userspace/systemd/modules-load.conf "$lib/modules-load.d/tiermem.conf"
}

install_shared() {
	say "probes, man page and what units may have besides, in /usr/local/share"
	share=$destdir/usr/local/share
	install -d "$share/tiermem/ebpf" "$share/man/man1"
	install -m 644 ebpf/*.c ebpf/*.h "$share/tiermem/ebpf"
	install -m 644 userspace/systemd/tiermem-oasis-etcd.conf "$share/tiermem"
	"$destdir$prefix/bin/python" -m tiermem.cli.man_page >"$share/man/man1/tiermem.1"
}

install_config() {
	install -d "$destdir/etc/tiermem"
	for sample in userspace/etc/*.toml; do
		[ -e "$sample" ] || continue
		target=/etc/tiermem/$(basename "$sample")
		if [ ! -e "$destdir$target" ]; then
			say "config $target"
			install -m 644 "$sample" "$destdir$target"
		elif ! cmp -s "$sample" "$destdir$target"; then
			say "config $target kept; this version's sample is $target.new"
			install -m 644 "$sample" "$destdir$target.new"
		fi
	done
}

install_modules() {
	built=$(find build/kmod -name 'tiermem_*.ko' 2>/dev/null || true)
	if [ -z "$built" ]; then
		say "kernel modules are not built (make kmod); m5 works without them, less well"
		return
	fi
	say "kernel modules for $kernel"
	folder=/lib/modules/$kernel/updates/tiermem
	install -d "$destdir$folder"
	for module in $built; do
		install -m 644 "$module" "$destdir$folder/"
	done
	[ -n "$destdir" ] || depmod "$kernel"
}

start_what_was_installed() {
	systemd-sysusers "$lib/sysusers.d/tiermem.conf"
	systemd-tmpfiles --create "$lib/tmpfiles.d/tiermem.conf"
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		say "start it with: systemctl enable --now tiermem-m5"
	fi
}

check_what_it_is_built_with
install_package
install_service
install_shared
install_config
install_modules
[ -n "$destdir" ] || start_what_was_installed
say "see what this host lacks with: tiermem doctor"
