#!/bin/sh
# A hook of mmdebstrap: gives the root file system in $1 what the official slim images have.
set -eu
root=$1
# `apt-get install` in a later layer must leave no archive and no translated index behind; without
# this each such layer keeps 85 MB.
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
# Made before the setting above was there, and 74 MB.
rm -f "$root"/var/cache/apt/*.bin
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/docker-no-languages"
echo 'Acquire::GzipIndexes "true";' >"$root/etc/apt/apt.conf.d/docker-gzip-indexes"
# The machine's own name and resolver are no part of an image.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
# What the service images start with; the Python one takes nothing of it.
shift
for script in "$@"; do
    install -D --mode=0755 "$script" "$root/usr/local/bin/$(basename "$script")"
done
