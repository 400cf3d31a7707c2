#!/bin/sh
# Makes the environment in $VENV from the hashed lock file, once per lock file and Python.
set -eu
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'
python=
for each in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if "$each" -c "$fits" 2>/dev/null; then
        python=$each
        break
    fi
done
if [ -z "$python" ]; then
    echo "需要 Python 3.11 到 3.14。请安装后重试，或指定：make setup PYTHON=/path/to/python3.12" >&2
    echo "Python 3.11 to 3.14 is needed. Install it, or name one: make setup PYTHON=/path/to/python3.12" >&2
    exit 3
fi

wanted=$(mktemp)
trap 'rm -f "$wanted"' EXIT
{ "$python" --version; cat requirements/lock.txt pyproject.toml; } > "$wanted"
if cmp -s "$wanted" "$venv/installed-from.txt"; then
    exit 0
fi

echo "正在准备环境（只需一次，约几分钟）…… Making the environment (once, some minutes) …"
rm -f "$venv/installed-from.txt"
if ! "$python" -m venv --clear "$venv"; then
    echo "无法建立虚拟环境；Debian/Ubuntu 请先安装 python3-venv。" >&2
    echo "The virtual environment could not be made; on Debian or Ubuntu install python3-venv." >&2
    exit 3
fi

# A slow or broken connection is tried again; what arrived is in pip's cache.
attempt=1
until "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-compile \
    --require-hashes --no-deps -r requirements/lock.txt
do
    [ "$attempt" -lt 3 ] || exit 3
    attempt=$((attempt + 1))
    sleep 5
done
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps \
    --no-build-isolation -e .
# Airflow starts in half the time from compiled files. Some packages carry test files that no
# Python can compile; they are never imported.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" include plugins > /dev/null 2>&1 || true
cp "$wanted" "$venv/installed-from.txt"
