#!/bin/sh
# What the project needs on a host: packages (installed when run as root on
# Debian or Ubuntu, named otherwise) and a Python environment.
# usage: setup.sh VENV      PYTHON names the interpreter (default python3)
set -eu

venv=$1
python=${PYTHON:-python3}

missing=
need() { # need PACKAGE COMMAND...: note the package unless the command succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

need gcc command -v gcc
need libc6-dev test -e /usr/include/stdio.h
need linux-libc-dev test -e /usr/include/linux/types.h
need mmdebstrap command -v mmdebstrap
need spin command -v spin
need etcd-server command -v etcd
need openssl command -v openssl
need liblinear-dev test -e /usr/include/linear.h
need e2fsprogs env PATH="$PATH:/sbin:/usr/sbin" mke2fs -V
need python3-venv "$python" -c 'import ensurepip, venv'
need python3-dev "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
if [ "$(id -u)" -eq 0 ]; then
	# Programs of instances in the net engine's tests, which are root's.
	need iputils-ping command -v ping
	need iperf3 command -v iperf3
	need curl command -v curl
else
	need uidmap command -v newuidmap
fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "tiermem: this host lacks:$missing; install them (as root: apt-get install$missing) and try again" >&2
		exit 3
	fi
	echo "tiermem: installing$missing"
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words on purpose
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
	case $missing in
	*etcd-server*) # Its package starts one, of which nobody here has asked for.
		systemctl disable --quiet --now etcd 2>/dev/null || true
		;;
	esac
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
	echo "tiermem: $python is older than 3.11; set PYTHON to a newer one" >&2
	exit 3
}

echo "tiermem: Python environment in $venv"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[testbed,bench,dev]'
