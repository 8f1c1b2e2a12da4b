# Shared by packaging/start and packaging/test: makes .venv and the system libraries ready, once.
#
# Sourced with $root set to the top of the source tree. POSEVIEWER_VENV names another folder for the environment.
# Decisions: docs/decisions/environment.md

venv=${POSEVIEWER_VENV:-$root/.venv}
python=$venv/bin/python
torch_version=2.13.0
ultralytics_version=8.4.190

say() { printf 'poseviewer: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Each line: the library that Qt, OpenCV or PyAV load, and the Debian package that brings it.
system_libraries() {
    cat <<'LIST'
libGL.so.1 libgl1
libEGL.so.1 libegl1
libxkbcommon.so.0 libxkbcommon0
libfontconfig.so.1 libfontconfig1
libdbus-1.so.3 libdbus-1-3
libglib-2.0.so.0 libglib2.0-0
libX11.so.6 libx11-6
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libX11-xcb.so.1 libx11-xcb1
LIST
}

missing_packages() {
    local known library package
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null)
    system_libraries | while read -r library package; do
        case $known in
            *"$library "*) ;;
            *) printf '%s\n' "$package" ;;
        esac
    done
    # Without any font the window shows empty squares.
    if ! ls /usr/share/fonts/truetype/*/*.ttf /usr/share/fonts/*/*/*.otf "$HOME"/.fonts/* >/dev/null 2>&1; then
        printf 'fonts-dejavu-core\n'
    fi
}

ready_system() {
    [ "$(uname -s)" = Linux ] || return 0
    local packages
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "${packages// /}" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing system libraries: $packages"
        # The list of packages may be old or absent on a bare machine.
        # shellcheck disable=SC2086
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends $packages; } >/dev/null 2>&1 && return 0
        say "apt-get could not install them."
    fi
    say "these system libraries are missing: $packages"
    say "as an administrator: apt-get install $packages"
    say "going on without them; the window may not open."
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Whether the interpreter $1 has a torch that the program can use as it is.
has_torch() {
    "$1" - <<'PY' 2>/dev/null
import importlib.metadata, sys
major, minor = importlib.metadata.version("torch").split(".")[:2]
sys.exit((int(major), int(minor)) < (2, 6))
PY
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; }

make_venv() {
    [ -x "$python" ] && return 0
    local base
    base=$(find_python) || die "Python 3.11 or newer with its venv module is needed (Debian: python3 python3-venv)."
    say "making $venv with $("$base" --version)"
    if has_torch "$base"; then
        # A torch that is here already (often built for this machine's GPU) is kept.
        "$base" -m venv --system-site-packages "$venv" || die "the environment $venv could not be made."
    else
        "$base" -m venv "$venv" || die "the environment $venv could not be made."
    fi
}

install_torch() {
    has_torch "$python" && return 0
    if has_gpu; then
        say "installing torch $torch_version (CUDA)"
        "$python" -m pip install -q "torch==$torch_version" || die "torch could not be installed."
        return 0
    fi
    say "installing torch $torch_version (CPU)"
    "$python" -m pip install -q "torch==$torch_version+cpu" 2>/dev/null && return 0
    "$python" -m pip install -q --retries 1 --timeout 20 --index-url https://download.pytorch.org/whl/cpu \
        "torch==$torch_version" 2>/dev/null && return 0
    say "no CPU build of torch can be had here; taking the usual one, which is large."
    "$python" -m pip install -q "torch==$torch_version" || die "torch could not be installed."
}

# The dependencies of pyproject.toml but torch and ultralytics, and those of the extras named in $@.
requirements() {
    "$python" - "$root/pyproject.toml" "$@" <<'PY'
import re, sys, tomllib
with open(sys.argv[1], "rb") as stream:
    project = tomllib.load(stream)["project"]
wanted = list(project["dependencies"])
for extra in sys.argv[2:]:
    wanted += project["optional-dependencies"][extra]
print("\n".join(w for w in wanted if re.match(r"[\w-]+", w)[0] not in ("torch", "ultralytics")))
PY
}

# Installs what pyproject.toml asks for, with the extras named in $@.
install_packages() {
    local list
    install_torch
    list=$(mktemp)
    requirements "$@" >"$list"
    # What ultralytics itself imports; its other dependencies (torchvision, polars, matplotlib) are never used here.
    printf 'pyyaml\npillow\nrequests\n' >>"$list"
    say "installing packages"
    "$python" -m pip install -q -r "$list" -c "$root/packaging/constraints.txt" || die "the packages could not be installed."
    rm -f "$list"
    "$python" -m pip install -q --no-deps "ultralytics==$ultralytics_version" || die "ultralytics could not be installed."
    "$python" -m pip install -q --no-deps -e "$root" || die "poseviewer itself could not be installed."
}

# Makes everything ready for $1 (run or test), with the extras in the rest; a second call returns at once.
ready() {
    local what=$1 stamp now
    shift
    stamp=$venv/.poseviewer-$what
    now=$(cat "$root/pyproject.toml" "$root/packaging/environment.sh" "$root/packaging/constraints.txt" | cksum)
    if [ -x "$venv/bin/poseviewer" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
        return 0
    fi
    ready_system
    make_venv
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    install_packages "$@"
    printf '%s\n' "$now" >"$stamp"
}
