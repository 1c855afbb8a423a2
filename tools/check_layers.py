#!/usr/bin/env python3
"""Checks the layers of src/ (docs/MAP.md): a folder includes only folders on lower lines; those on one line do not see
each other (their tests may). Also: a third-party header is included by one folder, x86 headers only under kernels/,
the surfaces (python/native/ too) and openai/ see only include/octavo/, base/ and, above it, openai/; and no file has a banned name. Prints every breach; exit code 1."""
import pathlib
import re
import sys

LAYERS = [  # lowest first
    ["base"],
    ["tensor"],
    ["format", "kernels"],
    ["text", "model"],
    ["data", "engine"],
    ["eval"],
    ["quant"],
    ["bench"],
    ["api"],
    ["openai"],
    ["cli"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
SEES_ONLY = {"openai": {"base"}, "cli": {"openai", "base"}}  # and include/octavo/
PUBLIC_FOR_ALL = {"octavo/status.h", "octavo/version.h", "octavo/progress.h", "octavo/logits_mask.h"}  # the rest is the facade's, api/
THIRD_PARTY = {  # header prefix -> the one folder that includes it
    "boost/json": "base",
    "yaml.h": "base",
    "pcre2.h": "base",
    "utf8proc.h": "text",
    "CLI/": "cli",
    "nanobind/": "python/native",
    "immintrin.h": "kernels",
    "x86intrin.h": "kernels",
    "cpuid.h": "kernels",
    "simde/": "kernels",
}
BANNED_NAMES = {"util", "utils", "misc", "common", "helper", "helpers", "types"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def module_breaches(root: pathlib.Path):
    """python/native/ is a surface too, outside src/."""
    native = root / "python" / "native"
    own = {path.name for path in native.glob("*.h")}
    for path in sorted([*native.glob("*.cc"), *native.glob("*.h")]):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match.group(1) == '"' and match.group(2) not in own:
                if not match.group(2).startswith(("octavo/", "base/")):
                    where = path.relative_to(root)
                    yield f"{where}:{number}: python/native/ is a surface: only include/octavo/ and base/, not {match.group(2)}"


def breaches(root: pathlib.Path):
    yield from module_breaches(root)
    source = root / "src"
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".cc", ".h", ".inl", ".cu"}:
            continue
        folder = path.relative_to(source).parts[0]
        where = path.relative_to(root)
        if folder not in LEVEL:
            yield f"{where}: folder '{folder}' is not in the table of tools/check_layers.py"
            continue
        if path.stem in BANNED_NAMES:
            yield f"{where}: '{path.stem}' says nothing; name the file after what it holds"
        is_test = path.stem.endswith(("_test", "_bench", "_fuzz"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match.group(2)
            for prefix, owner in THIRD_PARTY.items():
                if header.startswith(prefix) and folder != owner:
                    yield f"{where}:{number}: <{header}> belongs to {owner}/ alone"
            if header.startswith("octavo/"):
                if header not in PUBLIC_FOR_ALL and LEVEL[folder] < LEVEL["api"]:
                    yield f"{where}:{number}: \"{header}\" is the facade's, above {folder}/"
                continue
            target = header.split("/")[0]
            if match.group(1) != '"' or target not in LEVEL or target == folder:
                continue
            if folder in SEES_ONLY and target not in SEES_ONLY[folder]:
                allowed = ", ".join(f"{name}/" for name in sorted(SEES_ONLY[folder]))
                yield f"{where}:{number}: {folder}/ sees only include/octavo/ and {allowed}, not {target}/"
            elif LEVEL[target] > LEVEL[folder]:
                yield f"{where}:{number}: {folder}/ includes {target}/, which stands above it"
            elif LEVEL[target] == LEVEL[folder] and not is_test:
                yield f"{where}:{number}: {folder}/ and {target}/ stand on one line and do not see each other"


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = list(breaches(root))
    for breach in found:
        print(breach)
    print(f"layers: {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
