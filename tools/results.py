#!/usr/bin/env python3
"""Runs the plans of a page of results and writes their tables into it.

    tools/results.py                          the names there are
    tools/results.py NAME [options]           train what is missing, then write the page
    tools/results.py NAME --gather            write the page of what is there

The page NAME is experiments/results/NAME.yaml, or NAME-1-*.yaml, NAME-2-*.yaml ... in this order, where one plan starts from the runs of
another. Runs go to runs/results/PLAN. Into docs/results/NAME.md goes, between the marks of each plan, what `hopscope gather` says: table,
figure, seeds, version; beside it PLAN.csv (a line a run) and PLAN.svg. A page that is not there is begun with the plans' own first
comments. A plan whose comment has a line "needs KEY" is run only with --set KEY=... Options not named here go to `hopscope sweep`:
-j N, --dry-run.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLANS = ROOT / "experiments" / "results"


def pages(folder):
    names = {}
    for plan in sorted(folder.glob("*.yaml")):
        names.setdefault(re.sub(r"-\d+-.*", "", plan.stem), []).append(plan)
    return names


def comment(plan):
    """The first comment of the file, a line each."""
    lines = []
    for line in plan.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].strip())
    return lines


def title(plan):
    found = re.search(r"^report:.*?^  title: *(.*?)$", plan.read_text(), re.S | re.M)
    return found.group(1).strip("\"'") if found else plan.stem


def begin_page(name, plans):
    out = [f"# {title(plans[-1])}", "", "```", f"make results NAME={name}", "```", ""]
    for plan in plans:
        words = [line for line in comment(plan) if not re.match(r"(make results|needs) ", line)]
        out += ["\n".join(words), "", f"<!-- {plan.stem} -->", "<!-- end -->", ""]
    return "\n".join(out)


def put(page, plan, text):
    mark = re.compile(rf"(<!-- {re.escape(plan.stem)} -->\n).*?(<!-- end -->)", re.S)
    if not mark.search(page):
        sys.exit(f"docs/results: no marks <!-- {plan.stem} --> ... <!-- end --> in the page")
    return mark.sub(lambda m: m.group(1) + text + m.group(2), page)


def gather(program, plan, runs, arguments, folder):
    """Table and files of a plan; returns what goes into the page."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([program, "gather", str(plan), "--runs", runs, "-o", scratch, *arguments], check=True,
                       stdout=subprocess.DEVNULL, cwd=ROOT)
        scratch = pathlib.Path(scratch)
        table = (scratch / f"{plan.stem}.md").read_text()
        for ending in ("csv", "svg"):
            shutil.copyfile(scratch / f"{plan.stem}.{ending}", folder / f"{plan.stem}.{ending}")
    seeds = sorted({int(line.split(",")[1]) for line in (folder / f"{plan.stem}.csv").read_text().splitlines()[1:]})
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.split("\n")[0]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    made = f"Plan [{plan.name}](../../experiments/results/{plan.name}), seeds {', '.join(map(str, seeds))}, {version}" + (
        f" ({commit})" if commit else "")
    return f"\n{table}\n{made}; every run: [{plan.stem}.csv]({plan.stem}.csv).\n\n![curves and numbers of every run]({plan.stem}.svg)\n\n"


def write_page(path, text):
    temporary = path.with_suffix(f".tmp-{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("name", nargs="?")
    parser.add_argument("--program", default=str(ROOT / "build" / "release" / "hopscope"))
    parser.add_argument("--gather", action="store_true", help="train nothing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "docs" / "results", help="of the page")
    parser.add_argument("--plans", type=pathlib.Path, default=PLANS)
    parser.add_argument("--runs", default="runs/results", help="folder of the runs")
    args, rest = parser.parse_known_args()
    names = pages(args.plans.resolve())
    if not args.name:
        for name, plans in names.items():
            print(f"{name:24} {title(plans[-1])}")
        return
    if args.name not in names:
        sys.exit(f"no such page: {args.name}\n  hint: there are {', '.join(names)}")
    plans, set_arguments = names[args.name], [word for item in args.set for word in ("--set", item)]
    for plan in plans:
        for key in re.findall(r"^needs (\S+)", "\n".join(comment(plan)), re.M):
            if not any(item.startswith(f"{key}=") for item in args.set):
                sys.exit(f"{plan.name} needs a file of yours\n  hint: --set {key}=FILE (make: SET={key}=FILE)")
    for plan in plans:
        command = [args.program, "sweep", str(plan), "-o", f"{args.runs}/{plan.stem}", *set_arguments, *rest]
        if not args.gather and subprocess.run(command, cwd=ROOT).returncode:
            sys.exit(1)
    if "--dry-run" in rest or "-n" in rest or "--list" in rest:
        return
    path = args.folder / f"{args.name}.md"
    page = path.read_text() if path.exists() else begin_page(args.name, plans)
    for plan in plans:
        page = put(page, plan, gather(args.program, plan, f"{args.runs}/{plan.stem}", set_arguments, args.folder))
    write_page(path, page)
    print(path)


if __name__ == "__main__":
    main()
