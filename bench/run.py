#!/usr/bin/env python3
"""Measures deployrun against peers and physical floors, and prints ratios.

    bench/run.py [--quick] [--only NAME[,NAME…]] [--deployrun PATH]

Everything that is compared runs in turn (A B A B …) in the same run; medians are quoted. Absolute
times depend on the machine and on what else it does: only the ratios are claims. `just` (and with
--ansible, ansible-core) is installed into a virtual environment under target/bench.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENV = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
RESULTS = []


def build():
    subprocess.run(["cargo", "build", "--profile", "dist", "--bin", "deployrun"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--profile", "dist", "--example", "bench_floor"], cwd=ROOT, check=True)
    return ROOT / "target/dist/deployrun"


def tool(name, package):
    """A program from a Python package, in a virtual environment of our own."""
    venv = ROOT / "target/bench/venv"
    program = venv / "bin" / name
    if not program.exists():
        if not (venv / "bin/python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", package], check=True)
    return program


def once(argv, cwd, env=None, codes=(0,)):
    """Wall time in seconds and peak resident memory, in MiB, of the largest process."""
    begun = time.perf_counter()
    child = subprocess.Popen(argv, cwd=cwd, env={**ENV, **(env or {})},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in codes:
        raise SystemExit(f"{argv}: exit {child.returncode}\n{err.decode()}")
    return wall, usage.ru_maxrss / 1024


def interleaved(runs, commands):
    """Each command once a round, in turn; the median wall time and the largest memory of each."""
    walls = {name: [] for name in commands}
    memory = {name: 0.0 for name in commands}
    for _ in range(runs):
        for name, call in commands.items():
            wall, rss = call()
            walls[name].append(wall)
            memory[name] = max(memory[name], rss)
    return {name: statistics.median(w) for name, w in walls.items()}, memory


def say(name, text, ratio, bound, worse=lambda r, b: r > b):
    met = not worse(ratio, bound)
    print(f"{name:<28} {text}  {'ok' if met else 'MISSED'}", flush=True)
    RESULTS.append({"name": name, "text": text, "value": ratio, "bound": bound, "met": met})


class Bench:
    def __init__(self, deployrun, dir, quick):
        self.deployrun, self.dir, self.quick = str(deployrun), pathlib.Path(dir), quick
        self.state = str(self.dir / "state")

    def plan(self, name, text):
        path = self.dir / f"{name}.rhai"
        path.write_text(f'plan(#{{ name: "{name}", environment: "{name}" }});\n{text}')
        return str(path)

    def run(self, plan, *extra, codes=(0,), **env):
        argv = [self.deployrun, "--state", self.state, "-q", "run", plan, *extra]
        return lambda: once(argv, self.dir, env, codes)

    def start_up(self, ansible):
        """A cold process, a plan of one trivial step."""
        just = tool("just", "rust-just")
        (self.dir / "justfile").write_text("default:\n\t@/bin/true\n")
        commands = {
            "deployrun": self.run(self.plan("one", 'run(["/bin/true"]);\n')),
            "just": lambda: once([str(just), "--justfile", str(self.dir / "justfile")], self.dir),
        }
        floor = str(ROOT / "target/dist/examples/bench_floor")
        durable = {"BENCH_DB": str(self.dir / "cold.db")}
        commands["floor"] = lambda: once([floor, "1", "/bin/true"], self.dir, durable)
        commands["floor"]()
        if ansible:
            playbook = tool("ansible-playbook", "ansible-core")
            (self.dir / "play.yml").write_text(
                "- hosts: localhost\n  connection: local\n  gather_facts: false\n"
                "  tasks:\n    - command: /bin/true\n")
            commands["ansible"] = lambda: once([str(playbook), str(self.dir / "play.yml")], self.dir)
        commands["deployrun"]()
        walls, memory = interleaved(3 if ansible else (9 if self.quick else 31), commands)
        ratio = walls["deployrun"] / walls["just"]
        say("start-up, one step", f"{walls['deployrun']*1e3:.1f} ms = {ratio:.2f} x just "
            f"({walls['just']*1e3:.1f} ms), at most 1.5", ratio, 1.5)
        ratio = walls["deployrun"] / walls["floor"]
        print(f"{'':<28} = {ratio:.2f} x a cold process that commits two rows and spawns the same "
            f"({walls['floor']*1e3:.1f} ms)")
        say("memory of a small run", f"{memory['deployrun']:.1f} MiB, at most 25", memory["deployrun"], 25)
        if ansible:
            ratio = walls["ansible"] / walls["deployrun"]
            say("start-up against ansible", f"{ratio:.0f} x faster, at least 100", ratio, 100, lambda r, b: r < b)

    def step(self):
        """The cost of a step in a row: the slope over many."""
        floor = str(ROOT / "target/dist/examples/bench_floor")
        few, many = (50, 250) if self.quick else (100, 1100)
        env = {"BENCH_DIR": str(self.dir)}
        commands = {}
        for n in (few, many):
            plan = self.plan(f"steps{n}", f'for i in 0..{n} {{ run(["/bin/true"]); }}\n')
            commands[f"deployrun {n}"] = self.run(plan)
            commands[f"floor {n}"] = lambda n=n: once([floor, str(n), "/bin/true"], self.dir, env)
        walls, _ = interleaved(3 if self.quick else 5, commands)
        slope = {k: (walls[f"{k} {many}"] - walls[f"{k} {few}"]) / (many - few) for k in ("deployrun", "floor")}
        ratio = slope["deployrun"] / slope["floor"]
        say("a step in a row", f"{slope['deployrun']*1e3:.2f} ms = {ratio:.2f} x the durable floor "
            f"({slope['floor']*1e3:.2f} ms), at most 2", ratio, 2)

    def stream(self):
        """A step that prints, scanned by abort_on."""
        size = (256 if self.quick else 1024) << 20
        printer = self.dir / "print.py"
        line = "x" * 99
        source = self.dir / "source.txt"
        with open(source, "w") as out:
            block = (line + "\n") * 10000
            for _ in range(size // len(block) + 1):
                out.write(block)
        plan = self.plan("stream", f'run(["cat", "{source}"], #{{ abort_on: "NEVER_THERE", max_output: "4 GiB", timeout: "10m" }});\n')
        tee = f"cat {source} | tee {self.dir}/tee.out | grep -c NEVER_THERE || true"
        commands = {
            "deployrun": self.run(plan),
            "tee": lambda: once(["/bin/sh", "-c", tee], self.dir),
        }
        def clean(call):
            def cleaned():
                result = call()
                (self.dir / "tee.out").unlink(missing_ok=True)
                shutil.rmtree(pathlib.Path(self.state) / "runs", ignore_errors=True)
                return result
            return cleaned
        walls, memory = interleaved(3, {k: clean(v) for k, v in commands.items()})
        ratio = walls["tee"] / walls["deployrun"]
        say(f"{size >> 20} MiB of output", f"{ratio:.2f} x the speed of tee | grep -c "
            f"({walls['deployrun']:.2f} s, {walls['tee']:.2f} s), at least 0.7", ratio, 0.7, lambda r, b: r < b)
        say("memory while it prints", f"{memory['deployrun']:.1f} MiB, at most 40", memory["deployrun"], 40)
        source.unlink()

    def replay(self):
        """Taking up a run with many recorded calls."""
        calls = 1000 if self.quick else 10000
        marker = self.dir / "marker"
        plan = self.plan("replay", f'for i in 0..{calls - 3} {{ run(["/bin/true"], #{{ back_out: () }}); }}\n'
                         f'run("touch {marker}; exec sleep 60", #{{ grace: "1s", back_out: () }});\n')
        marker.unlink(missing_ok=True)
        child = subprocess.Popen([self.deployrun, "--state", self.state, "--format", "json", "run", plan],
                                 stdout=subprocess.DEVNULL, cwd=self.dir, env=ENV)
        while not marker.exists():
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        listed = subprocess.run([self.deployrun, "--state", self.state, "--format", "json", "runs", "--unfinished"],
                                capture_output=True, text=True, env=ENV)
        run = json.loads(listed.stdout.splitlines()[0])["run"]
        # From the start of the process to its first event that the replay did not know.
        begun = time.perf_counter()
        back = subprocess.Popen([self.deployrun, "--state", self.state, "--format", "json", "back-out", "--yes", run],
                                stdout=subprocess.PIPE, text=True, cwd=self.dir, env=ENV)
        took = None
        for text in back.stdout:
            if took is None and json.loads(text)["event"] in ("phase", "run-ended"):
                took = time.perf_counter() - begun
        back.wait()
        say(f"replay of {calls} calls", f"{took:.3f} s, at most 0.3", took, 0.3)

    def reaction(self):
        """From Ctrl-C, and from a tripped watch, to TERM at the step."""
        count = 5 if self.quick else 21
        for cause in ("Ctrl-C", "watch"):
            times = []
            for n in range(count):
                stamp, ready, bad = (self.dir / f"{name}" for name in ("stamp", "ready", "bad"))
                for path in (stamp, ready, bad):
                    path.unlink(missing_ok=True)
                code = ("import signal,time,sys,os\n"
                        f"def end(*_):\n t=time.clock_gettime(time.CLOCK_MONOTONIC)\n open(r'{stamp}','w').write(repr(t)); os._exit(0)\n"
                        f"signal.signal(signal.SIGTERM, end)\nopen(r'{ready}','w')\nwhile True: signal.pause()\n")
                (self.dir / "wait.py").write_text(code)
                watch = ('watch("w", #{ every: "20ms", failures: 1 }, || !file_exists("%s"));\n' % bad
                         if cause == "watch" else "")
                plan = self.plan("react", watch + f'run(["{sys.executable}", "{self.dir}/wait.py"], #{{ back_out: () }});\n')
                child = subprocess.Popen([self.deployrun, "--state", self.state, "-q", "run", plan], cwd=self.dir,
                                         env=ENV, stdout=subprocess.DEVNULL)
                while not ready.exists():
                    time.sleep(0.005)
                time.sleep(0.05)
                begun = time.clock_gettime(time.CLOCK_MONOTONIC)
                if cause == "watch":
                    bad.touch()
                else:
                    child.send_signal(signal.SIGINT)
                child.wait()
                times.append(float(stamp.read_text()) - begun)
            median = statistics.median(times) * 1e3
            note = " (with up to 20 ms until the next sample)" if cause == "watch" else ""
            say(f"{cause} to TERM", f"{median:.1f} ms at the median{note}, at most 50", median, 50)

    def check(self):
        """The static check of a plan of 1,000 lines with ten imports, by the process that does it."""
        project = self.dir / "check"
        project.mkdir()
        for n in range(10):
            (project / f"part{n}.rhai").write_text("".join(
                f"/// Part {i}.\nfn act_{i}(host, version) {{\n"
                f"    run([\"deploy\", host, `--version=${{version}}`], "
                f"#{{ timeout: \"1m\", back_out: [\"restore\", host] }});\n}}\n" for i in range(25)))
        lines = [f'import "./part{n}" as part{n};' for n in range(10)]
        lines.append('plan(#{ name: "long", version: "1", environment: "test" });')
        while len(lines) < 999:
            n = len(lines)
            lines.append([
                f'check("file {n} is there", || file_exists("/srv/file{n}"));',
                f'part{n % 10}::act_{n % 25}("host{n}", "2.{n}.0");',
                f'run(["step", "{n}"], #{{ timeout: "{n}s", retries: 2, back_out: ["undo", "{n}"] }});',
                f'let value{n} = probe(["look", "{n}"]).stdout.trimmed();',
                f'if value{n - 1 if n % 5 == 4 else n} == "{n}" {{ info(`value ${{value{n - 1 if n % 5 == 4 else n}}}`); }}'
                if n % 5 == 4 else f'info("line {n}");',
            ][n % 5])
        lines.append('verify("it answers", #{ within: "1m" }, || http_get("http://127.0.0.1/").status == 200);')
        plan = project / "plan.rhai"
        plan.write_text("\n".join(lines) + "\n")
        commands = {
            "check": lambda: once([self.deployrun, "check", str(plan)], project),
            "nothing": lambda: once([self.deployrun, "--version"], project),
        }
        commands["check"]()
        walls, _ = interleaved(9 if self.quick else 31, commands)
        say("check of 1,000 lines", f"{walls['check']*1e3:.1f} ms with ten imports, at most 50 "
            f"(the process alone: {walls['nothing']*1e3:.1f} ms)", walls["check"] * 1e3, 50)

    def units(self):
        """500 unit tests against the pretended host."""
        project = self.dir / "units"
        project.mkdir()
        (project / "helper.rhai").write_text(
            "/// Sees to it that a version runs.\nfn put(version) {\n"
            "    if probe([\"app\", \"--version\"]).stdout.trimmed() == version { return false; }\n"
            "    run([\"install\", version], #{ timeout: \"1m\", back_out: [\"install\", \"1.0\"] });\n    true\n}\n")
        for n in range(10):
            (project / f"part{n}_test.rhai").write_text('import "./helper" as helper;\n' + "".join(
                f'fn test_{i}() {{\n    given_command(["app", "--version"], #{{ stdout: "1.{i}\\n" }});\n'
                f'    given_command(["install", "2.{i}"]);\n'
                f'    assert_eq(helper::put("1.{i}"), false);\n    assert_eq(helper::put("2.{i}"), true);\n'
                f'    assert_steps(["install 2.{i}"]);\n}}\n' for i in range(50)))
        commands = {"tests": lambda: once([self.deployrun, "test", str(project)], project)}
        walls, _ = interleaved(3 if self.quick else 9, commands)
        say("500 unit tests", f"{walls['tests']:.2f} s, at most 2", walls["tests"], 2)

    def idle(self):
        """A helper of the stdlib that has nothing to do, against one probe."""
        few, many = (50, 250) if self.quick else (100, 1100)
        (self.dir / "there.conf").write_text("listen 80\n")
        commands = {}
        for n in (few, many):
            helper = f'for i in 0..{n} {{ files::write("{self.dir}/there.conf", "listen 80\\n"); }}\n'
            path = self.dir / f"idle{n}.rhai"
            path.write_text('import "std/files" as files;\n'
                            'plan(#{ name: "idle", environment: "idle" });\nwait_for_window();\n' + helper)
            commands[f"helper {n}"] = self.run(str(path))
            commands[f"probe {n}"] = self.run(self.plan(
                f"probe{n}", f'wait_for_window();\nfor i in 0..{n} {{ probe(["/bin/true"]); }}\n'))
        walls, _ = interleaved(3 if self.quick else 5, commands)
        slope = {k: (walls[f"{k} {many}"] - walls[f"{k} {few}"]) / (many - few) for k in ("helper", "probe")}
        ratio = slope["helper"] / slope["probe"]
        say("a helper with nothing to do", f"{slope['helper']*1e3:.2f} ms = {ratio:.2f} x one probe of /bin/true "
            f"({slope['probe']*1e3:.2f} ms), at most 1", ratio, 1)

    def size(self):
        size = os.path.getsize(self.deployrun) / (1 << 20)
        say("binary", f"{size:.1f} MiB, at most 15", size, 15)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, a minute or so")
    parser.add_argument("--only", help="size,start_up,step,stream,replay,reaction,check,units,idle")
    parser.add_argument("--deployrun", help="measure this binary instead of building one")
    parser.add_argument("--ansible", action="store_true", help="also against ansible-playbook (slow)")
    parser.add_argument("--json", help="write the results to this file")
    args = parser.parse_args()
    deployrun = pathlib.Path(args.deployrun).resolve() if args.deployrun else build()
    only = args.only.split(",") if args.only else ["size", "start_up", "step", "stream", "replay", "reaction", "check", "units", "idle"]
    base = ROOT / "target/bench"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as dir:
        bench = Bench(deployrun, dir, args.quick)
        for name in only:
            getattr(bench, name)(*([args.ansible] if name == "start_up" else []))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
